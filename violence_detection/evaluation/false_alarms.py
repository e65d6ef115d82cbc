"""How often a detector cries wolf in footage in which nothing happens: alarms per camera-hour."""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from violence_detection.errors import EvidenceError
from violence_detection.inference.segments import LOWER_SHARE, lower_of
from violence_detection.metrics import intervals
from violence_detection.units import TOUCH_S

_ERROR_RATE = 0.05
_MOST_THRESHOLDS = 512  # thresholds in a resample
_TIE = 1e-9


def poisson_interval(count: int, exposure: float, level: float = 0.95) -> list[float]:
    """The exact interval of a rate, `count` events in `exposure` hours (Garwood).

    ``chi2(a / 2; 2 k) / 2`` and ``chi2(1 - a / 2; 2 k + 2) / 2`` over the exposure, a = 1 - level.
    It takes alarms for independent of each other; see `Watched._over_videos`.

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
        names: Of F videos.
        hours: Of each, float64 (F,).
        starts: Of each, float64 (M, 2): there is an alarm for each of M where the threshold is
            above the first and at most the second number.
        windows: Of each, float64 (W, 3): start and end in seconds, and probability.
    """

    names: Sequence[str]
    hours: np.ndarray
    starts: Sequence[np.ndarray]
    windows: Sequence[np.ndarray]

    @classmethod
    def of(cls, windows: dict[str, Sequence[dict[str, float]]]) -> "ScoredFootage":
        """From the windows of each video, as `prediction` gives them."""
        seconds = [rows[-1]["end_s"] - rows[0]["start_s"] for rows in windows.values()]
        return cls(
            list(windows),
            np.array(seconds) / 3600,
            [alarm_starts(rows) for rows in windows.values()],
            [_window_table(rows) for rows in windows.values()],
        )

    @property
    def total_hours(self) -> float:
        return float(self.hours.sum())

    def counts(self, thresholds: np.ndarray) -> np.ndarray:
        """Alarms in each video at each of U thresholds, int64 (F, U)."""
        return np.stack([_alarm_counts(one, thresholds) for one in self.starts])

    def minutes(self, thresholds: np.ndarray) -> np.ndarray:
        """Minutes in alarm in each video at each of U thresholds, float64 (F, U)."""
        return np.stack([_minutes(one, thresholds) for one in self.windows])

    def told(self, threshold: float, *, resamples: int, seed: int) -> dict[str, Any]:
        """What a threshold gives: `videos`, `hours`, `alarms`, `alarm_minutes`, and
        `alarms_per_hour` with `alarms_per_hour_ci` (exact, alarms independent) and
        `alarms_per_hour_ci_videos` (videos drawn with replacement; None for one video, and
        without an alarm, of which every draw would have none)."""
        counts = self.counts(np.array([threshold]))[:, 0]
        alarms, hours = int(counts.sum()), self.total_hours
        return {
            "videos": len(self.names),
            "hours": hours,
            "alarms": alarms,
            "alarm_minutes": float(self.minutes(np.array([threshold])).sum()),
            "alarms_per_hour": alarms / hours,
            "alarms_per_hour_ci": poisson_interval(alarms, hours),
            "alarms_per_hour_ci_videos": self._over_videos(
                lambda weights: (weights @ counts) / (weights @ self.hours),
                resamples=resamples,
                seed=seed,
            )
            if alarms
            else None,
        }

    def check_support(self, per_hour: float) -> None:
        """
        Raises:
            EvidenceError: If there are too few hours to show the rate even without an alarm.
        """
        needed = hours_needed(per_hour)
        if self.total_hours < needed:
            raise EvidenceError(
                f"--operating-point false_alarms_per_hour={per_hour!r} must have {needed:.1f} "
                "hours of normal footage or more: fewer cannot show it, even without one alarm. "
                f"Received: {self.total_hours:.2f} hours"
            )

    def choose(self, per_hour: float) -> tuple[float, str]:
        """The lowest threshold from which on there are no more alarms than that in an hour, and
        why it is that.

        A higher threshold may part an alarm in two, so that their number does not only fall;
        all thresholds above the one chosen keep the rate. An alarm that lasts counts once a
        minute here: at a threshold of 0 there is a single one, which never ends.

        Raises:
            EvidenceError: If there is none.
        """
        edges = self._edges()
        counts = sum(_alarm_counts(one, edges) for one in self.starts)
        rates = counts / self.total_hours
        rates[: self._quiet_from(edges, per_hour)] = math.inf
        found = _lowest_threshold(edges, rates, per_hour)
        if math.isnan(found):
            raise EvidenceError(
                "Some threshold must keep the false alarms that were asked for. Received: normal "
                f"footage in which {int(counts[-1])} alarms have the probability 1"
            )
        words = f"{per_hour:g} or fewer false alarms per hour"
        return found, f"{words} of normal footage ({self.total_hours:.1f} h)"

    def threshold_interval(
        self, per_hour: float, *, resamples: int, seed: int
    ) -> list[float] | None:
        """[low, high] of the threshold, chosen anew for videos drawn with replacement, of at
        most 512 thresholds, closer to each other the higher; None for one video."""
        edges = self._edges()
        places = np.geomspace(1, edges.size, min(_MOST_THRESHOLDS, edges.size)).astype(int)
        edges = edges[np.unique(edges.size - places)]
        counts, minutes = self.counts(edges), self.minutes(edges)

        def chosen(weights: np.ndarray) -> np.ndarray:
            hours = weights @ self.hours
            burden = np.maximum(weights @ counts, weights @ minutes)
            rates = burden / hours[:, None]
            return np.array([_lowest_threshold(edges, row, per_hour) for row in rates])

        return self._over_videos(chosen, resamples=resamples, seed=seed)

    def _edges(self) -> np.ndarray:
        """The thresholds at which alarms may change, ascending: where a window is at the upper or
        the lower one; and 1."""
        found = np.concatenate([one[:, 2] for one in self.windows])
        found = np.concatenate([found, found / LOWER_SHARE])
        return np.union1d(found[found < 1], [1.0])

    def _quiet_from(self, edges: np.ndarray, per_hour: float) -> int:
        """Place of the lowest of some thresholds, ascending, with so many minutes of alarm or fewer
        in an hour: a higher threshold never has more."""

        def is_quiet(place: int) -> bool:
            minutes = self.minutes(edges[place : place + 1]).sum()
            return minutes / self.total_hours <= per_hour + _TIE

        return bisect.bisect_left(range(edges.size), True, key=is_quiet)

    def _over_videos(self, statistic, **draw: int) -> list[float] | None:
        if len(self.names) < 2:
            return None
        return intervals.bootstrap_over_recordings(self.names, statistic, **draw)


