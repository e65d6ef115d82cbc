"""Live cameras and streams, read by PyAV: packets as they arrive, and errors by kind.

Packets are plain bytes, so that they can be kept, dropped and decoded later; `live_decoder` makes
frames of them.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from violence_detection.errors import VideoError

ErrorKind = Literal["refused", "absent", "timeout", "closed", "unreachable", "garbage"]
Transport = Literal["tcp", "udp"]


class LiveError(VideoError):
    """A live source cannot be opened, or has ended; its text holds no password.

    Attributes:
        kind: `refused` (user name or password), `absent` (no such path or device), `timeout` (no
            answer, or no packet), `closed` (the connection ended), `unreachable` (nobody listens,
            or the server is not ready), `garbage` (what comes is not video).
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["LiveError"], tuple[ErrorKind, str]]:
        return LiveError, (self.kind, str(self))


@dataclass(frozen=True)
class StreamInfo:
    """The description of an opened stream.

    Attributes:
        codec: FFmpeg's name of it: "h264".
        profile: Of the codec: "High"; empty if unknown.
        pixels: FFmpeg's name of the pixel format: "yuv420p"; empty if unknown.
        width, height: Of its frames; 0 if unknown.
        fps: Frames per second by its header; 0.0 if unknown.
        has_b_frames: Frames come in another order than they are shown.
        time_base: Seconds of one unit of its timestamps, as numerator and denominator.
        extra_data: What its decoder needs before the first packet.
        is_real_time: It plays by the clock: a camera, not a file on a server.
        started_at_ms: Unix time in milliseconds of its start by the camera's own clock; None if
            the camera has not told (RTCP).
    """

    codec: str
    profile: str
    pixels: str
    width: int
    height: int
    fps: float
    has_b_frames: bool
    time_base: tuple[int, int]
    extra_data: bytes
    is_real_time: bool
    started_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LivePacket:
    """A packet of the video stream, not decoded.

    Attributes:
        data: Its bytes.
        pts, dts: Timestamps of showing and decoding, in units of the stream's time base; None if
            it has none.
        is_key: Decoding can begin with it.
        is_corrupt: FFmpeg says that a part of it is missing.
        arrived_s: When it came, by this machine's monotonic clock.
    """

    data: bytes
    pts: int | None
    dts: int | None
    is_key: bool
    is_corrupt: bool
    arrived_s: float


class LiveSource:
    """An opened live source.

    Attributes:
        info: Of its video stream.
    """

    info: StreamInfo

    @property
    def fps(self) -> float:
        return self.info.fps

    def packets(self) -> Iterator[LivePacket]:
        """Yields the packets of the video stream as they arrive.

        Raises:
            LiveError: At its end. A live source has no end that is not an error.
        """
        raise NotImplementedError


@contextlib.contextmanager
def open_live(
    target: str | int,
    *,
    transport: Transport = "tcp",
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 5.0,
) -> Iterator[LiveSource]:
    """Opens a live stream or a camera; closes it at the end of the block.

    Args:
        target: The URL of a stream, or the number of a camera.
        transport: Of RTSP.
        open_timeout_s: Seconds that opening may take.
        read_timeout_s: Seconds that the next packet may take.

    Raises:
        LiveError: If it cannot be opened.
    """
    raise NotImplementedError


class LagTracker:
    """The delay of a stream behind its own clock."""

    def add(self, time_s: float, arrived_s: float | None = None) -> float:
        """Adds a frame or packet; returns its lag in seconds.

        Args:
            time_s: Its time by the stream.
            arrived_s: By the monotonic clock; default: now.
        """
        raise NotImplementedError(time, time_s, arrived_s)
