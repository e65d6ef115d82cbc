"""Paired tests of two classifiers on the same videos.

Differences are B - A. Bootstrap intervals and exchange tests treat whole recordings as the
independent units, so that they are valid however similar the clips of a recording are. McNemar's
test, DeLong's test and Cohen's g take videos as independent of each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, rankdata

from violence_detection.metrics import delong, intervals

# With five recordings, all favour the same run in 2 of 2^5 cases if the runs are equal: over 5%.
MIN_RECORDINGS = 6
_LEVEL = 0.05
_ROUNDING = 1e-9  # a smaller difference between differences is rounding
_EXCHANGES = 1024  # exchanges drawn, if there are more
_BLOCK_CELLS = 1 << 20  # exchanges x videos in memory at a time


@dataclass(frozen=True)
class PairedAccuracyDifference:
    """The accuracy of B minus that of A.

    Attributes:
        accuracy_difference: In [-1, 1].
        ci: Its [low, high] at 95%, a bootstrap over recordings; None without videos.
        accuracy_exchange_p: See `exchange_p`.
    """

    accuracy_difference: float
    ci: Sequence[float] | None
    accuracy_exchange_p: float


@dataclass(frozen=True)
class PairedAucDifference:
    """The area under the ROC curve of B minus that of A, with two intervals and two tests.

    An interval that cannot be computed is None. A difference or p that cannot be computed is 0.0
    or 1.0, and its name is in `undefined`.

    Attributes:
        auc_difference: In [-1, 1].
        auc_exchange_p: See `exchange_p`.
        auc_p: p of DeLong's test, two-sided.
        auc_ci: [low, high] at 95%, a bootstrap over recordings.
        auc_ci_delong: [low, high] at 95%, of independent videos.
        undefined: Names of the numbers above that cannot be computed.
    """

    auc_difference: float
    auc_exchange_p: float
    auc_p: float
    auc_ci: Sequence[float] | None
    auc_ci_delong: Sequence[float] | None
    undefined: Sequence[str]


@dataclass(frozen=True)
class Discordance:
    """McNemar's exact test and Cohen's g, of the videos that exactly one run gets right.

    If no video is right in exactly one run, the three numbers are 1.0, 0.0 and [-0.5, 0.5].

    Attributes:
        agreement: Counts of videos: both_right, only_a_right, only_b_right, both_wrong.
        mcnemar_p: Two-sided.
        cohens_g: The fraction of the videos in which the runs differ that B gets right, minus
            0.5; in [-0.5, 0.5].
        cohens_g_ci: Its exact [low, high] at 95% (Clopper and Pearson).
    """

    agreement: Mapping[str, int]
    mcnemar_p: float
    cohens_g: float
    cohens_g_ci: Sequence[float]


def accuracy_difference(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> PairedAccuracyDifference:
    """The accuracy of B minus that of A, with its bootstrap interval and `exchange_p`.

    Args:
        correct_a, correct_b: bool (N,), N >= 1; of several repeats the fraction of them in which
            a video is predicted right, float (N,).
        groups: The recording of each video (N,).
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    difference = np.asarray(correct_b, float) - np.asarray(correct_a, float)
    recording = np.unique(np.asarray(groups), return_inverse=True)[1]
    interval = intervals.bootstrap_over_recordings(
        recording,
        lambda counts: counts @ difference / counts.sum(axis=1),
        resamples=resamples,
        seed=seed,
    )
    by_recording = np.bincount(recording, difference)
    p = exchange_p(
        recording,
        lambda exchanged: np.where(exchanged, -by_recording, by_recording).sum(1),
        seed=seed,
    )
    return PairedAccuracyDifference(float(difference.mean()), interval, p)


