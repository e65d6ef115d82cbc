"""Where to put the threshold: the operating point that was asked for, as validation gives it.

`violent`, `probability` and the threshold are as in `metrics`; a cut is a place between two
consecutive distinct probabilities, below the lowest, or above the highest.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection.errors import EvidenceError
from violence_detection.metrics import classification, input_checks
from violence_detection.metrics.intervals import bootstrap_over_recordings, ratio
from violence_detection.metrics.operating_points import (
    DEFAULT,
    FALSE_ALARMS_PER_HOUR,
    MAXIMISED,
    OperatingPoint,
)
from violence_detection.units import counted

_TIE = 1e-9  # rates this close are equal
_BLOCK_CELLS = 1 << 18  # resamples x cuts looked at at once
_UNSHOWN = 0.05  # chance that a sample without any miss is one of a rate that is too high
_WORDS = {
    "balanced_accuracy": "best balanced accuracy",
    "best_f1": "best F1",
    "recall": "recall of {goal:g} or more",
    "false_positive_rate": "false positive rate of {goal:g} or less",
}


def choose_operating_point(
    asked: str | None,
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 42,
) -> dict[str, Any]:
    """The operating point of validation, with what it gives there.

    Args:
        asked: As `points.Point` reads it; None is the best balanced accuracy or, where
            validation is too small to choose on, 0.5.
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups: The recording of each video (N,).
        resamples, seed: Of the recordings, behind the intervals.

    Returns:
        `asked`, `threshold`, `reason`; `interval`, [low, high] of the threshold, chosen anew in
        each resample (None where it was not chosen); `achieved` and `achieved_ci`, see
        `achieved`; `from`, `videos`, `recordings`.

    Raises:
        EvidenceError: If the videos cannot support what was asked for.
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    threshold, reason = choose_threshold(violent, probability, groups, asked=asked)
    point = OperatingPoint.of(asked or DEFAULT)
    draw = {"resamples": resamples, "seed": seed}
    interval = None
    if not reason.startswith("0.5: "):
        cuts = _Cuts(violent, probability)
        interval = bootstrap_over_recordings(
            groups, lambda counts: cuts.thresholds(point, counts), **draw
        )
    rates, intervals = achieved_rates(violent, probability, groups, threshold, **draw)
    return {
        "asked": str(point),
        "threshold": threshold,
        "reason": reason,
        "interval": interval,
        "achieved": rates,
        "achieved_ci": intervals,
        "from": "validation",
        "videos": int(violent.size),
        "recordings": len(set(np.asarray(groups).tolist())),
    }


