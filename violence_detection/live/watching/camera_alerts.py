"""Alerts of one camera: judged windows in, events and their messages into the store."""

import dataclasses
import functools
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from violence_detection.errors import ViolenceDetectionError
from violence_detection.inference.alert_policy import (
    AlertPolicy,
    AlertSettings,
    EventChange,
    PriorityRule,
)
from violence_detection.inference.notification_policy import (
    Addressee,
    Decision,
    DueMessage,
)
from violence_detection.inference.prediction_records import Window
from violence_detection.live.configuration.camera_settings import CameraAlert
from violence_detection.live.configuration.config import Camera
from violence_detection.live.notifying.event_messages import event_message
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.process_messages import JudgedWindow
from violence_detection.live.processes.watch_notices import EventChanged, iso_utc
from violence_detection.live.storage.event_records import (
    Addressed,
    EventWindow,
    JudgedStretch,
    StoredEvent,
)
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.judged_stretches import float32
from violence_detection.live.watching.event_numbers import EventNumbers
from violence_detection.live.watching.late_writes import LateWrites

log = logging.getLogger(__name__)

_KEPT_S = 120.0  # windows from before an event is announced may belong to it
_QUIET_S = 60.0
# Reasons that the store keeps: nobody was told of an event that many would expect to hear of.
_SUPPRESSED = ("cooldown", "quiet_hours", "snooze", "observe")


def alert_settings(alert: CameraAlert) -> AlertSettings:
    """The settings of the alert policy of a camera."""
    medium, high = alert.priorities.medium, alert.priorities.high
    return AlertSettings(
        threshold=alert.threshold,
        lower_threshold=alert.lower_share * alert.threshold,
        confirm_windows=alert.confirm.windows,
        confirm_of=alert.confirm.of,
        close_gaps_s=alert.close_gaps_s,
        max_event_s=alert.max_event_s,
        medium=PriorityRule(medium.margin, medium.or_duration_s),
        high=PriorityRule(high.margin, high.or_duration_s),
    )


def add_stretch(policy: AlertPolicy, stretch: JudgedStretch) -> list[EventChange]:
    """Adds a stretch to a policy, live and in a replay alike; returns what it changes."""
    start_s, end_s = stretch.start_ms / 1000, stretch.end_ms / 1000
    if math.isnan(stretch.probability):
        return policy.add_unjudged(start_s, end_s)
    return policy.add(Window(start_s, end_s, stretch.probability))


