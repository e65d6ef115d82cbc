"""Messages of a capture process: what it tells the supervisor and the judge, and what it is told.

Every message is a flat, frozen dataclass. Times named `_s` of frames and windows are seconds of
this machine's monotonic clock, as the camera's own clock counts them on from the first frame of a
section: so they go on over reconnects and over a new capture process.
"""

from dataclasses import dataclass, field
from typing import Literal

CaptureState = Literal["starting", "up", "silent", "waiting", "refused", "absent"]
DropCause = Literal["nonref", "late", "queue", "judge", "no_time", "corrupt"]


# -- from capture to supervisor


@dataclass(frozen=True)
class StateChange:
    """A camera's state changed.

    Attributes:
        state: `starting` (opening), `up` (frames come), `silent` (connected, no packet), `waiting`
            (for the next attempt), `refused`, `absent` (both wait longer).
        reason: Why, in words without passwords; empty for `up`.
        at_s: Monotonic clock.
        retry_in_s: Seconds to the next attempt; 0.0 if there is none.
    """

    state: CaptureState
    reason: str
    at_s: float
    retry_in_s: float = 0.0


@dataclass(frozen=True)
class StreamOpened:
    """A connection was made: the stream as it is described.

    Attributes:
        width, height: Of frames; 0 if unknown.
        fps: Frames per second; 0.0 if unknown.
    """

    codec: str
    width: int
    height: int
    fps: float
    at_s: float


@dataclass(frozen=True)
class CaptureStatus:
    """The figures of a camera, once a second; all counts are since the process started.

    Attributes:
        at_s: Monotonic clock.
        lag_s: Seconds behind the camera's clock, the largest of the last second.
        frames: Decoded frames.
        windows: Windows that were handed over.
        dropped: Packets, frames or windows that were dropped, by cause.
        last_frame_s: Time of the last frame; 0.0 before the first.
        unjudged_s: Seconds of the camera that no window covers.
        stride_s: Seconds from one window to the next, as it is now.
        ring_bytes, ring_s: Packets that are kept undecoded.
        clock_jumps, size_changes, connections: Counts.
    """

    at_s: float
    lag_s: float
    frames: int
    windows: int
    dropped: dict[str, int]
    last_frame_s: float
    unjudged_s: float
    stride_s: float
    ring_bytes: int
    ring_s: float
    clock_jumps: int
    size_changes: int
    connections: int


@dataclass(frozen=True)
class Unjudged:
    """A stretch of the camera's time that no window will cover.

    Attributes:
        reason: "reconnect", "clock", "size", "dropped", "few_frames", "judge".
    """

    start_s: float
    end_s: float
    reason: str


# -- from capture to judge


@dataclass(frozen=True)
class CapturedWindow:
    """A window with the numbers of its images.

    Attributes:
        start_s, end_s: Camera's time.
        images: By view, moment and stream the number of the image (V, T, K).
        needed_from: The first image that this window or later windows may need.
        is_judged: False if less than half of its moments have frames of their own; then it has no
            images to score and counts as unjudged.
    """

    start_s: float
    end_s: float
    images: list[list[list[int]]]
    needed_from: int
    is_judged: bool = True


@dataclass(frozen=True)
class WindowsReady:
    """New images and the windows that are complete with them; the images come as an array,
    uint8 (n, S, S, 3), beside the message.

    Attributes:
        camera: Its name.
        first_image: Number of the first of these images; 0 begins anew, earlier images are void.
        windows: Ascending.
    """

    camera: str
    first_image: int
    windows: list[CapturedWindow] = field(default_factory=list)


# -- from supervisor to capture


@dataclass(frozen=True)
class SetStride:
    """Windows are `stride_s` apart from now on."""

    stride_s: float


@dataclass(frozen=True)
class Stop:
    """End the process."""
