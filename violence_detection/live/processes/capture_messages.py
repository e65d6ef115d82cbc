"""Messages of a capture process to the supervisor.

Times of frames and windows are seconds of this machine's monotonic clock, as the camera's own
clock counts them on from the first frame of a connection: they grow over all sections, reconnects
and capture processes. `CaptureStatus.clock_offset_s` corrects them by what the two clocks have
drifted apart since.
"""

from dataclasses import dataclass
from typing import Literal

MAX_PICTURE_TEXT = 2**18  # characters
MAX_VIDEO_BYTES = 2**19

CaptureState = Literal["starting", "up", "silent", "waiting", "refused", "absent"]


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
        codec: FFmpeg's name of it: "h264".
        width, height: Of frames; 0 if unknown.
        fps: Frames per second; 0.0 if unknown.
        at_s: Monotonic clock.
    """

    codec: str
    width: int
    height: int
    fps: float
    at_s: float


@dataclass(frozen=True)
class CameraPicture:
    """A picture of the camera, for those who look at the page.

    Attributes:
        taken_s: Monotonic clock when the frame came.
        jpeg: The picture in base64, of at most `MAX_PICTURE_TEXT` characters.
    """

    taken_s: float
    jpeg: str


@dataclass(frozen=True)
class CameraVideo:
    """Fragments of live MP4 of the camera, for those who look at its page.

    Attributes:
        stream: Number of the stream, which grows; another one begins with another header.
        number: Counts the messages of a stream.
        is_key: It begins with the fragment of a key frame.
        is_header: It is the header of the stream.
        content: In base64, of at most `MAX_VIDEO_BYTES`.
    """

    stream: int
    number: int
    is_key: bool
    is_header: bool
    content: str


@dataclass(frozen=True)
class CaptureStatus:
    """The figures of a camera, once a second; all counts are since the process started.

    Attributes:
        at_s: Monotonic clock.
        lag_s: Seconds behind the camera's clock, the largest since the last status.
        clock_offset_s: Seconds to add to times of frames for the monotonic time at which such a
            frame arrives when nothing is late.
        frames: Decoded frames.
        windows: Windows that were handed over to be judged.
        dropped: What was dropped, by cause: packets that `late` (decoding was behind) and `queue`
            (too many waited), frames that `nonref` (no other needs them) and `no_time`, windows
            that `judge` (it did not take them).
        corrupt: Damaged frames and packets.
        last_frame_s: Time of the last frame; 0.0 before the first.
        unjudged_s: Seconds between the first and the last window that no judged window covers.
        stride_s: Seconds from one window to the next, as it is now.
        ring_bytes, ring_s: Packets that are kept undecoded.
        clock_jumps, size_changes, connections: Counts.
        clip_reason: Why the stream of which clips are kept gives nothing; empty while it does, and
            where it is that which is judged.
    """

    at_s: float
    lag_s: float
    clock_offset_s: float
    frames: int
    windows: int
    dropped: dict[str, int]
    corrupt: int
    last_frame_s: float
    unjudged_s: float
    stride_s: float
    ring_bytes: int
    ring_s: float
    clock_jumps: int
    size_changes: int
    connections: int
    clip_reason: str = ""


CAPTURE_MESSAGES = (StateChange, StreamOpened, CameraPicture, CameraVideo, CaptureStatus)
