"""False alarms per camera-hour, measured on normal footage."""

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import chi2

from violence_detection.errors import EvidenceError
from violence_detection.inference.prediction_records import Window
from violence_detection.inference.segments import LOWER_FRACTION, default_lower_threshold
from violence_detection.metrics import intervals
from violence_detection.reports.evaluation_result import FootageAlarms
from violence_detection.units import TOUCH_S

_ERROR_RATE = 0.05
_MAX_THRESHOLDS = 512  # that are tried in a resample
_TIE = 1e-9


def poisson_interval(count: int, exposure: float, level: float = 0.95) -> list[float]:
    """The exact interval of a rate, `count` events in `exposure` hours (Garwood).

    ``chi2(a / 2; 2 k) / 2`` and ``chi2(1 - a / 2; 2 k + 2) / 2`` over the exposure, a = 1 - level.
    It takes the alarms as independent; `ScoredFootage.alarms_at` also gives an interval over
    videos.

    Reference:
        Garwood, Fiducial limits for the Poisson distribution, 1936,
        https://doi.org/10.1093/biomet/28.3-4.437
    """
    outside = (1 - level) / 2
    low = chi2.ppf(outside, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(1 - outside, 2 * count + 2) / 2
    return [float(low / exposure), float(high / exposure)]


def hours_needed(per_hour: float) -> float:
    """Hours without any alarm that show, at 95%, a rate of at most `per_hour`:
    ``-ln 0.05 / per_hour``, the rule of three."""
    return -math.log(_ERROR_RATE) / per_hour


@dataclass(frozen=True)
class ScoredFootage:
    """Normal footage, scored with the sliding window.

    Attributes:
        names: Names of F videos.
        hours: Length of each video, float64 (F,).
        threshold_ranges: For each video, float64 (M, 2), a row for each possible alarm, which
            exists at thresholds above the first and at most the second number.
        windows: For each video, float64 (W, 3): start and end in seconds, and probability.
    """

    names: Sequence[str]
    hours: np.ndarray
    threshold_ranges: Sequence[np.ndarray]
    windows: Sequence[np.ndarray]

    @classmethod
    def from_windows(cls, windows: Mapping[str, Sequence[Window]]) -> Self:
        """The footage of the windows of each video, by name."""
        seconds = [rows[-1].end_s - rows[0].start_s for rows in windows.values()]
        return cls(
            list(windows),
            np.array(seconds) / 3600,
            [threshold_ranges(rows) for rows in windows.values()],
            [_window_table(rows) for rows in windows.values()],
        )

    @property
    def total_hours(self) -> float:
        return float(self.hours.sum())

    def counts(self, thresholds: np.ndarray) -> np.ndarray:
        """Alarms in each video at each of U thresholds, int64 (F, U)."""
        return np.stack([_alarm_counts(ranges, thresholds) for ranges in self.threshold_ranges])

    def minutes(self, thresholds: np.ndarray) -> np.ndarray:
        """Minutes in alarm in each video at each of U thresholds, float64 (F, U)."""
        return np.stack([_minutes(windows, thresholds) for windows in self.windows])

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
        )

    def check_support(self, per_hour: float) -> None:
        """
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
        every threshold above the chosen one keeps the rate too. A long alarm counts once a minute
        here: at a threshold of 0 there is a single alarm that never ends.

        Raises:
            EvidenceError: If no threshold keeps the rate.
        """
        edges = self._edges()
        counts = sum(_alarm_counts(ranges, edges) for ranges in self.threshold_ranges)
        rates = counts / self.total_hours
        rates[: self._quiet_from(edges, per_hour)] = math.inf
        threshold = _lowest_threshold(edges, rates, per_hour)
        if math.isnan(threshold):
            raise EvidenceError(
                "Some threshold must keep the rate of false alarms that was asked for. Received: "
                f"normal footage in which {int(counts[-1])} alarms have the probability 1"
            )
        goal = f"{per_hour:g} or fewer false alarms per hour"
        return threshold, f"{goal} of normal footage ({self.total_hours:.1f} h)"

    def threshold_interval(
        self, per_hour: float, *, resamples: int, seed: int
    ) -> list[float] | None:
        """[low, high] of the threshold, chosen again on videos drawn with replacement; None for a
        single video.

        At most 512 thresholds are tried; they are denser near 1.
        """
        edges = self._edges()
        places = np.geomspace(1, edges.size, min(_MAX_THRESHOLDS, edges.size)).astype(int)
        edges = edges[np.unique(edges.size - places)]
        counts, minutes = self.counts(edges), self.minutes(edges)

        def chosen(weights: np.ndarray) -> np.ndarray:
            hours = weights @ self.hours
            burden = np.maximum(weights @ counts, weights @ minutes)
            rates = burden / hours[:, None]
            return np.array([_lowest_threshold(edges, row, per_hour) for row in rates])

        return self._interval_over_videos(chosen, resamples=resamples, seed=seed)

    def _edges(self) -> np.ndarray:
        """The thresholds at which alarms may change, ascending: the probability of a window, that
        probability as a lower threshold, and 1."""
        upper = np.concatenate([windows[:, 2] for windows in self.windows])
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


