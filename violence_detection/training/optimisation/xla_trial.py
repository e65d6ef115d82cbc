"""The trial of XLA: a step that is compiled against one with cuDNN's recurrence."""

import logging
import time
from collections.abc import Callable
from typing import Any

import keras

from violence_detection.training.optimisation.step import TrainingStep

log = logging.getLogger(__name__)

_WARM_UP_STEPS, _TIMED_STEPS = 3, 20


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
        build: `step_builder.build_step` without its argument `xla`.
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
