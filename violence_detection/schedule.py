"""Learning rates over the steps of a training."""

import math
from collections.abc import Callable

from violence_detection.errors import ConfigError

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
NAMES = tuple(build.__name__ for build in _WARMUPS)


def of_epochs(
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
