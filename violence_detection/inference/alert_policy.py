"""Alert policy of a camera: windows come one by one, events start, rise in priority and end.

It has no clock and reads no files, so that a live camera, a replay of stored scores, normal footage
and `predict` have the same events. `AlertPolicy` says the rule. A rule by the time of day would
choose the settings, in `live/watching/camera_alerts.py` and its replay.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from violence_detection.errors import ConfigError
from violence_detection.inference.prediction_records import Window
from violence_detection.units import TOUCH_S

Priority = Literal["low", "medium", "high"]
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high")
_CERTAIN = 0.999  # a probability from which on nothing is more certain; log-odds end there
_ROUNDING_S = 1e-9


@dataclass(frozen=True)
class PriorityRule:
    """The limits that give an event a priority: either of the two suffices.

    Attributes:
        margin: Share of the way from the threshold to certainty (a probability of 0.999), in
            log-odds, that the peak must reach; in [0, 1].
        or_duration_s: Seconds that the event must last; None leaves only the margin.
    """

    margin: float
    or_duration_s: float | None = None

    def lowest_peak(self, threshold: float) -> float:
        """The lowest peak that has the priority."""
        if self.margin <= 0 or threshold >= _CERTAIN:
            return threshold
        low, high = _log_odds(max(threshold, 1 - _CERTAIN)), _log_odds(_CERTAIN)
        peak = 1 / (1 + math.exp(-(low + self.margin * (high - low))))
        return min(_CERTAIN, max(threshold, peak))


@dataclass(frozen=True)
class AlertSettings:
    """Settings of an alert policy.

    `evaluation/footage/alarm_counts.AlarmRule` has those that false alarms are counted by.

    Attributes:
        threshold: Probability that a window of an event must reach.
        lower_threshold: Probability that windows must have to extend an event.
        confirm_windows: Windows among the last `confirm_of` that must reach the threshold before an
            event is announced. Its start does not move by that.
        confirm_of: How many judged windows are looked at.
        close_gaps_s: Violent stretches with no more than this between them are one event.
        min_duration_s: An event is announced once it is as long as this.
        max_event_s: An event that would become longer ends, and the next one continues it.
        medium, high: What gives an event these priorities; without them it is low.
    """

    threshold: float
    lower_threshold: float
    confirm_windows: int = 1
    confirm_of: int = 1
    close_gaps_s: float = 0.0
    min_duration_s: float = 0.0
    max_event_s: float = math.inf
    medium: PriorityRule = field(default_factory=lambda: PriorityRule(margin=0.3))
    high: PriorityRule = field(default_factory=lambda: PriorityRule(margin=0.7, or_duration_s=8.0))

    def __post_init__(self) -> None:
        if not 1 <= self.confirm_windows <= self.confirm_of:
            raise ConfigError(
                "`confirm_windows` must be between 1 and `confirm_of`. Received: "
                f"{self.confirm_windows} of {self.confirm_of}"
            )
        if self.min_duration_s > self.max_event_s:
            raise ConfigError(
                "`min_duration_s` must be <= `max_event_s`. Received: "
                f"{self.min_duration_s:g} > {self.max_event_s:g}"
            )


@dataclass(frozen=True)
class Event:
    """An event of a camera, as far as it is known.

    Attributes:
        number: 1 for the first event of a policy.
        start_s, end_s: Its first and its last moment so far, by the times of the windows.
        peak: The highest probability of its windows.
        peak_s: The middle of the window that has it.
        priority: The highest so far.
        continues: Number of the event that was too long and that this one continues, or None.
    """

    number: int
    start_s: float
    end_s: float
    peak: float
    peak_s: float
    priority: Priority
    continues: int | None = None

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class EventChange:
    """A change of an event.

    Attributes:
        kind: `start`, then any number of `rise`, then `end`.
        event: The event after it.
        at_s: The time up to which windows had to be known for it.
        goes_on: True for the end of an event that was too long: the next change is the start of
            the event that continues it.
    """

    kind: Literal["start", "rise", "end"]
    event: Event
    at_s: float
    goes_on: bool = False


class _Span:
    """An interval of windows, with the highest probability in it."""

    __slots__ = ("end_s", "peak", "peak_s", "start_s")

    def __init__(self, start_s: float, end_s: float, peak: float, peak_s: float) -> None:
        self.start_s, self.end_s, self.peak, self.peak_s = start_s, end_s, peak, peak_s

    def extend(self, added: "_Span") -> None:
        self.end_s = max(self.end_s, added.end_s)
        if added.peak > self.peak:
            self.peak, self.peak_s = added.peak, added.peak_s


class _Candidate:
    """The event that is open, announced or not.

    Attributes:
        span: What belongs to it.
        number: None until it is announced.
        is_confirmed: Enough windows have reached the threshold.
        rank: Its priority, as an index of `PRIORITIES`.
        continues: See `Event`.
    """

    __slots__ = ("continues", "is_confirmed", "number", "rank", "span")

    def __init__(self, span: _Span, *, rank: int = 0, continues: int | None = None) -> None:
        self.span, self.rank, self.continues = span, rank, continues
        self.number: int | None = None
        self.is_confirmed = continues is not None

    def as_event(self) -> Event:
        span = self.span
        return Event(
            self.number or 0,
            span.start_s,
            span.end_s,
            span.peak,
            span.peak_s,
            PRIORITIES[self.rank],
            self.continues,
        )


class AlertPolicy:
    """Makes events of the windows of one camera or video, which come in their order.

    Windows at or above the lower threshold that touch or overlap are a run. A run with a window at
    or above the threshold is violent: a probability that wavers about the threshold does not split
    it. Violent runs with no more than `close_gaps_s` between them are an event. Confirmation and
    `min_duration_s` decide when an event is announced, and whether: its times are those of its
    windows whatever they are.

    A priority only rises. An event that continues another has at least the other's priority.

    Reference:
        Canny, A Computational Approach to Edge Detection, 1986 (hysteresis)
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._threshold = settings.threshold
        self._lower = min(settings.lower_threshold, settings.threshold)
        # Added to an end in this order, as `evaluation/footage/false_alarms.py` does.
        self._gap_s = settings.close_gaps_s + TOUCH_S
        self._rules = [
            (rule.lowest_peak(settings.threshold), rule.or_duration_s or math.inf)
            for rule in (settings.medium, settings.high)
        ]
        self._recent: deque[bool] = deque(maxlen=settings.confirm_of)  # reached the threshold
        self._run: _Span | None = None
        self._open: _Candidate | None = None
        self._count = 0
        self._window_s = 0.0  # the longest so far
        self._last_s = 0.0
        self._unjudged_from_s: float | None = None

    @property
    def open_event(self) -> Event | None:
        """The announced event that has not ended, as it is now."""
        return self._open.as_event() if self._open and self._open.number else None

    @property
    def is_quiet(self) -> bool:
        """True if the last windows belong to no event and cannot become a part of one."""
        return self._open is None and self._run is None

    def add(self, window: Window) -> list[EventChange]:
        """Adds the next window; returns what it changes.

        Args:
            window: It starts and ends no earlier than the one before.
        """
        start_s, end_s, probability = window.start_s, window.end_s, window.probability
        is_violent = probability >= self._threshold
        self._recent.append(is_violent)
        self._unjudged_from_s, self._last_s = None, max(self._last_s, end_s)
        self._window_s = max(self._window_s, end_s - start_s)
        if self._run and start_s > self._run.end_s + TOUCH_S:
            self._run = None
        if probability < self._lower:
            return self._close(start_s, end_s) if self._open else []
        added = _Span(start_s, end_s, probability, window.middle_s)
        changes = list(self._extend(added, is_violent=is_violent))
        return changes + self._close(start_s, end_s)

    def add_unjudged(self, start_s: float, end_s: float) -> list[EventChange]:
        """Adds a stretch in which no window was judged; returns what it changes.

        Nobody knows what happened in it: it neither extends an event nor counts as normal, and one
        that is longer than a window, alone or with others before it, empties the memory of the
        confirmation.

        Args:
            start_s: No window that is still to come starts before it,
            end_s: or more than the length of a window before this.
        """
        if self._unjudged_from_s is None:
            self._unjudged_from_s = start_s
        if end_s - self._unjudged_from_s > self._window_s + TOUCH_S:
            self._recent.clear()
        self._last_s = max(self._last_s, end_s)
        return self._close(max(start_s, end_s - self._window_s), end_s)

    def finish(self) -> list[EventChange]:
        """Ends what is open: no further window belongs to it. Windows of another time may
        follow."""
        changes = self._end(self._last_s)
        self._run, self._unjudged_from_s, self._last_s = None, None, 0.0
        self._recent.clear()
        return changes

    def _extend(self, added: _Span, *, is_violent: bool) -> Iterator[EventChange]:
        """Adds a window at or above the lower threshold to its run, and to the event of that."""
        run, at_s = self._run, added.end_s
        belongs = run is not None and run.peak >= self._threshold  # the run is in the event already
        if run is None:
            run = self._run = added
            part = _Span(added.start_s, added.end_s, added.peak, added.peak_s)
        else:
            run.extend(added)
            if not belongs:  # an event does not start longer than it may become
                run.start_s = max(run.start_s, run.end_s - self._settings.max_event_s)
            part = added if belongs else _Span(run.start_s, run.end_s, run.peak, run.peak_s)
        if run.peak < self._threshold:
            return
        opened = self._open
        if opened is None or not (belongs or run.start_s <= opened.span.end_s + self._gap_s):
            yield from self._end(at_s)
            self._open = _Candidate(part)
        elif self._is_too_long(opened.span, part):
            yield from self._end(at_s, goes_on=opened.number is not None)
            part.start_s = max(part.start_s, opened.span.end_s)
            rank = opened.rank if opened.number else 0
            self._open = _Candidate(part, rank=rank, continues=opened.number)
        else:
            opened.span.extend(part)
        yield from self._announce(self._open, at_s, is_violent=is_violent)

    def _is_too_long(self, span: _Span, part: _Span) -> bool:
        longest_s = self._settings.max_event_s + _ROUNDING_S
        return part.end_s > span.end_s and part.end_s - span.start_s > longest_s

    def _announce(
        self, opened: _Candidate, at_s: float, *, is_violent: bool
    ) -> Iterator[EventChange]:
        """The start or the rise of an event that has grown."""
        span = opened.span
        duration_s = span.end_s - span.start_s
        if is_violent and sum(self._recent) >= self._settings.confirm_windows:
            opened.is_confirmed = True
        before = opened.rank
        for rank, (peak, long_s) in enumerate(self._rules, start=1):
            if span.peak >= peak or duration_s >= long_s - _ROUNDING_S:
                opened.rank = max(opened.rank, rank)
        if opened.number is not None:
            if opened.rank > before:
                yield EventChange("rise", opened.as_event(), at_s)
            return
        is_long = duration_s >= self._settings.min_duration_s - _ROUNDING_S
        if opened.is_confirmed and (is_long or opened.continues is not None):
            self._count += 1
            opened.number = self._count
            yield EventChange("start", opened.as_event(), at_s)

    def _close(self, now_s: float, at_s: float) -> list[EventChange]:
        """Ends what nothing can belong to any more: no later window starts before `now_s`."""
        run, opened = self._run, self._open
        if run and now_s > run.end_s + TOUCH_S:
            run = self._run = None
        if opened is None or now_s <= opened.span.end_s + self._gap_s:
            return []
        if run and run.start_s <= opened.span.end_s + self._gap_s:
            return []  # a run that may still become violent
        return self._end(at_s)

    def _end(self, at_s: float, *, goes_on: bool = False) -> list[EventChange]:
        opened, self._open = self._open, None
        if opened is None or opened.number is None:
            return []
        return [EventChange("end", opened.as_event(), at_s, goes_on)]


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))