def auc_difference(
    violent: np.ndarray,
    probability_a: np.ndarray,
    probability_b: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> PairedAucDifference:
    """The area under the ROC curve of B minus that of A, with two intervals and two tests.

    Args:
        violent: bool (N,).
        probability_a, probability_b: float (N,), in [0, 1]; or (R, N), of R repeats, whose areas
            are averaged.
        groups: The recording of each video (N,).
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    recording = np.unique(np.asarray(groups), return_inverse=True)[1]
    repeats_a, repeats_b = np.atleast_2d(probability_a), np.atleast_2d(probability_b)
    areas_a = [intervals.weighted_auc(violent, row) for row in repeats_a]
    areas_b = [intervals.weighted_auc(violent, row) for row in repeats_b]
    interval = intervals.bootstrap_over_recordings(
        recording,
        lambda counts: np.mean(
            [b(counts) - a(counts) for a, b in zip(areas_a, areas_b, strict=True)], axis=0
        ),
        resamples=resamples,
        seed=seed,
    )
    delongs = delong.difference(violent, probability_a, probability_b)
    numbers = {
        "auc_difference": delongs.value,
        "auc_exchange_p": None,
        "auc_p": delongs.p,
    }
    if delongs.value is not None:
        # The probabilities of two runs have different scales; their ranks can be exchanged.
        ranks = [(rankdata(a), rankdata(b)) for a, b in zip(repeats_a, repeats_b, strict=True)]

        def difference(exchanged: np.ndarray) -> np.ndarray:
            of_videos = exchanged[:, recording]
            return np.mean(
                [
                    _areas(violent, np.where(of_videos, a, b))
                    - _areas(violent, np.where(of_videos, b, a))
                    for a, b in ranks
                ],
                axis=0,
            )

        numbers["auc_exchange_p"] = exchange_p(recording, difference, seed=seed)
    placeholders = {"auc_difference": 0.0, "auc_exchange_p": 1.0, "auc_p": 1.0}
    undefined = [name for name, value in numbers.items() if value is None]
    return PairedAucDifference(
        **numbers | {name: placeholders[name] for name in undefined},
        auc_ci=interval,
        auc_ci_delong=delongs.interval,
        undefined=undefined,
    )


def exchange_p(
    recording: np.ndarray,
    difference: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int,
) -> float:
    """Two-sided p of no difference, by exchanging the runs' predictions of whole recordings.

    If the runs are equal, the predictions of A and B for a recording can be exchanged. p is the
    fraction of exchanges, the unchanged predictions included, after which the runs differ as much
    as they do.

    Args:
        recording: The recording of each video, int (N,), in [0, R).
        difference: A function of bool (P, R), the recordings that are exchanged in each of P
            exchanges. It returns B - A after each, float (P,).
        seed: Draws 1,023 exchanges if there are more than 1,024.

    Reference:
        Bandos, Rockette and Gur, A permutation test sensitive to differences in areas for
        comparing ROC curves from a paired design, 2005, https://doi.org/10.1002/sim.2149
    """
    count = int(recording.max()) + 1
    if 2**count <= _EXCHANGES:
        exchanges = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        exchanges = np.random.default_rng(seed).integers(0, 2, (_EXCHANGES, count))
        exchanges[0] = 0  # the unchanged predictions
    block = max(1, _BLOCK_CELLS // recording.size)
    starts = range(0, len(exchanges), block)
    values = [difference(exchanges[start : start + block] > 0) for start in starts]
    sizes = np.abs(np.concatenate(values))
    return float(np.mean(sizes >= sizes[0] - _ROUNDING))


def _areas(violent: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each row of scores, float (P, N) -> (P,)."""
    num_violent, num_normal = int(violent.sum()), int((~violent).sum())
    wins = rankdata(scores, axis=1)[:, violent].sum(1)
    return (wins - num_violent * (num_violent + 1) / 2) / (num_violent * num_normal)


def discordance(correct_a: np.ndarray, correct_b: np.ndarray) -> Discordance:
    """McNemar's exact test and Cohen's g, of the videos that exactly one run gets right.

    Cohen's g is the fraction of them that B gets right, minus 0.5: 0.05 is small, 0.15 medium,
    0.25 large. Unlike an odds ratio, it is finite if one run gets all of them right.

    Args:
        correct_a, correct_b: bool (N,).

    Reference:
        McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, 1947, https://doi.org/10.1007/BF02295996
        Cohen, Statistical power analysis for the behavioral sciences, 1988, chapter 5.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    agreement = {
        "both_right": int((a & b).sum()),
        "only_a_right": only_a,
        "only_b_right": only_b,
        "both_wrong": int((~a & ~b).sum()),
    }
    if not only_a + only_b:
        return Discordance(agreement, mcnemar_p=1.0, cohens_g=0.0, cohens_g_ci=[-0.5, 0.5])
    test = binomtest(only_b, only_a + only_b)
    interval = test.proportion_ci(confidence_level=0.95, method="exact")
    return Discordance(
        agreement,
        mcnemar_p=float(test.pvalue),
        cohens_g=float(test.statistic) - 0.5,
        cohens_g_ci=[float(interval.low) - 0.5, float(interval.high) - 0.5],
    )


def better_run(interval: Sequence[float] | None, p: float) -> str:
    """The better run: `a` or `b` if the interval of B - A does not contain 0 and `p` is below 0.05,
    else `neither`; `unknown` if `interval` is None."""
    if interval is None:
        return "unknown"
    low, high = interval
    if p >= _LEVEL or low <= 0 <= high:
        return "neither"
    return "b" if low > 0 else "a"
