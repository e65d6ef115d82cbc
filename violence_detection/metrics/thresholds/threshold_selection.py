"""Choice of the threshold on validation or out-of-fold predictions, for an operating point.

`TrainingJob` calls it for the threshold of a run, `evaluation.thresholds` for another one.

`violent`, `probability` and `threshold` are as in `classification`. A cut is an interval between
two consecutive distinct probabilities, below the lowest, or above the highest: all thresholds in a
cut give the same decisions.
"""

import math
from collections.abc import Sequence

import numpy as np

from violence_detection.errors import EvidenceError
from violence_detection.metrics import classification, input_checks
from violence_detection.metrics.intervals import bootstrap_over_recordings, ratio
from violence_detection.metrics.thresholds.operating_points import (
    DEFAULT,
    FALSE_ALARMS_PER_HOUR,
    MAXIMISED,
    ChosenOperatingPoint,
    OperatingPoint,
)
from violence_detection.units import counted

_TIE = 1e-9  # rates with a smaller difference are equal
_BLOCK_CELLS = 1 << 18  # resamples x cuts computed at a time
_ERROR_CHANCE = 0.05  # of accepting a rate that is too low because a sample has no mistake
_DESCRIPTIONS = {
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
    chosen_on: str = "validation",
    resamples: int = 1000,
    seed: int = 42,
) -> ChosenOperatingPoint:
    """Chooses a threshold, and measures the rates that it achieves on the same videos.

    Args:
        asked: The text of an `operating_points.OperatingPoint`; None for the best balanced
            accuracy or, if there are too few videos to choose on, a threshold of 0.5.
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups: The recording of each video (N,).
        chosen_on: The name of the videos or predictions, in words.
        resamples, seed: See `intervals.bootstrap_over_recordings`.

    Returns:
        The threshold, with the rates of `achieved_rates`.

    Raises:
        EvidenceError: If there are too few videos for the operating point.
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    threshold, reason, is_chosen = _threshold_of(
        violent, probability, groups, asked=asked, chosen_on=chosen_on
    )
    point = OperatingPoint.from_text(asked or DEFAULT)
    bootstrap = {"resamples": resamples, "seed": seed}
    interval = None
    if is_chosen:
        cuts = _Cuts(violent, probability)
        interval = bootstrap_over_recordings(
            groups, lambda counts: cuts.thresholds(point, counts), **bootstrap
        )
    rates, intervals = achieved_rates(violent, probability, groups, threshold, **bootstrap)
    return ChosenOperatingPoint(
        asked=str(point),
        threshold=threshold,
        reason=reason,
        interval=interval,
        achieved=rates,
        achieved_ci=intervals,
        chosen_on=chosen_on,
        videos=int(violent.size),
        recordings=len(set(np.asarray(groups).tolist())),
    )


def choose_threshold(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    asked: str | None = None,
    chosen_on: str = "validation",
) -> tuple[float, str]:
    """The threshold of an operating point, and the reason for it.

    For a recall, it is the highest threshold that reaches it, for a false positive rate the
    lowest: the other rate is then best. It is the middle of that cut. For a rate that is
    maximised, neighbouring cuts with equal rates form a plateau. The widest of the best plateaus
    is chosen, of equally wide ones the one nearest to 0.5, and of that the middle: a few other
    videos would change it least.

    Args:
        violent, probability, groups, asked, chosen_on: As in `choose_operating_point`.

    Returns:
        The threshold, in [0, 1], and the reason in words. It is 0.5 if no cut has a better
        balanced accuracy than chance and, if `asked` is None, if a class has fewer than 20 videos
        or 5 recordings.

    Raises:
        EvidenceError: If there are too few videos for the operating point.
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    threshold, reason, _ = _threshold_of(
        violent, probability, groups, asked=asked, chosen_on=chosen_on
    )
    return threshold, reason


def _threshold_of(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    asked: str | None,
    chosen_on: str,
) -> tuple[float, str, bool]:
    """The threshold, the reason for it, and False if it is 0.5 because none could be chosen."""
    point = OperatingPoint.from_text(asked or DEFAULT)
    if asked:
        check_support(asked, violent, groups, among=chosen_on)
    elif too_few := classification.too_few_reason(violent, groups, among=chosen_on):
        return 0.5, f"0.5: {too_few}", False
    cuts = _Cuts(violent, probability)
    threshold = cuts.thresholds(point, np.ones((1, violent.size), int))[0]
    description = _DESCRIPTIONS[point.kind].format(goal=point.goal)
    if math.isnan(threshold):
        reason = (
            f"no threshold beats chance on {chosen_on} ({violent.size} videos)"
            if point.kind in MAXIMISED
            else f"no threshold has {description} on {chosen_on}"
        )
        return 0.5, f"0.5: {reason}", False
    return float(threshold), f"{description} on {chosen_on} ({violent.size} videos)", True