def alarm_starts(windows: Sequence[dict[str, float]]) -> np.ndarray:
    """At which thresholds there is which alarm, an alarm being one of `segments`.

    Taken from the highest window down, a window that touches none that is taken already begins
    a run, and one that touches two joins them: from there on down, the run with the lower
    peak is a part of the other. So a run is an alarm of its own at thresholds up to its peak
    whose lower threshold is above the probability at which it was joined.

    Args:
        windows: start_s, end_s, probability; both times ascending.

    Returns:
        float64 (M, 2), the lower and the upper end of those thresholds.

    Reference:
        Edelsbrunner, Letscher and Zomorodian, Topological Persistence and Simplification, 2002
        (of superlevel sets)
    """
    starts, ends, probability = (
        np.array([window[name] for window in windows], np.float64)
        for name in ("start_s", "end_s", "probability")
    )
    first = np.searchsorted(ends + TOUCH_S, starts, side="left").tolist()
    last = np.searchsorted(starts, ends + TOUCH_S, side="right").tolist()
    runs = _WindowRuns(probability)
    for row in np.argsort(-probability, kind="stable").tolist():
        runs.take(row, range(row - 1, first[row] - 1, -1), range(row + 1, last[row]))
    found = np.array(runs.ended()).reshape(-1, 2)
    found[:, 0] = np.where(found[:, 0] < 0, -1.0, found[:, 0] / LOWER_SHARE)
    return found[found[:, 0] < found[:, 1]]


class _WindowRuns:
    """Runs of windows that touch, while windows are taken from the highest down."""

    def __init__(self, probability: np.ndarray) -> None:
        self._probability = probability
        self._above = np.full(len(probability), -1)  # -1: not taken; itself: a peak
        self._joined: list[tuple[float, float]] = []

    def take(self, row: int, before: Iterable[int], after: Iterable[int]) -> None:
        """Take a window; those that it touches are given from the nearest on."""
        self._above[row] = row
        for side in (before, after):
            near = next((one for one in side if self._above[one] >= 0), None)
            if near is not None:
                self._join(self._peak(row), self._peak(near), self._probability[row])

    def _join(self, one: int, other: int, at: float) -> None:
        if one != other:
            low, high = sorted((one, other), key=lambda row: self._probability[row])
            self._above[low] = high
            self._joined.append((at, self._probability[low]))

    def _peak(self, row: int) -> int:
        while self._above[row] != row:
            self._above[row] = self._above[self._above[row]]
            row = self._above[row]
        return int(row)

    def ended(self) -> list[tuple[float, float]]:
        """Of each run, where it was joined to a higher one (-1: never), and its peak."""
        peaks = np.flatnonzero(self._above == np.arange(len(self._above)))
        return [*self._joined, *((-1.0, self._probability[row]) for row in peaks)]


def _window_table(windows: Sequence[dict[str, float]]) -> np.ndarray:
    """Start, end and probability of windows, float64 (W, 3)."""
    rows = [[one["start_s"], one["end_s"], one["probability"]] for one in windows]
    return np.array(rows, np.float64)


def _minutes(windows: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Minutes of all alarms at each threshold, float64 (U,)."""
    return np.array([_minutes_at(windows, one) for one in thresholds.tolist()])


def _minutes_at(windows: np.ndarray, threshold: float) -> float:
    over = windows[windows[:, 2] >= lower_of(threshold)]
    if not len(over):
        return 0.0
    begins = np.append(True, over[1:, 0] > over[:-1, 1] + TOUCH_S)
    first = np.flatnonzero(begins)
    peaks = np.maximum.reduceat(over[:, 2], first)
    ends = over[np.append(first[1:], len(over)) - 1, 1]
    return float((ends - over[first, 0])[peaks >= threshold].sum() / 60)


def _alarm_counts(starts: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many alarms begin at each threshold, int64 (U,)."""
    over, reached = (np.sort(column) for column in starts.T)
    return np.searchsorted(over, thresholds, side="left") - np.searchsorted(
        reached, thresholds, side="left"
    )


def _lowest_threshold(edges: np.ndarray, rates: np.ndarray, per_hour: float) -> float:
    """The middle of the lowest gap from which on the rate is kept.

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
