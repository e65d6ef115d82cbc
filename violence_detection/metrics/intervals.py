"""Confidence intervals of rates and areas under the curve: bootstrap over recordings, Wilson."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

from violence_detection.errors import ConfigError
from violence_detection.metrics.input_checks import check_same_length, checked_scores

MIN_RECORDINGS = 5  # of each class, to choose a threshold or a temperature on
_BLOCK_CELLS = 1 << 21  # resamples x videos in memory at a time


def wilson_interval(correct: int, total: int, level: float = 0.95) -> list[float]:
    """Wilson's interval of a proportion, which takes videos as independent of each other.

    ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``, p = correct/n.
    Clips of one recording are not independent: see `accuracy_interval`.

    Returns:
        [low, high], in [0, 1]; [0.0, 0.0] if `total` is 0.

    Raises:
        ConfigError: If `correct` is not in [0, total] or `level` not in (0, 1).

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference,
        1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    _check_level(level)
    if not 0 <= correct <= total:
        raise ConfigError(f"`correct` must be in [0, total={total}]. Received: correct={correct}")
    if total == 0:
        return [0.0, 0.0]
    test = binomtest(int(correct), int(total))
    interval = test.proportion_ci(confidence_level=level, method="wilson")
    return [float(interval.low), float(interval.high)]


def bootstrap_over_recordings(
    groups: Sequence[str] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> list[float] | None:
    """The bootstrap interval of a statistic, with whole recordings drawn with replacement.

    Each resample draws as many recordings as there are, and a video counts as often as its
    recording was drawn. With one recording the interval has no width: this means that nothing is
    known about other recordings, not that the statistic is certain.

    Args:
        groups: The recording of each video (N,).
        statistic: A function of counts, int (R, N), how often each video is in each of R
            resamples. It returns float (R,), NaN for a resample that does not define it.
        resamples: Number of resamples, >= 1.
        seed: The same seed gives the same interval.
        level: Confidence, in (0, 1).

    Returns:
        [low, high], the (1 -+ level)/2 quantiles of the resamples that are not NaN;
        None if all are, or if there are no videos.

    Raises:
        ConfigError: If `resamples` is below 1 or `level` not in (0, 1).

    Reference:
        Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8.
    """
    _check_level(level)
    if len(groups) == 0:
        return None
    values = _resampled(groups, statistic, resamples=resamples, seed=seed)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def bootstrap_band(
    groups: Sequence[str] | np.ndarray,
    statistics: Callable[[np.ndarray], np.ndarray],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> np.ndarray:
    """The bootstrap intervals of M statistics of the same resamples of recordings.

    Args:
        groups: The recording of each video (N,), N >= 1.
        statistics: As in `bootstrap_over_recordings`, but it returns float (R, M).
        resamples, seed, level: As there.

    Returns:
        Low and high of each, float (2, M); NaN for a statistic that no resample defines.

    Raises:
        ConfigError: If `resamples` is below 1 or `level` not in (0, 1).
    """
    _check_level(level)
    values = _resampled(groups, statistics, resamples=resamples, seed=seed)
    band = np.full((2, values.shape[1]), np.nan)
    defined = ~np.isnan(values).all(axis=0)
    quantiles = [(1 - level) / 2, (1 + level) / 2]
    band[:, defined] = np.nanquantile(values[:, defined], quantiles, axis=0)
    return band


def _resampled(
    groups: Sequence[str] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> np.ndarray:
    """The values of a statistic in each of R resamples of whole recordings, (R, ...)."""
    if resamples < 1:
        raise ConfigError(f"`resamples` must be >= 1. Received: resamples={resamples}")
    recordings, recording = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    chances = np.full(recordings.size, 1.0 / recordings.size)
    block = max(1, _BLOCK_CELLS // recording.size)
    values = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.multinomial(recordings.size, chances, size=size)
        values.append(statistic(drawn[:, recording]))
    return np.concatenate(values)


def accuracy_interval(
    correct: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> list[float]:
    """The bootstrap interval of accuracy over recordings.

    Args:
        correct: bool (N,).
        groups, resamples, seed, level: As in `bootstrap_over_recordings`.

    Returns:
        [low, high], in [0, 1]; [0.0, 0.0] for no videos.

    Raises:
        ConfigError: If the lengths differ, or a setting is out of range.
    """
    correct, groups = np.asarray(correct, dtype=float), np.asarray(groups)
    check_same_length(correct=correct, groups=groups)
    interval = bootstrap_over_recordings(
        groups,
        lambda counts: counts @ correct / counts.sum(axis=1),
        resamples=resamples,
        seed=seed,
        level=level,
    )
    return interval or [0.0, 0.0]


def auc_interval(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> list[float] | None:
    """The bootstrap interval of the area under the ROC curve over recordings.

    Resamples with one class only are dropped.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups, resamples, seed, level: As in `bootstrap_over_recordings`.

    Returns:
        [low, high], in [0, 1]; None if only one class is present.

    Raises:
        ConfigError: If the lengths differ, or a value is out of range.
    """
    violent, probability = checked_scores(violent, probability)
    groups = np.asarray(groups)
    check_same_length(violent=violent, groups=groups)
    return bootstrap_over_recordings(
        groups,
        weighted_auc(violent, probability),
        resamples=resamples,
        seed=seed,
        level=level,
    )


def difference_interval(
    first: float, first_ci: Sequence[float], second: float, second_ci: Sequence[float]
) -> list[float]:
    """The interval of the difference of two independent estimates, from their own intervals.

    The distances of each estimate from the ends of its interval are added as squares (MOVER; Zou
    and Donner, 2008), so that an interval may be lopsided.

    Args:
        first, second: The estimates, of which the second is subtracted.
        first_ci, second_ci: [low, high] of each, at one level.

    Returns:
        [low, high] of ``first - second`` at that level.
    """
    difference = first - second
    below = math.hypot(first - first_ci[0], second_ci[1] - second)
    above = math.hypot(first_ci[1] - first, second - second_ci[0])
    return [difference - below, difference + above]


def weighted_auc(
    violent: np.ndarray, probability: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """The area under the ROC curve as a function of counts, for `bootstrap_over_recordings`.

    The area is the fraction of (violent, normal) pairs in which the violent video has the higher
    probability; ties count half (Mann-Whitney). The videos are sorted once, for all resamples.

    Returns:
        A function from int (R, N) to float (R,), NaN for a resample with one class only.
    """
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1.0))  # probabilities are >= 0

    def auc(counts: np.ndarray) -> np.ndarray:
        counts = counts[:, order].astype(float)
        positive = np.add.reduceat(counts * violent[order], starts, axis=1)
        negative = np.add.reduceat(counts * ~violent[order], starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        wins = np.sum(positive * below, axis=1)
        return np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)

    return auc


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"`level` must be in (0, 1). Received: level={level}")


def standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Standard error of a mean of values that are correlated within groups.

    ``sqrt(G / (G - 1) * sum over groups of (sum of (x - mean))^2) / N``; infinite for one
    group, which contains no information about other groups.

    Args:
        values: (N,).
        groups: int (N,), in [0, G).

    Reference:
        Cameron and Miller, A practitioner's guide to cluster-robust inference, 2015
    """
    count = int(groups.max()) + 1
    if count < 2:
        return float("inf")
    sums = np.bincount(groups, weights=values - values.mean(), minlength=count)
    return float(np.sqrt(count / (count - 1) * np.square(sums).sum()) / len(values))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, element by element; NaN where `whole` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
