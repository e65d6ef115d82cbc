"""Alarms in a video of normal footage, at any threshold.

Alarms are the segments of `inference/alert_policy.py`. Where one window suffices and no gaps are
closed, they are counted at all thresholds at a time; else the policy is replayed at each threshold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.inference.segments import (
    LOWER_FRACTION,
    default_lower_threshold,
    find_segments,
)
from violence_detection.reports.evaluation.evaluation_result import alarm_rule_in_words
from violence_detection.units import TOUCH_S


@dataclass(frozen=True)
class AlarmRule:
    """The rule that makes alarms of windows, beside the threshold; see `find_segments`.

    Attributes:
        confirm: n and m: n of m successive windows must reach the threshold.
        close_gaps_s: Alarms with no more than this between them are one.
    """

    confirm: tuple[int, int] = (1, 1)
    close_gaps_s: float = 0.0

    @property
    def is_plain(self) -> bool:
        """True if one window suffices and no gaps are closed."""
        return self.confirm[0] == 1 and self.close_gaps_s == 0

    @property
    def confirm_text(self) -> str:
        """`n/m`, as settings and JSON have it."""
        return "/".join(map(str, self.confirm))

    def __str__(self) -> str:
        """The rule in words; empty if it is plain."""
        return alarm_rule_in_words(self.confirm_text, self.close_gaps_s)


PLAIN = AlarmRule()


@dataclass(frozen=True)
class VideoAlarms:
    """The windows of a video, and its alarms at any threshold.

    Attributes:
        windows: Ascending.
        table: float64 (W, 3): start and end in seconds, and probability.
        rule: What makes an alarm.
        ranges: float64 (M, 2), see `threshold_ranges`; empty if the rule is not plain.
    """

    windows: Sequence[Window]
    table: np.ndarray
    rule: AlarmRule
    ranges: np.ndarray

    @classmethod
    def from_windows(cls, windows: Sequence[Window], rule: AlarmRule) -> Self:
        ranges = threshold_ranges(windows) if rule.is_plain else np.empty((0, 2))
        return cls(windows, _window_table(windows), rule, ranges)

    def counts(self, thresholds: np.ndarray) -> np.ndarray:
        """Number of alarms at each of U thresholds, int64 (U,)."""
        if self.rule.is_plain:
            return _alarm_counts(self.ranges, thresholds)
        counts = [len(self._segments_at(threshold)) for threshold in thresholds.tolist()]
        return np.array(counts, np.int64)

    def minutes(self, thresholds: np.ndarray) -> np.ndarray:
        """Minutes of all alarms at each of U thresholds, float64 (U,)."""
        return np.array([self._minutes_at(threshold) for threshold in thresholds.tolist()])

    def _minutes_at(self, threshold: float) -> float:
        if self.rule.is_plain:
            return _minutes_at(self.table, threshold)
        return sum(segment.duration_s for segment in self._segments_at(threshold)) / 60

    def _segments_at(self, threshold: float) -> list[Segment]:
        """The policy replayed on the windows that can change an alarm: those above the lower
        threshold, and those that the confirmation counts with a window at the threshold."""
        probability, lower = self.table[:, 2], default_lower_threshold(threshold)
        matters = reached = probability >= threshold
        for _ in range(self.rule.confirm[1] - 1):
            reached = np.append(reached[1:], False)
            matters = matters | reached
        rows = np.flatnonzero(matters | (probability >= lower)).tolist()
        return find_segments(
            [self.windows[row] for row in rows],
            threshold,
            lower=lower,
            confirm=self.rule.confirm,
            close_gaps_s=self.rule.close_gaps_s,
        )


def threshold_ranges(windows: Sequence[Window]) -> np.ndarray:
    """The range of thresholds at which each possible alarm exists.

    An alarm is a segment of `find_segments` with `default_lower_threshold` as the lower threshold,
    one window that suffices, no gap closing and no minimum duration. `_minutes_at` counts by the
    same rule.

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
