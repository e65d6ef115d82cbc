"""Tests of two trainings on the folds of one cross-validation, and Holm's correction of p values.

Differences are B - A. The folds of a cross-validation share most of their training videos, so their
scores are not independent of each other: the corrected t allows for it, the paired t and
Wilcoxon's test do not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_LEVEL = 0.95
_DECIMALS = 12  # beyond these, differences and deviations are rounding


@dataclass(frozen=True)
class FoldDifference:
    """A score of B minus that of A, over the folds in which both are defined.

    Attributes:
        values: The difference in each fold, of n folds.
        mean: Their mean.
        sd: Their sample deviation.
        ci: [low, high] of the mean at 95%, by the corrected t.
        p: Two-sided, of the corrected t.
        paired_t_p: Two-sided, of the t-test for independent pairs.
        wilcoxon_p: Two-sided, of the signed-rank test; at least 2 / 2^n.
        cohens_d: The mean divided by the root of the mean variance of A and of B over folds: 0.2 is
            small, 0.5 medium, 0.8 large. 0.0 if both variances are 0.
    """

    values: Sequence[float]
    mean: float
    sd: float
    ci: Sequence[float]
    p: float
    paired_t_p: float
    wilcoxon_p: float
    cohens_d: float


def fold_difference(
    scores_a: Sequence[float | None], scores_b: Sequence[float | None], *, test_to_train: float
) -> FoldDifference | None:
    """The difference over folds, with the corrected resampled t-test and the usual tests.

    ``t = mean / (sd sqrt(1 / n + test_to_train))`` with n - 1 degrees of freedom. Without the
    second term under the root it is the paired t-test.

    Args:
        scores_a, scores_b: The scores on the same folds, one after another, of all repeats; None
            for a fold in which a score is undefined, which is left out.
        test_to_train: Held-out videos over training videos, the mean over the folds: 1 / (k - 1)
            for k equal folds that hold out every video once.

    Returns:
        None if fewer than two folds are left.

    Reference:
        Nadeau and Bengio, Inference for the generalization error, 2003,
        https://doi.org/10.1023/A:1024068626366
        Bouckaert and Frank, Evaluating the replicability of significance tests for comparing
        learning algorithms, 2004 (several repeats), https://doi.org/10.1007/978-3-540-24775-3_3
        Wilcoxon, Individual comparisons by ranking methods, 1945, https://doi.org/10.2307/3001968
        Cohen, Statistical power analysis for the behavioral sciences, 1988, chapter 2.
    """
    pairs = [
        (a, b) for a, b in zip(scores_a, scores_b, strict=True) if a is not None and b is not None
    ]
    if len(pairs) < 2:
        return None
    a, b = np.array(pairs, np.float64).T
    values = np.round(b - a, _DECIMALS)
    count, mean = len(values), float(values.mean())
    sd = round(float(values.std(ddof=1)), _DECIMALS)
    error = sd * math.sqrt(1 / count + test_to_train)
    half = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1)) * error
    deviation = round(math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), _DECIMALS)
    return FoldDifference(
        values=values.tolist(),
        mean=mean,
        sd=sd,
        ci=[max(-1.0, mean - half), min(1.0, mean + half)],
        p=_t_p(mean, error, count - 1),
        paired_t_p=_t_p(mean, sd / math.sqrt(count), count - 1),
        wilcoxon_p=float(stats.wilcoxon(values).pvalue) if values.any() else 1.0,
        cohens_d=mean / deviation if deviation else 0.0,
    )


def _t_p(mean: float, error: float, freedom: int) -> float:
    """Two-sided p of Student's t; without spread 1.0 for no difference and 0.0 for any."""
    if not error:
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values, each adjusted so that the chance of any false one among all is that of a single
    one.

    The i-th smallest of m is multiplied by m - i + 1; none is below a smaller one, or above 1.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, 1979,
        https://www.jstor.org/stable/4615733
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()
