"""A classifier and the step that it learns by, built as a training asks for them."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import keras

from violence_detection import model, schedule
from violence_detection.averaging import (
    Average,
    ExponentialAverage,
    NoAverage,
    StochasticAverage,
)
from violence_detection.batching import steps_per_epoch
from violence_detection.dataset import Clips
from violence_detection.runtime import Machine
from violence_detection.train_config import TrainConfig
from violence_detection.training_step import TrainingStep, separate_dropout

log = logging.getLogger(__name__)

_NO_DECAY = ("bias", "gamma", "beta")
_WARM_STEPS, _TIMED_STEPS = 3, 20


def build_step(
    config: TrainConfig,
    machine: Machine,
    *,
    train: Clips,
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
        classifier = model.build_classifier(
            head=config.head,
            features=train.features,
            classes=classes,
            recurrence=_recurrence(machine, xla=xla),
        )
        if initial is not None:
            classifier = model.begun_with(classifier, initial)
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=list(_NO_DECAY))
        optimizer.build(classifier.trainable_variables)
    separate_dropout(classifier, machine.strategy, machine.first_replica)
    return TrainingStep(
        classifier,
        loss=loss,
        optimizer=optimizer,
        strategy=machine.strategy,
        schedule=schedule.of_epochs(
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


def xla_is_faster(build: Callable[..., TrainingStep], batch: Any) -> bool:
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


def _recurrence(machine: Machine, *, xla: bool) -> str:
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