def threshold_ranges(windows: Sequence[Window]) -> np.ndarray:
    """The range of thresholds at which each possible alarm exists.

    An alarm is a segment of `segments.find_segments` with `default_lower_threshold` as the lower
    threshold, no gap closing and no minimum duration. `_minutes_at` counts by the same rule.

    Windows are added from the most to the least probable. A window that touches no added window
    begins a run of windows. A window that touches two runs merges them: at lower thresholds the
    run with the lower peak is a part of the other. So a run is an alarm of its own at thresholds
    up to its peak whose lower threshold is above the probability of the merge.

    Args:
        windows: Ascending in both times.

    Returns:
        float64 (M, 2), the lower and the upper end of those thresholds.

    Reference:
        Edelsbrunner, Letscher and Zomorodian, Topological Persistence and Simplification, 2002
        (of superlevel sets)
    """
    starts, ends, probability = _window_table(windows).T
    first = np.searchsorted(ends + TOUCH_S, starts, side="left").tolist()
    last = np.searchsorted(starts, ends + TOUCH_S, side="right").tolist()
    runs = _WindowRuns(probability)
    for row in np.argsort(-probability, kind="stable").tolist():
        runs.add(row, range(row - 1, first[row] - 1, -1), range(row + 1, last[row]))
    alarms = np.array(runs.merges_and_peaks()).reshape(-1, 2)
    alarms[:, 0] = np.where(alarms[:, 0] < 0, -1.0, alarms[:, 0] / LOWER_FRACTION)
    return alarms[alarms[:, 0] < alarms[:, 1]]


class _WindowRuns:
    """Runs of touching windows, as windows are added from the most probable on (union-find)."""

    def __init__(self, probability: np.ndarray) -> None:
        self._probability = probability
        self._parent = np.full(len(probability), -1)  # -1: not added; itself: the peak of a run
        self._merges: list[tuple[float, float]] = []

    def add(self, row: int, before: Iterable[int], after: Iterable[int]) -> None:
        """Adds a window; `before` and `after` are the windows it touches, nearest first."""
        self._parent[row] = row
        for side in (before, after):
            near = next((neighbour for neighbour in side if self._parent[neighbour] >= 0), None)
            if near is not None:
                self._merge(self._peak(row), self._peak(near), self._probability[row])

    def _merge(self, peak: int, other_peak: int, at: float) -> None:
        if peak != other_peak:
            low, high = sorted((peak, other_peak), key=lambda row: self._probability[row])
            self._parent[low] = high
            self._merges.append((at, self._probability[low]))

    def _peak(self, row: int) -> int:
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return int(row)

    def merges_and_peaks(self) -> list[tuple[float, float]]:
        """For each run: the probability at which it merged into a higher one (-1: never), and that
        of its peak."""
        peaks = np.flatnonzero(self._parent == np.arange(len(self._parent)))
        return [*self._merges, *((-1.0, self._probability[row]) for row in peaks)]


def _window_table(windows: Sequence[Window]) -> np.ndarray:
    """Start, end and probability of windows, float64 (W, 3)."""
    rows = [[window.start_s, window.end_s, window.probability] for window in windows]
    return np.array(rows, np.float64).reshape(-1, 3)


def _minutes(windows: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Minutes of all alarms at each threshold, float64 (U,)."""
    return np.array([_minutes_at(windows, threshold) for threshold in thresholds.tolist()])


def _minutes_at(windows: np.ndarray, threshold: float) -> float:
    over = windows[windows[:, 2] >= default_lower_threshold(threshold)]
    if not len(over):
        return 0.0
    begins = np.append(True, over[1:, 0] > over[:-1, 1] + TOUCH_S)
    first = np.flatnonzero(begins)
    peaks = np.maximum.reduceat(over[:, 2], first)
    ends = over[np.append(first[1:], len(over)) - 1, 1]
    return float((ends - over[first, 0])[peaks >= threshold].sum() / 60)


def _alarm_counts(ranges: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Number of alarms at each threshold, int64 (U,)."""
    over, reached = (np.sort(column) for column in ranges.T)
    return np.searchsorted(over, thresholds, side="left") - np.searchsorted(
        reached, thresholds, side="left"
    )


def _lowest_threshold(edges: np.ndarray, rates: np.ndarray, per_hour: float) -> float:
    """The middle of the lowest gap above which every threshold keeps the rate; NaN for none.

    Args:
        edges: Thresholds (U,), ascending; between two of them the rate is that of the upper one.
        rates: Alarms per hour at each (U,).
    """
    too_many = np.flatnonzero(rates > per_hour + _TIE)
    upper = too_many[-1] + 1 if too_many.size else 0
    if upper == edges.size:
        return math.nan
    low = edges[upper - 1] if upper else 0.0
    middle = (low + edges[upper]) / 2
    return float(middle if middle > low else edges[upper])