class CameraAlerts:
    """Makes events of the windows of a camera, stores them, and decides who is told.

    Attributes:
        score: Probability of the last judged window, or None.
        event: The open event, or None.
        started: Count of events.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        store: EventStore,
        clock: JoinedClock,
        decide: Callable[[str, EventChange, datetime], Decision],
        timezone: str,
        page: Callable[[], str],
        run_digest: str,
        settings_digest: str,
        report: Callable[[EventChanged], None],
        record: Callable[[str, StoredEvent, float], None],
        numbers: EventNumbers,
        late: LateWrites,
        finds: str = "violence",
    ) -> None:
        """
        Args:
            camera: The camera.
            store: Gets the events, their windows and messages.
            clock: UTC of monotonic times.
            decide: Decides who is told of a change, by camera and time (UTC).
            timezone: Zone of the times in messages.
            page: Gives the address of the review page, for links in messages; empty for none.
            run_digest: Of the run that judges.
            settings_digest: Of the camera's settings.
            report: Is told of every change.
            record: Orders clips: gets the change (`start`, `rise` or `end`), the event, and the
                monotonic time of its start, or of its end.
            numbers: Numbers of its events for the notification policy.
            late: Takes the writes of changes of events.
            finds: What the run finds; see `Message`.
        """
        self._camera, self._store, self._clock, self._late = camera, store, clock, late
        self._finds = finds
        self._novelty: float | None = None  # the highest of the open event
        self._decide, self._timezone, self._page = decide, timezone, page
        self._digests = {"run_digest": run_digest, "settings_digest": settings_digest}
        self._report, self._record = report, record
        self._policy = AlertPolicy(alert_settings(camera.settings.alert))
        self._offset_s = 0.0
        self._last_s: float | None = None  # the end of the last window or unjudged stretch
        self._recent: deque[Window] = deque()
        self._unsaved: list[Window] = []  # of the open event
        self._numbers, self._before = numbers, numbers.begin()
        self.event: StoredEvent | None = None
        self._ended: dict[str, StoredEvent] = {}  # those that the open or next event continues
        self._start_s = 0.0  # of the open event, by the times of windows
        self.score: float | None = None
        self.started = 0

    @property
    def is_quiet(self) -> bool:
        """True if nothing of the last minute was near the lower threshold."""
        alert = self._camera.settings.alert
        limit = alert.lower_share * alert.threshold / 2
        last_s = self._recent[-1].end_s if self._recent else 0.0
        return self.event is None and all(
            window.probability < limit
            for window in self._recent
            if window.end_s > last_s - _QUIET_S
        )

    def add(self, judged: JudgedWindow, *, offset_s: float) -> JudgedStretch:
        """Adds the next window; returns what the alert policy got of it.

        Args:
            judged: The window.
            offset_s: Seconds to add to its times for monotonic ones.
        """
        self._offset_s, self._last_s = offset_s, judged.end_s
        score = math.nan if judged.probability is None else float32(judged.probability)
        stretch = JudgedStretch(round(1000 * judged.start_s), round(1000 * judged.end_s), score)
        self.score = judged.probability
        if judged.probability is not None:
            times = stretch.start_ms / 1000, stretch.end_ms / 1000
            self._keep(Window(*times, score, novelty=judged.novelty))
        for change in add_stretch(self._policy, stretch):
            self._store_change(change)
        return stretch

    def add_silence(self, until_s: float) -> JudgedStretch | None:
        """Adds a time without windows: what is open ends, if nothing can belong to it any more.

        Args:
            until_s: Monotonic time; no window is to come that ends before it.

        Returns:
            What the alert policy got; None if that time is known already.
        """
        end_s = until_s - self._offset_s
        if self._last_s is None or end_s <= self._last_s:
            return None
        start_s, self._last_s, self.score = self._last_s, end_s, None
        stretch = JudgedStretch(round(1000 * start_s), round(1000 * end_s), math.nan)
        for change in add_stretch(self._policy, stretch):
            self._store_change(change)
        return stretch

    def send_due(self, due: DueMessage) -> None:
        """Stores a message that the time has made due: one that was held back, or an escalation."""
        event_id = self._numbers.id_of(due.event.number)
        event = self._store.event(event_id) if event_id else None
        if event is None:
            return
        event = dataclasses.replace(event, priority=due.decision.priority)
        messages = self._messages(event, due.kind, due.decision, event.end_ms)
        self._late.add(functools.partial(self._store.record_late_messages, event_id, messages))

    def finish(self) -> None:
        """Ends the open event: the camera is not watched any more."""
        for change in self._policy.finish():
            self._store_change(change)

    def save_windows(self) -> None:
        """Stores the windows of the open event that are not stored yet."""
        if self._late:
            return  # the event itself may not be stored yet
        if self.event and self._unsaved:
            windows = [
                EventWindow(
                    self._ms(window.start_s),
                    self._ms(window.end_s),
                    window.probability,
                    novelty=window.novelty,
                )
                for window in self._unsaved
            ]
            self._store.record_windows(self.event.id, windows)
        self._unsaved.clear()

    def _keep(self, window: Window) -> None:
        self._recent.append(window)
        while self._recent[0].end_s < window.end_s - _KEPT_S:
            self._recent.popleft()
        if self.event:
            self._unsaved.append(window)
            self._novelty = _highest([self._novelty, window.novelty])

    def _ms(self, time_s: float) -> int:
        """UTC of a window's time. In an open event it is counted from the event's start, which a
        step of the clock does not move."""
        if self.event:
            return self.event.start_ms + round(1000 * (time_s - self._start_s))
        return self._clock.ms(time_s + self._offset_s)

    def _store_change(self, change: EventChange) -> None:
        change = self._renumbered(change)
        if change.kind == "start":
            self._begin(change)
        peak = {"peak": change.event.peak, "peak_ms": self._ms(change.event.peak_s)}
        end_ms = self._ms(change.event.end_s)
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        decision = self._decide(self._camera.name, change, at)
        event = dataclasses.replace(self.event, **peak, priority=decision.priority)
        is_end = change.kind == "end"
        messages = self._messages(event, change.kind, decision, end_ms if is_end else None)
        if change.kind == "start":
            suppressed = decision.reason if decision.reason in _SUPPRESSED else ""
            event = dataclasses.replace(event, suppressed_by=suppressed)
            write = functools.partial(self._store.record_start, event, messages)
        elif is_end:
            try:
                self.save_windows()
            except ViolenceDetectionError as error:  # a full disk: the end is more important
                log.error(f"Windows of an event of {self._camera.name} are lost: {error}")
            record = self._store.record_end
            changes = {"end_ms": end_ms, "priority": event.priority, "messages": messages}
            write = functools.partial(record, event.id, **peak, **changes)
        else:
            record = self._store.record_rise
            changes = {"priority": event.priority, "messages": messages}
            write = functools.partial(record, event.id, **peak, **changes)
        is_stored = self._late.add(write)
        self.event = None if is_end else event
        if is_end:
            self._ended[event.id] = event
        if is_stored or is_end:  # an event that is not stored has no clip
            time_s = change.event.end_s if is_end else change.event.start_s
            self._record(change.kind, event, time_s + self._offset_s)
        self._report(
            EventChanged(
                at_ms=self._clock.now_ms(),
                camera=self._camera.name,
                event=event.id,
                change=change.kind,
                priority=event.priority,
                start=iso_utc(event.start_ms),
                end=iso_utc(end_ms),
                peak=round(change.event.peak, 6),
                sent_to=[addressee.sink for addressee in decision.to],
                held_back=decision.reason,
                novelty=self._novelty,
            )
        )

    def _renumbered(self, change: EventChange) -> EventChange:
        event = change.event
        continues = event.continues and event.continues + self._before
        event = dataclasses.replace(event, number=event.number + self._before, continues=continues)
        return dataclasses.replace(change, event=event)

    def _begin(self, change: EventChange) -> None:
        """Makes the stored event of one that was announced."""
        event = change.event
        self._start_s = event.start_s
        if not event.continues:
            self._ended.clear()
        self.event = StoredEvent(
            id=self._store.new_id(),
            camera=self._camera.name,
            start_ms=self._clock.ms(event.start_s + self._offset_s),
            threshold=self._camera.settings.alert.threshold,
            continues=self._numbers.id_of(event.continues) if event.continues else None,
            **self._digests,
        )
        self._numbers.add(event.number, self.event.id)
        self._unsaved = [window for window in self._recent if window.end_s > event.start_s]
        self._novelty = _highest([window.novelty for window in self._unsaved])
        self.started += 1

    def _messages(
        self, event: StoredEvent, kind: str, decision: Decision, end_ms: int | None
    ) -> list[Addressed]:
        """A message for each sink that is told.

        Args:
            event: The event as it is now.
            kind: `start`, `rise`, `end` or `escalation`.
            decision: Who is told.
            end_ms: UTC of the end of an event that has ended.
        """
        message = event_message(
            [*self._continued_by(event), event],
            kind,
            at_ms=self._clock.now_ms(),
            timezone=self._timezone,
            page=self._page(),
            camera=self._camera,
            end_ms=end_ms,
            finds=self._finds,
            novelty=self._novelty,
        )
        return [
            Addressed(addressee.sink, dataclasses.replace(message, **_held_back(addressee)))
            for addressee in decision.to
        ]

    def _continued_by(self, event: StoredEvent) -> list[StoredEvent]:
        """The events that an event continues, the oldest first. Those that have ended here may wait
        for room on the disk; earlier ones are stored."""
        chain: list[StoredEvent] = []
        continued = event.continues
        while continued in self._ended:
            chain.insert(0, self._ended[continued])
            continued = chain[0].continues
        if continued:
            stored = self._store.chain(continued)
            chain = [*(earlier for earlier in stored if earlier.id <= continued), *chain]
        return chain


def _highest(novelties: Sequence[float | None]) -> float | None:
    """The highest that is known; None if none is."""
    return max((novelty for novelty in novelties if novelty is not None), default=None)


def _held_back(addressee: Addressee) -> dict[str, int | None]:
    since = addressee.held_back_since
    return {
        "held_back": addressee.held_back,
        "held_back_since_ms": round(1000 * since.timestamp()) if since else None,
    }
