"""Settings of `watch`, and the records of a cameras file."""

import dataclasses
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.live.access.config import WebSettings
from violence_detection.live.configuration.camera_settings import CameraSettings
from violence_detection.live.configuration.retention_settings import RetentionConfig
from violence_detection.registry import did_you_mean
from violence_detection.settings import CommandConfig, Config, option

PRIORITIES = ("low", "medium", "high")


def check_timezone(name: str) -> str:
    """The name of a time zone.

    Raises:
        ConfigError: If this machine does not know it.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"`timezone` must be a zone of the IANA database, as Europe/Berlin. Received: {name}."
            f"{did_you_mean(name, zoneinfo.available_timezones())}"
        ) from error
    return name


class Secret:
    """A text that holds a password; only `reveal` gives it.

    `repr`, `str` and JSON show the text without its passwords, so that no log, page or error
    shows them by accident.
    """

    __slots__ = ("_hidden", "_shown", "_value")

    def __init__(self, value: str, shown: str = "***", hidden: tuple[str, ...] = ()) -> None:
        """
        Args:
            value: The text as it is.
            shown: The text with its passwords masked.
            hidden: Parts of the text that `scrub` masks in other texts.
        """
        self._value, self._shown = value, shown
        self._hidden = tuple(sorted((part for part in hidden if len(part) > 2), key=len))

    def reveal(self) -> str:
        return self._value

    def scrub(self, text: str) -> str:
        """Another text, such as an error of a library, with the hidden parts masked."""
        text = text.replace(self._value, self._shown) if self._value else text
        for part in reversed(self._hidden):  # the longest first: one may hold another
            text = text.replace(part, "***")
        return text

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Secret({self._shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type["Secret"], tuple[str, str, tuple[str, ...]]]:
        return Secret, (self._value, self._shown, self._hidden)


@dataclass(frozen=True)
class WatchConfig(CommandConfig):
    """Options of `watch` beside its file."""

    for_s: float | None = option(
        None,
        "End after this many seconds; default: go on until a signal.",
        group="Advanced",
        flag="for",
        metavar="SECONDS",
        above=0.0,
    )


@dataclass(frozen=True)
class ReplayConfig(CommandConfig):
    """Options of `watch replay`."""

    camera: str | None = option(None, "Replay this camera only; default: all.", group="Data")
    hours: float = option(
        24.0, "Replay so many hours, up to `--until`.", group="Data", above=0.0, high=100_000.0
    )
    until: str | None = option(
        None,
        "End of that time, as 2026-11-30T06:00, in the time zone of the file; default: now.",
        group="Data",
    )
    threshold: float | None = option(
        None,
        "Try this threshold; default: that of each camera.",
        group="Decision",
        above=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class CalibrateConfig(CommandConfig):
    """Options of `watch calibrate`."""

    false_alarms_per_hour: float | None = option(
        None,
        "False alarms an hour that are accepted; default: those of the file.",
        group="Decision",
        above=0.0,
        high=1000.0,
    )
    days: float = option(
        14.0, "Take the scores of so many days.", group="Data", above=0.0, high=3650.0
    )


@dataclass(frozen=True)
class Camera:
    """A camera of the file.

    Attributes:
        name: A short name of lower-case letters, digits, `-` and `_`; a part of paths and topics.
        title: The name that people read.
        source: URL, or the number or path of a local camera.
        site: The place, for people; may be empty.
        clip_source: URL of another stream of the camera, of which clips are kept; None for
            `source`.
    """

    name: str
    title: str
    source: Secret
    site: str
    settings: CameraSettings
    clip_source: Secret | None = None

    def scrub(self, text: str) -> str:
        """A text without the passwords of the camera."""
        text = self.source.scrub(text)
        return self.clip_source.scrub(text) if self.clip_source else text


@dataclass(frozen=True)
class Sink(Config):
    """A receiver of notifications.

    Attributes:
        name: Its name in the file, for logs and escalation.
        notifier: A part of the registry folder `notifiers`.
        options: What the notifier takes, by name; texts that may hold passwords are `Secret`.
    """

    name: str = ""
    notifier: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    min_priority: str = option(
        "medium",
        "Lowest priority of events that are sent to it.",
        group="Output",
        choices=PRIORITIES,
    )
    per_10_min: int = option(
        20,
        "Messages in ten minutes after which events are summed up in one message; events of high "
        "priority are always sent.",
        group="Output",
        low=1,
        high=600,
    )
    picture: str = option(
        "none",
        "Picture of the event that is sent with its messages: none, with people made hard to "
        "recognise (blurred), or as the camera sees it.",
        group="Output",
        choices=("none", "blurred", "original"),
    )
    end: bool | None = option(
        None,
        "Tell it of the ends of events; default: programs (webhook, mqtt), not people (apprise).",
        group="Output",
    )


@dataclass(frozen=True)
class EscalationStep(Config):
    """Sinks that are told of an event that nobody has acknowledged for a while."""

    priority: str = option(
        "high", "Lowest priority of such events.", group="Output", choices=PRIORITIES
    )
    unacknowledged_s: float = option(
        120.0,
        "Seconds after the start of the event.",
        group="Output",
        low=1.0,
        high=86400.0,
    )
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuietHours:
    """Hours of the day in which events of some cameras are not sent, or count as lower.

    Attributes:
        cameras: Names; empty means all.
        days: Days of the week on which the hours begin, Monday is 0.
        start_min: Minutes after midnight, by the wall clock of the file's time zone.
        end_min: The same; one that is not after `start_min` is on the next day.
        action: `store` keeps events without sending them, `lower` takes one priority off.
    """

    cameras: tuple[str, ...]
    days: tuple[int, ...]
    start_min: int
    end_min: int
    action: str


@dataclass(frozen=True)
class WatchFile(Config):
    """A cameras file that was read and checked.

    Attributes:
        path: The file.
        run: Folder of the trained run.
        data: Folder of the event store.
        timezone: Name of a zone of the IANA database.
        camera_down_s: Seconds without frames after which a camera counts as down.
    """

    path: Path
    run: Path
    data: Path
    cameras: tuple[Camera, ...]
    sinks: tuple[Sink, ...] = ()
    escalation: tuple[EscalationStep, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    timezone: str = option(
        "UTC",
        "Time zone of quiet hours and of times in messages, as Europe/Berlin.",
        group="Output",
        canonical=check_timezone,
    )
    web: WebSettings = field(default_factory=WebSettings)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    spot_checks_per_camera_day: int = option(
        3,
        "Windows without an event that a person is asked about, each day and camera.",
        group="Output",
        low=0,
        high=24,
    )
    judges: int | None = option(
        None,
        "Processes that judge, which share the cameras; default: one for each GPU, or one.",
        group="Advanced",
        low=1,
        high=16,
    )
    camera_down_s: float = option(
        60.0,
        "Seconds without frames after which sinks are told that a camera is down.",
        group="Output",
        low=5.0,
        high=86400.0,
    )

    def camera(self, name: str) -> Camera:
        return next(camera for camera in self.cameras if camera.name == name)


def settings_json(record: Any) -> Any:
    """A record of this file ready for JSON, with passwords masked."""
    if isinstance(record, Secret):
        return str(record)
    if isinstance(record, Config):
        nested = {
            item.name: getattr(record, item.name)
            for item in dataclasses.fields(record)
            if item.name != "given"
        }
        return {name: settings_json(value) for name, value in nested.items()}
    if dataclasses.is_dataclass(record):
        names = [item.name for item in dataclasses.fields(record)]
        return {name: settings_json(getattr(record, name)) for name in names}
    if isinstance(record, Mapping):
        return {name: settings_json(value) for name, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [settings_json(value) for value in record]
    return str(record) if isinstance(record, Path) else record
