"""Settings of a camera: connection, windows, alerts, clips."""

from dataclasses import dataclass, field

from violence_detection.errors import ConfigError
from violence_detection.inference.config import CAMERA_HOLD_MB
from violence_detection.settings import Config, option

Polygon = tuple[tuple[float, float], ...]


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
        "Keep a clip of each event as the camera sends it, never without privacy masks (masked), "
        "with people made hard to recognise (blurred), or none.",
        group="Output",
        choices=("original", "masked", "blurred", "none"),
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


def check_decoder(name: str) -> str:
    """The name of a decoder.

    Raises:
        ConfigError: If frames are not decoded so.
    """
    if name not in ("auto", "software"):
        raise ConfigError(
            "`decoder` must be auto or software: frames are decoded on the CPU, which gives those "
            f"that `predict` gets. Received: {name}"
        )
    return name


@dataclass(frozen=True)
class CameraSettings(Config):
    """Settings of a camera that `defaults` may give for all.

    Attributes:
        privacy_masks: Polygons that are black in all that is judged, shown and kept; points are
            shares of width and height.
        ignore: Polygons in which motion, of a clock or a tree, does not steer the crop of a
            focused stream; they are judged, shown and kept all the same.
    """

    transport: str = option("tcp", "Transport of RTSP.", group="Advanced", choices=("tcp", "udp"))
    decoder: str = option(
        "auto",
        "Decoder of frames: auto or software.",
        group="Advanced",
        canonical=check_decoder,
    )
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
        CAMERA_HOLD_MB,
        "Memory in megabytes for the frames that windows share; larger frames are reduced to it.",
        group="Advanced",
        low=8,
        high=4096,
    )
    lag: LagSettings = field(default_factory=LagSettings)
    alert: CameraAlert = field(default_factory=CameraAlert)
    clips: ClipSettings = field(default_factory=ClipSettings)
    privacy_masks: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()
