"""Replay of stored windows through the alert policy of the cameras file, without any video."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from violence_detection.inference.alert_policy import AlertPolicy, AlertSettings, EventChange
from violence_detection.inference.prediction_records import Window
from violence_detection.live.configuration.config import Camera
from violence_detection.live.replaying.threshold_calibration import with_threshold
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.storage.event_records import JudgedStretch, Minute, StoredEvent
from violence_detection.live.watching.camera_alerts import add_stretch, alert_settings

MINUTE_MS = 60_000


@dataclass(frozen=True)
class ReplayedEvent:
    """An event of a replay.

    Attributes:
        start_ms, end_ms: UTC.
        peak: Highest probability of its windows.
        priority: `low`, `medium` or `high`, before quiet hours take one off.
        continues: It goes on from an event that was too long.
    """

    start_ms: int
    end_ms: int
    peak: float
    priority: str
    continues: bool


@dataclass(frozen=True)
class CameraReplay:
    """The replay of a camera.

    Attributes:
        camera: Its name.
        hours: Judged hours.
        threshold: On the probability of violence.
        events: In their order.
        stored: Events in that time that the watch has stored, with whatever settings.
        same: The events are those that were stored; None if the settings have changed meanwhile,
            or an event was open at an end of the time, so that they cannot be compared.
    """

    camera: str
    hours: float
    threshold: float
    events: tuple[ReplayedEvent, ...]
    stored: int
    same: bool | None

    @property
    def per_hour(self) -> float:
        """Alerts an hour: events without those that continue one; 0.0 without hours."""
        alerts = sum(not event.continues for event in self.events)
        return alerts / self.hours if self.hours else 0.0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"per_hour": self.per_hour}


def replay_camera(
    reader: EventReader,
    camera: Camera,
    *,
    settings_digest: str,
    from_ms: int,
    to_ms: int,
    threshold: float | None = None,
) -> CameraReplay:
    """Replays the windows of a camera.

    Args:
        reader: The event store.
        camera: With the settings that are tried.
        settings_digest: Of these settings, as the store has it.
        from_ms, to_ms: UTC; whole minutes are replayed.
        threshold: Tried in place of the camera's; None for that.
    """
    settings = alert_settings(camera.settings.alert)
    if threshold is not None:
        settings = with_threshold(settings, threshold)
    first, last = from_ms // MINUTE_MS, to_ms // MINUTE_MS - 1
    minutes = list(reader.minutes(camera.name, first=first, last=last))
    events = tuple(replay_minutes(minutes, settings))
    stored = [
        event
        for event in reader.events(
            camera=camera.name,
            from_ms=first * MINUTE_MS,
            to_ms=(last + 1) * MINUTE_MS,
            limit=1_000_000,
        )[::-1]
        if event.kind == "violence"
    ]
    judged_s = sum(
        row.end_s - row.start_s for rows in judged_stretches(minutes) for row in (_span(rows),)
    )
    is_comparable = threshold is None and all(
        event.settings_digest == settings_digest and event.state == "ended" for event in stored
    )
    return CameraReplay(
        camera.name,
        judged_s / 3600,
        settings.threshold,
        events,
        len(stored),
        _are_same(events, stored) if is_comparable else None,
    )


def replay_minutes(minutes: Iterable[Minute], settings: AlertSettings) -> Iterator[ReplayedEvent]:
    """The events of minutes, which come in their order; each watch has a policy of its own."""
    policy, watch_ms, offset_ms = AlertPolicy(settings), None, 0
    for minute in minutes:
        if watch_ms is not None and minute.watch_ms != watch_ms:
            yield from _ended(policy.finish(), offset_ms)
            policy = AlertPolicy(settings)
        watch_ms, offset_ms = minute.watch_ms, minute.offset_ms
        for stretch in minute.stretches:
            yield from _ended(add_stretch(policy, stretch), offset_ms)
    yield from _ended(policy.finish(), offset_ms)


def judged_stretches(minutes: Iterable[Minute]) -> list[list[Window]]:
    """Judged windows of minutes, in stretches without a gap; their times are UTC in seconds."""
    stretches: list[list[Window]] = []
    end_s = None
    for minute in minutes:
        for stretch in minute.stretches:
            window = _window(stretch, minute.offset_ms)
            if stretch.probability != stretch.probability:
                end_s = None
                continue
            if end_s is None or not end_s - 60 < window.start_s <= end_s + 0.1:
                stretches.append([])
            stretches[-1].append(window)
            end_s = max(window.end_s, end_s or 0.0)
    return stretches


def _window(stretch: JudgedStretch, offset_ms: int) -> Window:
    start_s, end_s = (stretch.start_ms + offset_ms) / 1000, (stretch.end_ms + offset_ms) / 1000
    return Window(start_s, end_s, stretch.probability)


def _span(rows: list[Window]) -> Window:
    return Window(rows[0].start_s, rows[-1].end_s, 0.0)


def _ended(changes: list[EventChange], offset_ms: int) -> Iterator[ReplayedEvent]:
    for change in changes:
        if change.kind == "end":
            event = change.event
            yield ReplayedEvent(
                round(1000 * event.start_s) + offset_ms,
                round(1000 * event.end_s) + offset_ms,
                event.peak,
                event.priority,
                event.continues is not None,
            )


def _are_same(events: tuple[ReplayedEvent, ...], stored: list[StoredEvent]) -> bool:
    """Equal lengths, peaks and continuations. UTC of a window is known to the clock's drift, and
    quiet hours may have lowered a priority."""
    replayed = [(event.end_ms - event.start_ms, event.peak, event.continues) for event in events]
    return replayed == [
        (event.end_ms - event.start_ms, event.peak, event.continues is not None) for event in stored
    ]
