"""Builds a training step: classifier, optimizer, learning rate schedule, weight average."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import keras

from violence_detection.errors import ConfigError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.classifier import build_classifier, initialised_from
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
_WARM_UP_STEPS, _TIMED_STEPS = 3, 20


@dataclass(frozen=True)
class StepSettings:
    """The settings of `train` that a training step is built from, under the same names."""

    seed: int
    head: str
    epochs: int
    batch_size: int
    gradient_accumulation: int
    learning_rate: float
    schedule: str
    warmup_epochs: float | None
    weight_decay: float
    clip_norm: float
    sam_rho: float
    ema_decay: float
    swa_fraction: float

    @classmethod
    def from_config(cls, config: TrainConfig) -> Self:
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})


def build_step(
    settings: StepSettings,
    device_setup: DeviceSetup,
    *,
    train: FeatureDataset,
    classes: int,
    loss: keras.losses.Loss,
    initial: keras.Model | None,
    xla: bool,
) -> TrainingStep:
    """A classifier with its training step, the same at every call.

    Args:
        settings: Settings of the step.
        device_setup: Devices, precision and strategy.
        train: The training clips.
        classes: K.
        loss: A value per example.
        initial: A classifier of the same shape that gives the initial weights; None draws them.
        xla: Compile the forward and backward pass; a recurrence then cannot use cuDNN.
    """
    # The weights must not depend on what was drawn before: the XLA trial builds steps as well.
    keras.utils.set_random_seed(settings.seed)
    with device_setup.strategy.scope():
        classifier = build_classifier(
            head=settings.head,
            features=train.features,
            classes=classes,
            recurrence=_recurrence(device_setup, xla=xla),
        )
        if initial is not None:
            classifier = initialised_from(classifier, initial)
        optimizer = keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=settings.weight_decay
        )
        optimizer.exclude_from_weight_decay(var_names=list(_NO_DECAY))
        optimizer.build(classifier.trainable_variables)
    separate_dropout(classifier, device_setup.strategy, device_setup.first_replica)
    return TrainingStep(
        classifier,
        loss=loss,
        optimizer=optimizer,
        strategy=device_setup.strategy,
        schedule=schedule_over_epochs(
            settings.schedule,
            peak=settings.learning_rate,
            warmup_epochs=settings.warmup_epochs,
            epochs=settings.epochs,
            steps_per_epoch=steps_per_epoch(len(train), settings.batch_size),
        ),
        clip_norm=settings.clip_norm,
        xla=xla,
        pieces=settings.gradient_accumulation,
        sam_rho=settings.sam_rho,
        average=_build_average(classifier.trainable_variables, settings),
    )


def is_xla_faster(build: Callable[..., TrainingStep], batch: Any) -> bool:
    """True if a step with XLA is faster than a step with cuDNN's recurrence, measured here.

    XLA and cuDNN exclude each other: XLA cannot compile the fused LSTM and GRU kernels of cuDNN,
    and without them it runs a recurrence frame by frame. XLA gains on the layers around the
    recurrence and loses on the recurrence itself; the sum depends on the GPU, the head and the
    sizes, and no rule predicts it. So 20 steps of each are timed. The steps are thrown away: the
    training starts from a step that is built anew, so the trial changes none of its results
    except through the choice itself.

    A head without a recurrence loses nothing by XLA and is not measured.

    Args:
        build: `build_step` without its argument `xla`.
        batch: A training batch, distributed over the replicas.
    """
    without_xla = build(xla=False)
    if not _uses_cudnn(without_xla.classifier):
        return True
    xla_s = seconds_per_step(build(xla=True), batch)
    cudnn_s = seconds_per_step(without_xla, batch)
    times = f"{1000 * xla_s:.2f} ms a step with XLA, {1000 * cudnn_s:.2f} with cuDNN's recurrence"
    if xla_s <= cudnn_s:
        log.info(f"XLA is on: {times}.")
        return True
    log.warning(f"XLA is off, because it is slower here: {times}.")
    return False


def _recurrence(device_setup: DeviceSetup, *, xla: bool) -> str:
    # XLA compiles an unrolled recurrence for much longer and gains nothing by it. Each replica
    # traces the graph again, so that unrolling costs more than it saves from the third on.
    if xla or (not device_setup.gpus and device_setup.replicas > 2):
        return "loop"
    return "cudnn" if device_setup.gpus else "unrolled"


def _uses_cudnn(classifier: keras.Model) -> bool:
    forward_layers = (getattr(layer, "forward_layer", layer) for layer in classifier.layers)
    return any(getattr(layer, "use_cudnn", False) for layer in forward_layers)


def seconds_per_step(step: TrainingStep, batch: Any) -> float:
    for _ in range(_WARM_UP_STEPS):
        float(step(batch)["loss"])
    start_s = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        result = step(batch)
    float(result["loss"])  # waits until all steps are done
    return (time.perf_counter() - start_s) / _TIMED_STEPS


def _build_average(weights: list[keras.Variable], settings: StepSettings) -> Average:
    if settings.ema_decay:
        return ExponentialAverage(weights, settings.ema_decay)
    if settings.swa_fraction:
        epochs = max(1, math.ceil(round(settings.swa_fraction * settings.epochs, 6)))
        return StochasticAverage(weights, first_epoch=settings.epochs - epochs + 1)
    return NoAverage()


# -- the schedule of the learning rate

Schedule = Callable[[float], float]  # the rate at a step

# Fractions of the peak at the first and at the last step of one-cycle.
_FIRST_FRACTION, _LAST_FRACTION = 1 / 25, 1e-4 / 25


def warmup_cosine(*, peak: float, warmup_steps: float, total_steps: float) -> Schedule:
    """A schedule that rises linearly from 0 to `peak`, then falls to 0 over half a cosine.

    ``rate(s) = peak * s / warmup`` for s < warmup, else
    ``peak / 2 * (1 + cos(pi * (s - warmup) / (total - warmup)))``. The `decay_steps` of Keras'
    CosineDecay exclude the warm-up; `total_steps` includes it.

    Args:
        peak: Highest rate.
        warmup_steps: Steps of the linear part, >= 0 and < total_steps.
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
    """A schedule that rises from `peak` / 25 to `peak` over half a cosine, then falls to
    `peak` / 250,000 over another half.

    Args:
        peak, warmup_steps, total_steps: As for `warmup_cosine`; the warm-up is the rising part.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.

    Reference:
        Smith and Topin, 2018, https://arxiv.org/abs/1708.07120
    """
    _check(warmup_steps, total_steps)

    def rate(step: float) -> float:
        if step < warmup_steps:
            return _half_cosine(peak * _FIRST_FRACTION, peak, step, warmup_steps)
        falling = step - warmup_steps
        return _half_cosine(peak, peak * _LAST_FRACTION, falling, total_steps - warmup_steps)

    return rate