def check_support(
    asked: str | None,
    violent: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    among: str = "validation",
) -> None:
    """Raises EvidenceError if there are too few videos for an operating point.

    A rate of r (recall, or 1 - false positive rate) needs `videos_needed(r)` videos of its class.
    This is a lower limit, because the videos are counted as if they were independent.

    Args:
        asked: As in `choose_operating_point`; None needs no minimum.
        violent: bool (N,).
        groups: The recording of each video (N,).
        among: The name of the videos or predictions, in words.

    Raises:
        EvidenceError: If there are too few; the message says how many are needed.
    """
    if asked is None:
        return
    point = OperatingPoint.from_text(asked)
    violent = np.asarray(violent, bool)
    if too_few := classification.too_few_reason(violent, groups, among=among):
        raise EvidenceError(f"--operating-point {asked} needs more videos. Received: {too_few}")
    if point.kind in (*MAXIMISED, FALSE_ALARMS_PER_HOUR):
        return
    name, members, rate = (
        ("violent", violent, point.goal)
        if point.kind == "recall"
        else ("normal", ~violent, 1 - point.goal)
    )
    needed, available = videos_needed(rate), int(members.sum())
    if available < needed:
        raise EvidenceError(
            f"--operating-point {asked} must be chosen on {counted(needed, f'{name} video')} or "
            "more: with fewer, even no mistake at all does not show that rate. Received: "
            f"{among} with {available}"
        )


def videos_needed(rate: float) -> int:
    """The smallest number of videos that can show, at 95%, a rate above `rate`.

    It is ``ln 0.05 / ln rate``, about 3 / (1 - rate): with fewer, a detector of a lower rate has no
    mistake either with a chance of over 5%.

    Reference:
        Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, 1983,
        https://doi.org/10.1001/jama.1983.03330370053031
    """
    return math.ceil(math.log(_ERROR_CHANCE) / math.log(rate))


def achieved_rates(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    threshold: float,
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, list[float] | None]]:
    """The rates of a threshold, and their intervals.

    Args:
        violent, probability, groups, resamples, seed: As in `choose_operating_point`.
        threshold: In [0, 1].

    Returns:
        recall, false_positive_rate, precision, f1 and balanced_accuracy, in [0, 1], 0.0 if the
        denominator is 0; and the interval of each, [low, high] over recordings, None if it is not
        defined.
    """
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
        name: getattr(rates, "false_alarm_rate" if name == "false_positive_rate" else name)
        for name in names
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
    """The cuts of N probabilities. U of them are distinct, so there are U + 1 cuts."""

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
        # There is no cut above a probability of 1.
        self._has_last = not ordered.size or ordered[-1] < 1.0

    def thresholds(self, point: OperatingPoint, counts: np.ndarray) -> np.ndarray:
        """The threshold in each of R resamples, float (R,); NaN if none meets the criterion.

        Args:
            point: The criterion.
            counts: How often each video is in each resample, int (R, N).
        """
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
        num_violent = positive.sum(axis=1, keepdims=True)
        num_normal = negative.sum(axis=1, keepdims=True)
        hits = num_violent - _sums_before(positive)
        alarms = num_normal - _sums_before(negative)
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
        # Neighbouring floats have no middle; the threshold is then the upper one.
        return np.where(middle > low, middle, high)

    def _best(self, values: np.ndarray, chance: float) -> float:
        """The middle of the widest run of the best cuts; NaN if none is above chance."""
        highest = np.nanmax(values, initial=-1.0)
        if not highest > chance + _TIE:
            return math.nan
        best = np.concatenate([[0], values >= highest - _TIE, [0]])
        edges = np.diff(best.astype(int))
        low = self._edges[np.flatnonzero(edges == 1)]
        high = self._edges[np.flatnonzero(edges == -1)]
        # Rounded, so that widths which differ by float rounding only are equal.
        width, distance = np.round(high - low, 9), np.abs((low + high) / 2 - 0.5)
        chosen = np.lexsort((low, distance, -width))[0]
        middle = (low[chosen] + high[chosen]) / 2
        return float(middle if middle > low[chosen] else high[chosen])


def _sums_before(values: np.ndarray) -> np.ndarray:
    """Sums of the values before each cut: (R, U) -> (R, U + 1)."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
