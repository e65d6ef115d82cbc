"""Learning rates over the steps of a training."""

import math
from collections.abc import Callable

from violence_detection.errors import ConfigError


def warmup_cosine(
    *, peak: float, warmup_steps: float, total_steps: float
) -> Callable[[float], float]:
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
    if not 0 <= warmup_steps < total_steps:
        raise ConfigError(
            "`warmup_steps` must be >= 0 and < total_steps. Received: "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}"
        )

    def rate(step: float) -> float:
        if step < warmup_steps:
            return peak * step / warmup_steps
        done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return peak / 2 * (1 + math.cos(math.pi * done))

    return rate
