"""The area under the ROC curve by DeLong's method: its interval, and two areas on the same videos.

Videos are taken for independent of each other, which clips of one recording are not: where
recordings have several, the intervals are too narrow and p is too small. `intervals.auc_interval`
draws recordings instead.

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

_WIDTH = float(norm.ppf(0.975))  # standard errors on either side of a 95% interval
_NOISE = 1e-28  # variances below this are those of float64 arithmetic


class AucDifference(NamedTuple):
    """How much larger the second of two areas is.

    Attributes:
        value: In [-1, 1]; None where only one class is present.
        interval: [low, high] at 95%; None where the variance cannot be estimated.
        p: Two-sided, of no difference; 1.0 where there is none. None where it cannot be said.
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
        [low, high], cut to [0, 1]. None where the variance cannot be estimated: of fewer than
        two videos of a class, or where it is 0, as of classes that are wholly apart.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    of_violent, of_normal = _placements(violent, probability)
    variance = _variance(of_violent, of_normal)
    return _around(of_violent.mean(), variance, lowest=0.0) if variance else None


def difference(violent: np.ndarray, first: np.ndarray, second: np.ndarray) -> AucDifference:
    """The second area less the first, both on the same videos: z = difference / sqrt(variance).

    Args:
        violent: bool (N,).
        first, second: float (N,), in [0, 1].

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    one, other = _placements(violent, first), _placements(violent, second)
    if not one[0].size or not one[1].size:
        return AucDifference(None, None, None)
    # The variance of differences, and not a difference of variances: that of two runs which
    # agree is 0 to the bit.
    of_violent, of_normal = other[0] - one[0], other[1] - one[1]
    value, variance = float(of_violent.mean()), _variance(of_violent, of_normal)
    if not variance:
        return AucDifference(value, None, None if abs(value) > 1e-12 else 1.0)
    p = 2 * norm.sf(abs(value) / math.sqrt(variance))
    return AucDifference(value, _around(value, variance, lowest=-1.0), float(p))


def _placements(violent: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each violent video the share of normal ones below it, of each normal one the share of
    violent ones above it, ties counting half; the mean of either is the area.

    A video's rank among all less its rank in its class counts the others below it: O(N log N).

    Returns:
        float64 (violent videos,) and (normal videos,); both empty where one is.
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
    """``S_violent / M + S_normal / N``; 0.0 where it cannot be estimated."""
    if min(of_violent.size, of_normal.size) < 2:
        return 0.0
    parts = (np.var(one, ddof=1) / one.size for one in (of_violent, of_normal))
    variance = float(sum(parts))
    return variance if variance > _NOISE else 0.0


def _around(value: float, variance: float, *, lowest: float) -> list[float]:
    half = _WIDTH * math.sqrt(variance)
    return [max(lowest, float(value) - half), min(1.0, float(value) + half)]