def choose_threshold(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    asked: str | None = None,
) -> tuple[float, str]:
    """The threshold of an operating point on validation, and why it is that.

    A rate that is asked for is reached at the best price: recall at the highest threshold
    that has it, a false positive rate at the lowest; both in the middle of the cut. Of what is to
    be best, neighbouring cuts that are equally good make one plateau; of the best plateaus the
    widest is taken, of equally wide ones that nearest 0.5, and in it the middle: the threshold
    that other videos are least likely to upset.

    Args:
        violent, probability, groups, asked: As in `choose`.

    Returns:
        The threshold, in [0, 1], and a reason in words. It is 0.5 where no cut has a better
        balanced accuracy than chance and, if nothing was asked for, where a class has fewer
        than 20 videos or 5 recordings.

    Raises:
        EvidenceError: If the videos cannot support what was asked for.
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    point = OperatingPoint.of(asked or DEFAULT)
    if asked:
        check_support(asked, violent, groups)
    elif too_few := classification.too_few_reason(violent, groups):
        return 0.5, f"0.5: {too_few}"
    found = _Cuts(violent, probability).thresholds(point, np.ones((1, violent.size), int))[0]
    if math.isnan(found):
        return 0.5, (
            f"0.5: no threshold beats chance on validation ({violent.size} videos)"
            if point.kind in MAXIMISED
            else f"0.5: no threshold has {_WORDS[point.kind].format(goal=point.goal)} on validation"
        )
    reason = f"{_WORDS[point.kind].format(goal=point.goal)} on validation"
    return float(found), f"{reason} ({violent.size} videos)"


def check_support(
    asked: str | None, violent: np.ndarray, groups: Sequence[str] | np.ndarray
) -> None:
    """Whether validation videos can support an operating point; None is always supported.

    A share of r asks for ``ln 0.05 / ln r`` videos (r is recall, or 1 - false positive rate): with
    fewer, even one without a single mistake would not show it at 95%. The videos are counted
    as if they were independent, so this is the least that is needed.

    Args:
        asked: As in `choose`, without alarms per hour.
        violent: bool (N,).
        groups: The recording of each video (N,).

    Raises:
        EvidenceError: If they are too few; it says how many are needed.
    """
    if asked is None:
        return
    point = OperatingPoint.of(asked)
    violent = np.asarray(violent, bool)
    if too_few := classification.too_few_reason(violent, groups):
        raise EvidenceError(
            f"--operating-point {asked} must have more to be chosen on. Received: {too_few}"
        )
    if point.kind in (*MAXIMISED, FALSE_ALARMS_PER_HOUR):
        return
    name, members, share = (
        ("violent", violent, point.goal)
        if point.kind == "recall"
        else ("normal", ~violent, 1 - point.goal)
    )
    needed, there = videos_needed(share), int(members.sum())
    if there < needed:
        raise EvidenceError(
            f"--operating-point {asked} must be chosen on {counted(needed, f'{name} video')} or "
            "more: fewer cannot show it, even without one mistake. Received: validation with "
            f"{there}"
        )


def videos_needed(share: float) -> int:
    """Videos of which all must be right to show, at 95%, that more than `share` are:
    ``ln 0.05 / ln share``, about 3 / (1 - share).

    Reference:
        Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, 1983,
        https://doi.org/10.1001/jama.1983.03330370053031
    """
    return math.ceil(math.log(_UNSHOWN) / math.log(share))


def achieved_rates(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    threshold: float,
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, list[float] | None]]:
    """What a threshold gives on some videos: recall, false_positive_rate, precision, f1 and
    balanced_accuracy, in [0, 1], 0.0 where there is nothing to rate; and the interval of each,
    [low, high] over recordings, None where it is not defined."""
    violent, probability = input_checks.checked_scores(violent, probability)
    rates = classification.binary_metrics(violent, probability, threshold)
    alarm = probability >= threshold

    def rates_of(counts: np.ndarray) -> dict[str, np.ndarray]:
        hits, alarms = counts @ (alarm & violent), counts @ alarm
        positive, total = counts @ violent, counts.sum(axis=1)
        recall = ratio(hits, positive)
        false_positive = ratio(alarms - hits, total - positive)
        return {
            "recall": recall,
            "false_positive_rate": false_positive,
            "precision": ratio(hits, alarms),
            "f1": ratio(2 * hits, positive + alarms),
            "balanced_accuracy": (recall + 1 - false_positive) / 2,
        }

    names = rates_of(np.ones((1, violent.size), int)).keys()
    values = {
        name: rates["false_alarm_rate" if name == "false_positive_rate" else name] for name in names
    }
    intervals = {
        name: bootstrap_over_recordings(
            groups,
            lambda counts, name=name: rates_of(counts)[name],
            resamples=resamples,
            seed=seed,
        )
        for name in names
    }
    return values, intervals


class _Cuts:
    """The cuts of N probabilities; U of them are distinct, so there are U + 1."""

    def __init__(self, violent: np.ndarray, probability: np.ndarray) -> None:
        """
        Args:
            violent: bool (N,).
            probability: float64 (N,), in [0, 1].
        """
        self._order = np.argsort(probability, kind="stable")
        ordered = probability[self._order]
        self._violent = violent[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1.0))
        self._edges = np.concatenate([[0.0], ordered[self._starts], [1.0]])
        # Nothing is above a probability of 1.
        self._has_last = not ordered.size or ordered[-1] < 1.0

    def thresholds(self, point: OperatingPoint, counts: np.ndarray) -> np.ndarray:
        """The threshold of a point where video n counts `counts[r, n]` times, float (R,); NaN
        where there is none."""
        block = max(1, _BLOCK_CELLS // self._edges.size)
        parts = [
            self._thresholds(point, counts[start : start + block])
            for start in range(0, len(counts), block)
        ]
        return np.concatenate(parts)

    def _thresholds(self, point: OperatingPoint, counts: np.ndarray) -> np.ndarray:
        recall, false_positive, f1 = self._rates(counts)
        if point.kind == "recall":
            cut = (recall >= point.goal - _TIE).sum(axis=1) - 1
            return np.where(cut < 0, np.nan, self._middles[cut])
        if point.kind == "false_positive_rate":
            low_enough = false_positive <= point.goal + _TIE
            cut = np.argmax(low_enough, axis=1)
            return np.where(low_enough.any(axis=1), self._middles[cut], np.nan)
        if point.kind == "best_f1":
            values, chance = f1, 0.0
        else:
            values, chance = (recall + 1 - false_positive) / 2, 0.5
        return np.array([self._best(row, chance) for row in values])

    def _rates(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Recall, false positive rate and F1 of each cut, (R, U + 1) or (R, U)."""
        counts = counts[:, self._order].astype(float)
        positive = np.add.reduceat(counts * self._violent, self._starts, axis=1)
        negative = np.add.reduceat(counts * ~self._violent, self._starts, axis=1)
        num_violent, num_normal = (one.sum(axis=1, keepdims=True) for one in (positive, negative))
        hits = num_violent - _before(positive)
        alarms = num_normal - _before(negative)
        if not self._has_last:
            hits, alarms = hits[:, :-1], alarms[:, :-1]
        return (
            ratio(hits, num_violent),
            ratio(alarms, num_normal),
            ratio(2 * hits, num_violent + hits + alarms),
        )

    @property
    def _middles(self) -> np.ndarray:
        """A threshold in each cut, (U + 1,)."""
        low, high = self._edges[:-1], self._edges[1:]
        middle = (low + high) / 2
        # Between neighbouring floats there is no middle: the cut is then at the upper one.
        return np.where(middle > low, middle, high)

    def _best(self, values: np.ndarray, chance: float) -> float:
        """The middle of the widest run of the best cuts; NaN where none is above chance."""
        most = np.nanmax(values, initial=-1.0)
        if not most > chance + _TIE:
            return math.nan
        best = np.concatenate([[0], values >= most - _TIE, [0]])
        edges = np.diff(best.astype(int))
        low, high = (
            self._edges[np.flatnonzero(edges == side)] for side in (1, -1)
        )  # fmt: skip
        # Rounded, so that widths which differ only by float noise count as equal.
        width, distance = np.round(high - low, 9), np.abs((low + high) / 2 - 0.5)
        chosen = np.lexsort((low, distance, -width))[0]
        middle = (low[chosen] + high[chosen]) / 2
        return float(middle if middle > low[chosen] else high[chosen])


def _before(values: np.ndarray) -> np.ndarray:
    """Sums of what comes before each cut: (R, U) -> (R, U + 1)."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
