"""DeLong's interval of the area under the ROC curve, and his test of two areas on the same videos.

The method takes videos as independent of each other, which clips of one recording are not: if
recordings have several clips, the intervals are too narrow and p is too small.
`intervals.auc_interval` resamples recordings instead.

Reference:
    DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver
    operating characteristic curves: a nonparametric approach, 1988,
    https://doi.org/10.2307/2531595
    Sun and Xu, Fast implementation of DeLong's algorithm for comparing the areas under
    correlated receiver operating characteristic curves, 2014,
    https://doi.org/10.1109/LSP.2014.2337313
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from violence_detection.metrics import input_checks

_STANDARD_ERRORS = float(norm.ppf(0.975))  # on either side of a 95% interval
_ROUNDING = 1e-28  # variances below this come from float64 arithmetic


class AucDifference(NamedTuple):
    """The second of two areas minus the first.

    Attributes:
        value: In [-1, 1]; None if only one class is present.
        interval: [low, high] at 95%; None if the variance cannot be estimated.
        p: Two-sided p of no difference. 1.0 if the areas are equal and the variance cannot be
            estimated; None if they differ and it cannot, or if only one class is present.
    """

    value: float | None
    interval: list[float] | None
    p: float | None


def interval(violent: np.ndarray, probability: np.ndarray) -> list[float] | None:
    """The 95% interval of the area under the ROC curve: area -+ 1.96 sqrt(variance).

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].

    Returns:
        [low, high], clipped to [0, 1]. None if the variance cannot be estimated: with fewer than
        two videos of a class, or if it is 0, as for classes that are separated perfectly.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    of_violent, of_normal = _placements(violent, probability)
    variance = _variance(of_violent, of_normal)
    return _interval_around(of_violent.mean(), variance, lowest=0.0) if variance else None


def difference(violent: np.ndarray, first: np.ndarray, second: np.ndarray) -> AucDifference:
    """The second area minus the first, on the same videos: z = difference / sqrt(variance).

    Args:
        violent: bool (N,).
        first, second: float (N,), in [0, 1]; or (R, N), of R repeats, whose areas are averaged: the
            mean of areas has the mean of the placements.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    # The variance of the differences, not variances and a covariance: for two runs with equal
    # predictions it is exactly 0.
    differences = [
        np.subtract(after, before)
        for first_row, second_row in zip(np.atleast_2d(first), np.atleast_2d(second), strict=True)
        for before, after in zip(
            _placements(violent, first_row), _placements(violent, second_row), strict=True
        )
    ]
    of_violent, of_normal = np.mean(differences[::2], axis=0), np.mean(differences[1::2], axis=0)
    if not of_violent.size or not of_normal.size:
        return AucDifference(None, None, None)
    value, variance = float(of_violent.mean()), _variance(of_violent, of_normal)
    if not variance:
        return AucDifference(value, None, None if abs(value) > 1e-12 else 1.0)
    p = 2 * norm.sf(abs(value) / math.sqrt(variance))
    return AucDifference(value, _interval_around(value, variance, lowest=-1.0), float(p))


def _placements(violent: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fraction of normal videos below each violent one, and of violent videos above each
    normal one; ties count half. The mean of either is the area.

    A video's rank among all videos minus its rank in its own class is the number of videos of the
    other class below it: O(N log N).

    Returns:
        float64 (violent videos,) and (normal videos,); both are empty if one class is missing.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    num_violent, num_normal = int(violent.sum()), int((~violent).sum())
    if not num_violent or not num_normal:
        return np.empty(0), np.empty(0)
    rank = rankdata(probability)
    below = rank[violent] - rankdata(probability[violent])
    violent_below = rank[~violent] - rankdata(probability[~violent])
    return below / num_normal, 1 - violent_below / num_violent


def _variance(of_violent: np.ndarray, of_normal: np.ndarray) -> float:
    """``S_violent / M + S_normal / N``; 0.0 if it cannot be estimated."""
    if min(of_violent.size, of_normal.size) < 2:
        return 0.0
    parts = (np.var(values, ddof=1) / values.size for values in (of_violent, of_normal))
    variance = float(sum(parts))
    return variance if variance > _ROUNDING else 0.0


def _interval_around(value: float, variance: float, *, lowest: float) -> list[float]:
    half_width = _STANDARD_ERRORS * math.sqrt(variance)
    return [max(lowest, float(value) - half_width), min(1.0, float(value) + half_width)]
