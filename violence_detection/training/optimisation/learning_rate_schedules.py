"""Learning rate schedules: warm-up and cosine, one cycle, constant."""

import math
from collections.abc import Callable

from violence_detection.errors import ConfigError

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
        epochs, steps_per_epoch: Length of the training.

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
