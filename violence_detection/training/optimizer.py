"""The classifier, its optimizer, the schedule of the learning rate, and the training step."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import keras

from violence_detection.errors import ConfigError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.classifier import begun_with, build_classifier
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.batching import steps_per_epoch
from violence_detection.training.config import TrainConfig
from violence_detection.training.step import TrainingStep, separate_dropout
from violence_detection.training.weight_averaging import (
    Average,
    ExponentialAverage,
    NoAverage,
    StochasticAverage,
)

log = logging.getLogger(__name__)

_NO_DECAY = ("bias", "gamma", "beta")
_WARM_STEPS, _TIMED_STEPS = 3, 20


def build_step(
    config: TrainConfig,
    machine: DeviceSetup,
    *,
    train: FeatureDataset,
    classes: int,
    loss: keras.losses.Loss,
    initial: keras.Model | None,
    xla: bool,
) -> TrainingStep:
    """A classifier and its step, the same at every call.

    Args:
        config: Everything that was asked for.
        machine: What it runs on.
        train: The training clips.
        classes: K.
        loss: A value per example.
        initial: A classifier of the same shape whose weights it begins with.
        xla: Compile the forward and backward pass, which cuDNN's recurrence excludes.
    """
    # Whether or not something else was drawn before.
    keras.utils.set_random_seed(config.seed)
    with machine.strategy.scope():
        classifier = build_classifier(
            head=config.head,
            features=train.features,
            classes=classes,
            recurrence=_recurrence(machine, xla=xla),
        )
        if initial is not None:
            classifier = begun_with(classifier, initial)
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=list(_NO_DECAY))
        optimizer.build(classifier.trainable_variables)
    separate_dropout(classifier, machine.strategy, machine.first_replica)
    return TrainingStep(
        classifier,
        loss=loss,
        optimizer=optimizer,
        strategy=machine.strategy,
        schedule=schedule_over_epochs(
            config.schedule,
            peak=config.learning_rate,
            warmup_epochs=config.warmup_epochs,
            epochs=config.epochs,
            steps_per_epoch=steps_per_epoch(len(train), config.batch_size),
        ),
        clip_norm=config.clip_norm,
        xla=xla,
        pieces=config.gradient_accumulation,
        sam_rho=config.sam_rho,
        average=_average_of(classifier.trainable_variables, config),
    )


def is_xla_faster(build: Callable[..., TrainingStep], batch: Any) -> bool:
    """Whether a step with XLA is faster than one with cuDNN's recurrence, measured here.

    A head without recurrence has nothing to lose by XLA, and is not measured.

    Args:
        build: `build_step` but for `xla`.
        batch: Of the training, dealt out to the replicas.
    """
    plain = build(xla=False)
    if not _uses_cudnn(plain.classifier):
        return True
    with_xla_s = _seconds_a_step(build(xla=True), batch)
    with_cudnn_s = _seconds_a_step(plain, batch)
    told = f"{1000 * with_xla_s:.2f} ms a step, with cuDNN's recurrence {1000 * with_cudnn_s:.2f}"
    if with_xla_s <= with_cudnn_s:
        log.info(f"XLA is on: with it {told}.")
        return True
    log.warning(f"XLA is off, because it is slower here: with it {told}.")
    return False


def _recurrence(machine: DeviceSetup, *, xla: bool) -> str:
    # Unrolled, XLA compiles for much longer and gains nothing; each replica is traced anew.
    if xla or (not machine.gpus and machine.replicas > 2):
        return "loop"
    return "cudnn" if machine.gpus else "unrolled"


def _uses_cudnn(classifier: keras.Model) -> bool:
    one_way = (getattr(layer, "forward_layer", layer) for layer in classifier.layers)
    return any(getattr(layer, "use_cudnn", False) for layer in one_way)


def _seconds_a_step(step: TrainingStep, batch: Any) -> float:
    for _ in range(_WARM_STEPS):
        float(step(batch)["loss"])
    start_s = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        result = step(batch)
    float(result["loss"])  # which waits for all of them
    return (time.perf_counter() - start_s) / _TIMED_STEPS


def _average_of(weights: list[keras.Variable], config: TrainConfig) -> Average:
    if config.ema_decay:
        return ExponentialAverage(weights, config.ema_decay)
    if config.swa_fraction:
        averaged = max(1, math.ceil(round(config.swa_fraction * config.epochs, 6)))
        return StochasticAverage(weights, first_epoch=config.epochs - averaged + 1)
    return NoAverage()


Schedule = Callable[[float], float]


_FIRST_SHARE = 1 / 25  # of the peak, where one-cycle begins


_LAST_SHARE = 1e-4 / 25  # and where it ends


def warmup_cosine(*, peak: float, warmup_steps: float, total_steps: float) -> Schedule:
    """A line from 0 to `peak`, then half a cosine to 0.

    ``rate(s) = peak * s / warmup`` for s < warmup, else
    ``peak / 2 * (1 + cos(pi * (s - warmup) / (total - warmup)))``. Keras' CosineDecay leaves
    the warm-up out of its `decay_steps`; here `total_steps` is all of them.

    Args:
        peak: Highest rate.
        warmup_steps: Steps of the line, >= 0 and < total_steps.
        total_steps: Steps in all.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.
    """
    _check(warmup_steps, total_steps)

    def rate(step: float) -> float:
        if step < warmup_steps:
            return peak * step / warmup_steps
        return _half_cosine(peak, 0.0, step - warmup_steps, total_steps - warmup_steps)

    return rate


def one_cycle(*, peak: float, warmup_steps: float, total_steps: float) -> Schedule:
    """Half a cosine from `peak` / 25 up to `peak`, then half a cosine down to nearly nothing,
    `peak` / 250,000.

    Args:
        peak, warmup_steps, total_steps: As for `warmup_cosine`; the warm-up is the way up.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.

    Reference:
        Smith and Topin, 2018, https://arxiv.org/abs/1708.07120
    """
    _check(warmup_steps, total_steps)

    def rate(step: float) -> float:
        if step < warmup_steps:
            return _half_cosine(peak * _FIRST_SHARE, peak, step, warmup_steps)
        down = step - warmup_steps
        return _half_cosine(peak, peak * _LAST_SHARE, down, total_steps - warmup_steps)

    return rate


def constant(*, peak: float, warmup_steps: float, total_steps: float) -> Schedule:
    """A line from 0 to `peak`, which stays.

    Args:
        peak, warmup_steps, total_steps: As for `warmup_cosine`.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.
    """
    _check(warmup_steps, total_steps)

    def rate(step: float) -> float:
        return peak * min(1.0, step / warmup_steps if warmup_steps else 1.0)

    return rate


# Of each, the share of the epochs that is warm-up where none is asked for, and the most epochs.
_WARMUPS = {
    warmup_cosine: (0.2, 5.0),
    one_cycle: (0.3, math.inf),
    constant: (0.2, 5.0),
}


SCHEDULE_NAMES = tuple(build.__name__ for build in _WARMUPS)


def schedule_over_epochs(
    name: str,
    *,
    peak: float,
    warmup_epochs: float | None,
    epochs: int,
    steps_per_epoch: int,
) -> Schedule:
    """A schedule by its name, over a training.

    Args:
        name: One of NAMES.
        peak: Highest rate.
        warmup_epochs: None for what is usual: 5 or a fifth of the epochs if that is less;
            of one-cycle, three tenths of the epochs.
        epochs, steps_per_epoch: Of the training.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.
    """
    build = next(build for build in _WARMUPS if build.__name__ == name)
    if warmup_epochs is None:
        share, most = _WARMUPS[build]
        warmup_epochs = min(most, share * epochs)
    return build(
        peak=peak,
        warmup_steps=warmup_epochs * steps_per_epoch,
        total_steps=epochs * steps_per_epoch,
    )


def _half_cosine(first: float, last: float, step: float, steps: float) -> float:
    done = min(1.0, step / steps)
    return last + (first - last) / 2 * (1 + math.cos(math.pi * done))


def _check(warmup_steps: float, total_steps: float) -> None:
    if not 0 <= warmup_steps < total_steps:
        raise ConfigError(
            "`warmup_steps` must be >= 0 and < total_steps. Received: "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}"
        )
