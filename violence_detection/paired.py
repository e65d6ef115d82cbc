"""Two detectors' answers on the same videos: differences with their intervals, and tests.

Differences are B - A. What draws or exchanges whole recordings holds whatever their clips have in
common; McNemar's test, DeLong's and Cohen's g take every video for independent of the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, permutation_test

from violence_detection import delong, metrics

# That each of five recordings favours one run happens to equal ones in 2 of 2^5 cases: over 5%.
MIN_RECORDINGS = 6
_LEVEL = 0.05
_EXCHANGES = 9999  # drawn, where there are not fewer in all


def accuracy_difference(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> dict[str, Any]:
    """The second accuracy less the first, with its interval and how often chance does as much.

    Where runs are equal, either might have given the other's answers to a whole recording: p is
    the share of such exchanges after which they differ as much.

    Args:
        correct_a, correct_b: bool (N,), N >= 1.
        groups: The recording of each video (N,); they are drawn with replacement.

    Returns:
        `accuracy_difference` in [-1, 1]; `ci`, its [low, high] at 95%; `accuracy_p`, two-sided.

    Reference:
        Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, 3.
    """
    gain = np.asarray(correct_b, float) - np.asarray(correct_a, float)
    interval = metrics.bootstrap_over_recordings(
        np.asarray(groups),
        lambda counts: counts @ gain / counts.sum(axis=1),
        resamples=resamples,
        seed=seed,
    )
    recording = np.unique(np.asarray(groups), return_inverse=True)[1]
    return {
        "accuracy_difference": float(gain.mean()),
        "ci": interval,
        "accuracy_p": _exchange_p(np.bincount(recording, gain), seed=seed),
    }


def _exchange_p(gains: np.ndarray, *, seed: int) -> float:
    """Of what each recording gains, whole numbers (R,): the share of all 2^R changes of sign, or
    of 9,999 drawn, that sum to as much."""
    gains = gains[gains != 0]  # the others do not change
    if gains.size < 2:
        return 1.0
    test = permutation_test(
        (gains,),
        lambda changed, axis: changed.sum(axis),
        permutation_type="samples",
        n_resamples=_EXCHANGES,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def auc_difference(
    violent: np.ndarray,
    probability_a: np.ndarray,
    probability_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> dict[str, Any]:
    """The second area under the ROC curve less the first, with two intervals and DeLong's test.

    Args:
        violent: bool (N,).
        probability_a, probability_b: float (N,), in [0, 1].
        groups: The recording of each video (N,); they are drawn with replacement.

    Returns:
        `auc_difference` in [-1, 1], `auc_ci` over recordings, `auc_ci_delong`, and `auc_p`,
        two-sided. An interval that cannot be had is None; in `undefined` are the names of
        numbers that are 0.0, or a p of 1.0, only because they cannot be said.
    """
    auc_a, auc_b = (
        metrics.weighted_auc(violent, one) for one in (probability_a, probability_b)
    )
    interval = metrics.bootstrap_over_recordings(
        np.asarray(groups),
        lambda counts: auc_b(counts) - auc_a(counts),
        resamples=resamples,
        seed=seed,
    )
    found = delong.difference(violent, probability_a, probability_b)
    numbers = {"auc_difference": found.value, "auc_p": found.p}
    return {
        "auc_difference": 0.0 if found.value is None else found.value,
        "auc_ci": interval,
        "auc_ci_delong": found.interval,
        "auc_p": 1.0 if found.p is None else found.p,
        "undefined": [name for name, value in numbers.items() if value is None],
    }


def discordance(correct_a: np.ndarray, correct_b: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test, and how the videos are shared that one run alone gets right.

    Cohen's g is the share of them that B gets right, less a half: 0.05 is small, 0.15 medium,
    0.25 large. Unlike an odds ratio, it is finite where one run gets all of them.

    Args:
        correct_a, correct_b: bool (N,).

    Returns:
        `agreement`, counts of videos by who is right; `mcnemar_p`, two-sided; `cohens_g` in
        [-0.5, 0.5] and `cohens_g_ci`, its exact [low, high] at 95% (Clopper and Pearson). With
        no such video they are 1.0, 0.0 and all of [-0.5, 0.5].

    Reference:
        McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, 1947, https://doi.org/10.1007/BF02295996
        Cohen, Statistical power analysis for the behavioral sciences, 1988, chapter 5.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    found: Mapping[str, Any] = {
        "mcnemar_p": 1.0,
        "cohens_g": 0.0,
        "cohens_g_ci": [-0.5, 0.5],
    }
    if only_a + only_b:
        test = binomtest(only_b, only_a + only_b)
        share = test.proportion_ci(confidence_level=0.95, method="exact")
        found = {
            "mcnemar_p": float(test.pvalue),
            "cohens_g": float(test.statistic) - 0.5,
            "cohens_g_ci": [float(share.low) - 0.5, float(share.high) - 0.5],
        }
    counts = {
        "both_right": int((a & b).sum()),
        "only_a_right": only_a,
        "only_b_right": only_b,
        "both_wrong": int((~a & ~b).sum()),
    }
    return {"agreement": counts, **found}


def better(interval: Sequence[float] | None, p: float = 0.0) -> str:
    """`a` or `b` where an interval of B - A leaves 0 out and `p` is below 0.05, else `neither`;
    `unknown` without an interval."""
    if interval is None:
        return "unknown"
    low, high = interval
    if p >= _LEVEL or low <= 0 <= high:
        return "neither"
    return "b" if low > 0 else "a"
