"""Two detectors' answers on the same videos: differences with their intervals, and tests.

Differences are B - A. What draws or exchanges whole recordings holds whatever their clips have in
common; McNemar's test, DeLong's and Cohen's g take every video for independent of the others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, rankdata

from violence_detection.metrics import delong, intervals

# That each of five recordings favours one run happens to equal ones in 2 of 2^5 cases: over 5%.
MIN_RECORDINGS = 6
_LEVEL = 0.05
_NOISE = 1e-9  # differences this close are equal
_EXCHANGES = 1024  # of them all, or as many of them
_BLOCK_CELLS = 1 << 20  # exchanges x videos held at once


def accuracy_difference(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> dict[str, Any]:
    """The second accuracy less the first, with its interval and `exchange_p`.

    Args:
        correct_a, correct_b: bool (N,), N >= 1.
        groups: The recording of each video (N,); they are drawn with replacement.

    Returns:
        `accuracy_difference` in [-1, 1]; `ci`, its [low, high] at 95%; `accuracy_exchange_p`.
    """
    gain = np.asarray(correct_b, float) - np.asarray(correct_a, float)
    recording = np.unique(np.asarray(groups), return_inverse=True)[1]
    interval = intervals.bootstrap_over_recordings(
        recording,
        lambda counts: counts @ gain / counts.sum(axis=1),
        resamples=resamples,
        seed=seed,
    )
    gains = np.bincount(recording, gain)
    p = exchange_p(
        recording,
        lambda exchanged: np.where(exchanged, -gains, gains).sum(1),
        seed=seed,
    )
    return {
        "accuracy_difference": float(gain.mean()),
        "ci": interval,
        "accuracy_exchange_p": p,
    }


def auc_difference(
    violent: np.ndarray,
    probability_a: np.ndarray,
    probability_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> dict[str, Any]:
    """The second area under the ROC curve less the first, with two intervals and two tests.

    Args:
        violent: bool (N,).
        probability_a, probability_b: float (N,), in [0, 1].
        groups: The recording of each video (N,); they are drawn with replacement.

    Returns:
        `auc_difference` in [-1, 1], `auc_ci` over recordings, `auc_exchange_p`, `auc_ci_delong`,
        and `auc_p` of DeLong's test, two-sided. An interval that cannot be had is None; in
        `undefined` are the names of numbers that are 0.0, or a p of 1.0, only because they
        cannot be said.
    """
    recording = np.unique(np.asarray(groups), return_inverse=True)[1]
    auc_a, auc_b = (intervals.weighted_auc(violent, one) for one in (probability_a, probability_b))
    interval = intervals.bootstrap_over_recordings(
        recording,
        lambda counts: auc_b(counts) - auc_a(counts),
        resamples=resamples,
        seed=seed,
    )
    found = delong.difference(violent, probability_a, probability_b)
    numbers = {
        "auc_difference": found.value,
        "auc_exchange_p": None,
        "auc_p": found.p,
    }
    if found.value is not None:
        # Runs have scales of their own; places in a run's order can be exchanged.
        a, b = rankdata(probability_a), rankdata(probability_b)

        def difference(exchanged: np.ndarray) -> np.ndarray:
            of_videos = exchanged[:, recording]
            one, other = np.where(of_videos, b, a), np.where(of_videos, a, b)
            return _areas(violent, other) - _areas(violent, one)

        numbers["auc_exchange_p"] = exchange_p(recording, difference, seed=seed)
    instead = {"auc_difference": 0.0, "auc_exchange_p": 1.0, "auc_p": 1.0}
    undefined = [name for name, value in numbers.items() if value is None]
    return {
        **numbers,
        **{name: instead[name] for name in undefined},
        "auc_ci": interval,
        "auc_ci_delong": found.interval,
        "undefined": undefined,
    }


def exchange_p(
    recording: np.ndarray,
    difference: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int,
) -> float:
    """Two-sided p of no difference: if runs are equal, either might have given the other's
    answers to a whole recording; this is the share of such exchanges after which they differ as
    much. The answers as they are count as one.

    Args:
        recording: int (N,), in [0, R).
        difference: Takes bool (P, R), the recordings in which A and B change places; returns
            float (P,).
        seed: Of the 1,023 exchanges that are drawn where there are more than 1,024.

    Reference:
        Bandos, Rockette and Gur, A permutation test sensitive to differences in areas for
        comparing ROC curves from a paired design, 2005, https://doi.org/10.1002/sim.2149
    """
    count = int(recording.max()) + 1
    if 2**count <= _EXCHANGES:
        ways = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        ways = np.random.default_rng(seed).integers(0, 2, (_EXCHANGES, count))
        ways[0] = 0
    block = max(1, _BLOCK_CELLS // recording.size)
    starts = range(0, len(ways), block)
    values = [difference(ways[start : start + block] > 0) for start in starts]
    sizes = np.abs(np.concatenate(values))
    return float(np.mean(sizes >= sizes[0] - _NOISE))


def _areas(violent: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each row of scores, float (P, N) -> (P,)."""
    num_violent, num_normal = int(violent.sum()), int((~violent).sum())
    wins = rankdata(scores, axis=1)[:, violent].sum(1)
    return (wins - num_violent * (num_violent + 1) / 2) / (num_violent * num_normal)


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


def better_run(interval: Sequence[float] | None, p: float) -> str:
    """`a` or `b` where an interval of B - A leaves 0 out and `p` is below 0.05, else `neither`;
    `unknown` without an interval."""
    if interval is None:
        return "unknown"
    low, high = interval
    if p >= _LEVEL or low <= 0 <= high:
        return "neither"
    return "b" if low > 0 else "a"
