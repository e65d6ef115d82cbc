"""Settings of `watch`, and the records of a cameras file."""

import dataclasses
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.live.access.config import WebSettings
from violence_detection.registry import nearest
from violence_detection.settings import CommandConfig, Config, option

PRIORITIES = ("low", "medium", "high")
Polygon = tuple[tuple[float, float], ...]


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
            f"{nearest(name, zoneinfo.available_timezones())}"
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
class LagSettings(Config):
    """Delays behind a camera's own clock at which capture drops work, in seconds."""

    soft_s: float = option(
        1.0,
        "Delay in seconds from which frames that no other frame needs are not decoded.",
        group="Advanced",
        low=0.1,
        high=60.0,
    )
    hard_s: float = option(
        2.0,
        "Delay in seconds from which packets are dropped up to the next key frame.",
        group="Advanced",
        low=0.1,
        high=60.0,
    )
    reconnect_s: float = option(
        10.0,
        "Delay in seconds from which the connection is made anew.",
        group="Advanced",
        low=0.5,
        high=600.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.soft_s <= self.hard_s <= self.reconnect_s:
            raise ConfigError(
                "`soft_s` must be <= `hard_s`, and `hard_s` <= `reconnect_s`. Received: "
                f"{self.soft_s}, {self.hard_s}, {self.reconnect_s}"
            )


@dataclass(frozen=True)
class Confirmation(Config):
    """The number of the last windows that must reach the threshold before an alert."""

    windows: int = option(
        2,
        "Windows that must reach the threshold.",
        group="Decision",
        low=1,
        high=100,
    )
    of: int = option(
        3,
        "Last judged windows among which they are counted; 1 of 1 alerts at once.",
        group="Decision",
        low=1,
        high=100,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.windows > self.of:
            raise ConfigError(
                f"`windows` must be <= `of`. Received: windows={self.windows}, of={self.of}"
            )


@dataclass(frozen=True)
class PriorityLimit(Config):
    """The limits from which an event has a priority.

    Attributes:
        margin: Share of the way from the threshold to probability 1, in log-odds.
    """

    margin: float = option(
        0.3,
        "Share of the way from the threshold to 1, in log-odds, that the peak must reach.",
        group="Decision",
        low=0.0,
        high=1.0,
    )
    or_duration_s: float | None = option(
        None,
        "Duration in seconds that suffices, whatever the peak.",
        group="Decision",
        above=0.0,
        high=3600.0,
    )


@dataclass(frozen=True)
class Priorities(Config):
    """The limits of the priorities; an event below both is `low`."""

    medium: PriorityLimit = field(default_factory=PriorityLimit)
    high: PriorityLimit = field(
        default_factory=lambda: PriorityLimit(margin=0.7, or_duration_s=8.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.medium.margin > self.high.margin:
            raise ConfigError(
                "The margin of `medium` must be <= that of `high`. Received: "
                f"{self.medium.margin} > {self.high.margin}"
            )


@dataclass(frozen=True)
class CameraAlert(Config):
    """Alert settings of a camera.

    Attributes:
        threshold: In force: as given, or that of `false_alarms_per_hour`. None if neither is given.
        false_alarms_per_hour: None if a threshold is given.
    """

    threshold: float | None = option(
        None,
        "Lowest probability of a violent window; the word `run` takes the run's threshold.",
        group="Decision",
        above=0.0,
        high=1.0,
    )
    false_alarms_per_hour: float | None = option(
        None,
        "Take the threshold that `watch calibrate` chose for so many; until then the run's own.",
        group="Decision",
        above=0.0,
        high=1000.0,
    )
    lower_share: float = option(
        0.75,
        "Share of the threshold down to which windows extend an event.",
        group="Decision",
        above=0.0,
        high=1.0,
    )
    close_gaps_s: float = option(
        3.0,
        "Join violent stretches whose gap in seconds is not longer than this.",
        group="Decision",
        low=0.0,
        high=3600.0,
    )
    max_event_s: float = option(
        300.0,
        "Longest event in seconds; what goes on after it is an event that continues it.",
        group="Decision",
        low=1.0,
        high=86400.0,
    )
    cooldown_s: float = option(
        60.0,
        "Seconds after a message of a camera in which only a higher priority is sent.",
        group="Decision",
        low=0.0,
        high=86400.0,
    )
    confirm: Confirmation = field(default_factory=Confirmation)
    priorities: Priorities = field(default_factory=Priorities)


@dataclass(frozen=True)
class ClipSettings(Config):
    """Clips of the events of a camera."""

    keep: str = option(
        "original",
        "Keep a clip of each event as the camera sends it, or none.",
        group="Output",
        choices=("original", "none"),
    )
    pre_s: float = option(
        10.0,
        "Seconds of a clip before its event; fewer where 16 MB do not hold them.",
        group="Output",
        low=0.0,
        high=60.0,
    )
    post_s: float = option(
        10.0, "Seconds of a clip after its event.", group="Output", low=0.0, high=300.0
    )


@dataclass(frozen=True)
class RetentionDays(Config):
    """Days that clips are kept, by the priority of their event."""

    low: float = option(
        7.0, "Days that clips of low events are kept.", group="Output", low=0.0, high=36500.0
    )
    medium: float = option(
        14.0, "Days that clips of medium events are kept.", group="Output", low=0.0, high=36500.0
    )
    high: float = option(
        30.0, "Days that clips of high events are kept.", group="Output", low=0.0, high=36500.0
    )


@dataclass(frozen=True)
class JudgedDays(Config):
    """Days that clips of events are kept that somebody judged."""

    violent: float = option(
        90.0, "Days that clips of violent events are kept.", group="Output", low=0.0, high=36500.0
    )
    not_violent: float = option(
        7.0,
        "Days that clips are kept that show no violence.",
        group="Output",
        low=0.0,
        high=36500.0,
    )


@dataclass(frozen=True)
class RetentionConfig(Config):
    """Limits of the clips that are kept.

    Attributes:
        days, judged_days: See their classes.
    """

    max_gb: float | None = option(
        None, "Most gigabytes of clips; default: no limit.", group="Output", above=0.0
    )
    min_free_gb: float = option(
        10.0, "Gigabytes of the disk that are left free.", group="Output", low=0.0, high=1e6
    )
    days: RetentionDays = field(default_factory=RetentionDays)
    judged_days: JudgedDays = field(default_factory=JudgedDays)


@dataclass(frozen=True)
class CameraSettings(Config):
    """Settings of a camera that `defaults` may give for all.

    Attributes:
        privacy_masks: Polygons that are black in all that is judged, shown and kept; points are
            shares of width and height.
    """

    transport: str = option("tcp", "Transport of RTSP.", group="Advanced", choices=("tcp", "udp"))
    open_timeout_s: float = option(
        10.0,
        "Seconds after which a camera that does not open is tried again.",
        group="Advanced",
        low=0.5,
        high=120.0,
    )
    read_timeout_s: float = option(
        5.0,
        "Seconds without a frame after which the connection is made anew.",
        group="Advanced",
        low=0.5,
        high=120.0,
    )
    stride_s: float = option(
        1.0,
        "Seconds from one window to the next; it grows where the machine cannot keep up.",
        group="Windows",
        low=0.04,
        high=60.0,
    )
    observe_hours: float = option(
        0.0,
        "Hours after a camera is first watched in which events are stored and nobody is told.",
        group="Output",
        low=0.0,
        high=8760.0,
    )
    hold_mb: int = option(
        64,
        "Memory in megabytes for the frames that windows share; larger frames are reduced to it.",
        group="Advanced",
        low=8,
        high=4096,
    )
    lag: LagSettings = field(default_factory=LagSettings)
    alert: CameraAlert = field(default_factory=CameraAlert)
    clips: ClipSettings = field(default_factory=ClipSettings)
    privacy_masks: tuple[Polygon, ...] = ()


@dataclass(frozen=True)
class Camera:
    """A camera of the file.

    Attributes:
        name: A short name of lower-case letters, digits, `-` and `_`; a part of paths and topics.
        title: The name that people read.
        source: URL, or the number or path of a local camera.
        site: The place, for people; may be empty.
    """

    name: str
    title: str
    source: Secret
    site: str
    settings: CameraSettings


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
