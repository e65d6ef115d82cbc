"""False alarms per camera-hour, measured on normal footage."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from violence_detection.errors import EvidenceError
from violence_detection.evaluation.footage.alarm_counts import PLAIN, AlarmRule, VideoAlarms
from violence_detection.inference.prediction_records import Window
from violence_detection.inference.segments import LOWER_FRACTION
from violence_detection.metrics import intervals
from violence_detection.metrics.rate_per_hour import hours_needed, poisson_interval
from violence_detection.reports.evaluation.evaluation_result import FootageAlarms

_MAX_THRESHOLDS = 512  # that are tried in a resample
_MAX_REPLAYS = 64  # of a policy, at as many thresholds
_TIE = 1e-9


@dataclass(frozen=True)
class ScoredFootage:
    """Normal footage, scored with the sliding window.

    Attributes:
        names: Names of F videos.
        hours: Length of each video, float64 (F,).
        videos: The alarms of each.
        rule: What makes an alarm.
    """

    names: Sequence[str]
    hours: np.ndarray
    videos: Sequence[VideoAlarms]
    rule: AlarmRule = PLAIN

    @classmethod
    def from_windows(cls, windows: Mapping[str, Sequence[Window]], rule: AlarmRule = PLAIN) -> Self:
        """The footage of the windows of each video, by name."""
        seconds = [rows[-1].end_s - rows[0].start_s for rows in windows.values()]
        videos = [VideoAlarms.from_windows(rows, rule) for rows in windows.values()]
        return cls(list(windows), np.array(seconds) / 3600, videos, rule)

    @property
    def total_hours(self) -> float:
        return float(self.hours.sum())

    def counts(self, thresholds: np.ndarray) -> np.ndarray:
        """Alarms in each video at each of U thresholds, int64 (F, U)."""
        return np.stack([video.counts(thresholds) for video in self.videos])

    def minutes(self, thresholds: np.ndarray) -> np.ndarray:
        """Minutes in alarm in each video at each of U thresholds, float64 (F, U)."""
        return np.stack([video.minutes(thresholds) for video in self.videos])

    def alarms_at(self, threshold: float, *, resamples: int, seed: int) -> FootageAlarms:
        """The alarms at a threshold."""
        counts = self.counts(np.array([threshold]))[:, 0]
        alarms, hours = int(counts.sum()), self.total_hours
        interval = None
        if alarms:
            interval = self._interval_over_videos(
                lambda weights: (weights @ counts) / (weights @ self.hours),
                resamples=resamples,
                seed=seed,
            )
        return FootageAlarms(
            dir="",
            videos=len(self.names),
            hours=hours,
            alarms=alarms,
            alarm_minutes=float(self.minutes(np.array([threshold])).sum()),
            alarms_per_hour=alarms / hours,
            alarms_per_hour_ci=poisson_interval(alarms, hours),
            alarms_per_hour_ci_videos=interval,
            confirm=self.rule.confirm_text,
            close_gaps_s=self.rule.close_gaps_s,
        )

    def check_support(self, per_hour: float) -> None:
        """Checks that the footage is long enough to show a rate of false alarms.

        Raises:
            EvidenceError: If the footage is too short to show the rate even without an alarm.
        """
        needed = hours_needed(per_hour)
        if self.total_hours < needed:
            raise EvidenceError(
                f"--operating-point false_alarms_per_hour={per_hour!r} must have {needed:.1f} "
                "hours of normal footage or more: fewer cannot show that rate, even without an "
                f"alarm. Received: {self.total_hours:.2f} hours"
            )

    def choose_threshold(self, per_hour: float) -> tuple[float, str]:
        """The lowest threshold that keeps the rate, and the reason in words.

        A higher threshold may split an alarm in two, so the number of alarms does not only fall:
        every threshold above the chosen one keeps the rate too; those that were tried, where the
        rule is not plain. A long alarm counts once a minute here: at a threshold of 0 there is a
        single alarm that never ends.

        Raises:
            EvidenceError: If no threshold keeps the rate.
        """
        edges = self._edges()
        first = self._first_that_keeps(edges, per_hour)
        if first == edges.size:
            alarms = int(self.counts(edges[-1:]).sum())
            raise EvidenceError(
                "Some threshold must keep the rate of false alarms that was asked for. Received: "
                f"normal footage in which {alarms} alarms have the probability 1"
            )
        rule = f"; {self.rule}" if str(self.rule) else ""
        goal = f"{per_hour:g} or fewer false alarms per hour"
        reason = f"{goal} of normal footage ({self.total_hours:.1f} h{rule})"
        return _middle_below(edges, first), reason

    def _first_that_keeps(self, edges: np.ndarray, per_hour: float) -> int:
        """Index of the lowest of some ascending thresholds from which on all keep the rate; their
        number if the last does not."""
        if self.rule.is_plain:
            counts = sum(video.counts(edges) for video in self.videos)
            rates = counts / self.total_hours
            rates[: self._quiet_from(edges, per_hour)] = math.inf
            return _first_below(rates, per_hour)

        def keeps(place: int) -> bool:
            at = edges[place : place + 1]
            burden = max(self.counts(at).sum(), self.minutes(at).sum())
            return burden / self.total_hours <= per_hour + _TIE

        # Each replay takes time: a few from the top down, then a bisection.
        good = edges.size
        for place in _denser_at_the_end(edges.size, _MAX_REPLAYS)[::-1].tolist():
            if not keeps(place):
                return bisect.bisect_left(range(edges.size), True, place + 1, good, key=keeps)
            good = place
        return good

    def threshold_interval(
        self, per_hour: float, *, resamples: int, seed: int
    ) -> list[float] | None:
        """[low, high] of the threshold, chosen again on videos drawn with replacement; None for a
        single video.

        At most 512 thresholds are tried, denser near 1; where the rule is not plain 64, denser near
        the chosen one.
        """
        edges = self._edges()
        if self.rule.is_plain:
            edges = edges[_denser_at_the_end(edges.size, _MAX_THRESHOLDS)]
        else:
            first = min(self._first_that_keeps(edges, per_hour), edges.size - 1)
            below = _denser_at_the_end(first + 1, _MAX_REPLAYS // 2)
            above = edges.size - 1 - _denser_at_the_end(edges.size - first, _MAX_REPLAYS // 2)
            edges = edges[np.union1d(below, above)]
        counts, minutes = self.counts(edges), self.minutes(edges)

        def chosen(weights: np.ndarray) -> np.ndarray:
            hours = weights @ self.hours
            burden = np.maximum(weights @ counts, weights @ minutes)
            rates = burden / hours[:, None]
            first = [_first_below(row, per_hour) for row in rates]
            return np.array([_middle_below(edges, place) for place in first])

        return self._interval_over_videos(chosen, resamples=resamples, seed=seed)

    def _edges(self) -> np.ndarray:
        """The thresholds at which alarms may change, ascending: the probability of a window, that
        probability as a lower threshold, and 1."""
        upper = np.concatenate([video.table[:, 2] for video in self.videos])
        edges = np.concatenate([upper, upper / LOWER_FRACTION])
        return np.union1d(edges[edges < 1], [1.0])

    def _quiet_from(self, edges: np.ndarray, per_hour: float) -> int:
        """Index of the lowest of some ascending thresholds with at most `per_hour` minutes in alarm
        per hour; higher thresholds never have more."""

        def is_quiet(place: int) -> bool:
            minutes = self.minutes(edges[place : place + 1]).sum()
            return minutes / self.total_hours <= per_hour + _TIE

        return bisect.bisect_left(range(edges.size), True, key=is_quiet)

    def _interval_over_videos(self, statistic, **resampling: int) -> list[float] | None:
        if len(self.names) < 2:
            return None
        return intervals.bootstrap_over_recordings(self.names, statistic, **resampling)


def _denser_at_the_end(count: int, at_most: int) -> np.ndarray:
    """Indices below `count`, ascending: all if they are few, else 0, the last ones, and fewer
    between."""
    if count <= at_most:
        return np.arange(count)
    return np.unique(count - np.geomspace(1, count, min(at_most, count)).astype(int))


def _first_below(rates: np.ndarray, per_hour: float) -> int:
    """Index of the first rate from which on none is above `per_hour`; the number of rates if the
    last one is."""
    too_many = np.flatnonzero(rates > per_hour + _TIE)
    return int(too_many[-1]) + 1 if too_many.size else 0


def _middle_below(edges: np.ndarray, place: int) -> float:
    """The middle of the gap below a threshold; NaN for none.

    Args:
        edges: Thresholds (U,), ascending; between two of them the alarms are those of the upper.
        place: Index of the upper one, or U.
    """
    if place == edges.size:
        return math.nan
    low, upper = edges[place - 1] if place else 0.0, edges[place]
    middle = (low + upper) / 2
    return float(middle if middle > low else upper)