def constant(*, peak: float, warmup_steps: float, total_steps: float) -> Schedule:
    """A schedule that rises linearly from 0 to `peak` and stays there.

    Args:
        peak, warmup_steps, total_steps: As for `warmup_cosine`.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.
    """
    _check(warmup_steps, total_steps)

    def rate(step: float) -> float:
        return peak * min(1.0, step / warmup_steps if warmup_steps else 1.0)

    return rate


# The default warm-up of each schedule: a fraction of the epochs, and at most so many epochs.
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
    """The schedule of a name, over all epochs of a training.

    Args:
        name: One of SCHEDULE_NAMES.
        peak: Highest rate.
        warmup_epochs: None for the default: 5, or a fifth of the epochs if that is less; for
            one-cycle, three tenths of the epochs.
        epochs, steps_per_epoch: Of the training.

    Raises:
        ConfigError: If the warm-up is not shorter than the training.
    """
    build = next(build for build in _WARMUPS if build.__name__ == name)
    if warmup_epochs is None:
        fraction, limit = _WARMUPS[build]
        warmup_epochs = min(limit, fraction * epochs)
    return build(
        peak=peak,
        warmup_steps=warmup_epochs * steps_per_epoch,
        total_steps=epochs * steps_per_epoch,
    )


def _half_cosine(first: float, last: float, step: float, steps: float) -> float:
    progress = min(1.0, step / steps)
    return last + (first - last) / 2 * (1 + math.cos(math.pi * progress))


def _check(warmup_steps: float, total_steps: float) -> None:
    if not 0 <= warmup_steps < total_steps:
        raise ConfigError(
            "`warmup_steps` must be >= 0 and < total_steps. Received: "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}"
        )
