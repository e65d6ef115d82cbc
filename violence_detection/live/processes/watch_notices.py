"""Notices of a watch: what the command prints, one a line, as JSON or as text.

Times named `at_ms` are UTC in milliseconds.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar


@dataclass(frozen=True)
class Notice:
    """Base of all notices; `notice` in JSON says which one it is."""

    name: ClassVar[str]
    at_ms: int

    def to_json(self) -> dict[str, Any]:
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "at_ms"
        }
        return {"notice": self.name, "at": iso_utc(self.at_ms), **values}


def iso_utc(time_ms: int) -> str:
    """UTC in ISO 8601, to the millisecond."""
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Started(Notice):
    """The watch has started its processes."""

    name = "started"
    cameras: Sequence[str]
    sinks: Sequence[str]
    data: str


@dataclass(frozen=True)
class JudgeChanged(Notice):
    """A judge is ready or down.

    Attributes:
        state: `ready` or `down`.
        judge: Its number: 1, 2, …
        reason: Why it is down.
        engine: Of a judge that is ready: the engine and its precision.
        window_s: Of a judge that is ready: seconds of a window.
    """

    name = "judge"
    state: str
    judge: int = 1
    reason: str = ""
    engine: str = ""
    window_s: float = 0.0


@dataclass(frozen=True)
class CameraChanged(Notice):
    """A camera is in another state; see `capture_messages.StateChange`, and `failed` where its
    process dies again and again."""

    name = "camera"
    camera: str
    state: str
    reason: str = ""


@dataclass(frozen=True)
class PageChanged(Notice):
    """The review page is up or down.

    Attributes:
        address: Of a page that is up.
        reason: Why it is down.
    """

    name = "page"
    state: str
    address: str = ""
    reason: str = ""


@dataclass(frozen=True)
class EventChanged(Notice):
    """An event started, rose in priority or ended.

    Attributes:
        change: `start`, `rise` or `end`.
        event: Its id.
        start, end: UTC in ISO 8601.
        peak: The highest probability so far.
        sent_to: Sinks that are told.
        held_back: Why no sink is: `cooldown`, `quiet_hours`, `snooze`, `observe`, `low`, `told`;
            else empty.
        novelty: The highest novelty of its windows so far: above 1 one of them is unlike anything
            that the run was trained on. None where that is not known.
    """

    name = "event"
    camera: str
    event: str
    change: str
    priority: str
    start: str
    end: str
    peak: float
    sent_to: Sequence[str] = ()
    held_back: str = ""
    novelty: float | None = None


@dataclass(frozen=True)
class ClockStepped(Notice):
    """The clock of this machine was set."""

    name = "clock"
    step_s: float


@dataclass(frozen=True)
class Reloaded(Notice):
    """The cameras file was read again.

    Attributes:
        ok: False if it has errors: then nothing was changed.
        errors: Each with its place.
        started, ended, restarted: Names of cameras.
    """

    name = "reload"
    ok: bool
    errors: Sequence[str] = ()
    started: Sequence[str] = ()
    ended: Sequence[str] = ()
    restarted: Sequence[str] = ()


@dataclass(frozen=True)
class Ended(Notice):
    """The watch has ended.

    Attributes:
        seconds: How long it ran.
        events: Events that started.
        windows: Windows that were judged.
        unjudged: Windows that were not.
        cameras_up: Names of the cameras that were up at some time.
    """

    name = "ended"
    seconds: float
    events: int
    windows: int
    unjudged: int
    cameras_up: Sequence[str]
