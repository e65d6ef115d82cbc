"""Live cameras and streams, read by PyAV: packets as they arrive, and errors by kind.

Packets are plain bytes, so that they can be kept, dropped and decoded later; `live_decoder` makes
frames of them.
"""

import contextlib
import math
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from violence_detection.errors import VideoError
from violence_detection.video.decoding.container import ALLOWED_FORMATS
from violence_detection.video.writing.stream_header import stream_header

if TYPE_CHECKING:
    import av

ErrorKind = Literal["refused", "absent", "timeout", "closed", "unreachable", "garbage"]
Transport = Literal["tcp", "udp"]

MAX_PIXELS = 8192 * 4320

# A stream may be a playlist; it may open network addresses only, never a file.
_STREAM_OPTIONS = {
    "format_whitelist": f"{ALLOWED_FORMATS},hls,mpjpeg,rtsp,sdp",
    "protocol_whitelist": "http,https,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,httpproxy",
}
# With FFmpeg's own values opening takes 1.1 s, with these 0.4 s; with none at all 2 s, because the
# rate is then measured on the frames.
_RTSP_OPTIONS = {"analyzeduration": "500000", "probesize": "32768"}
_RTSP = re.compile(r"rtsps?://", re.IGNORECASE)
# Formats that play by the clock, also where they come over HTTP.
_REAL_TIME_FORMATS = frozenset("rtsp rtp sdp mpjpeg video4linux2 v4l2 flv mpegts hls".split())
# Parts of multipart JPEG have no times: FFmpeg counts them as 25 a second.
_FORMATS_WITHOUT_TIMES = frozenset(["mpjpeg"])
_MAX_PACKET_BYTES = 32 * 2**20

_LAG_MINUTES = 10


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
        is_real_time: It plays by the clock: a camera, not a file on a server.
    """

    codec: str
    profile: str
    pixels: str
    width: int
    height: int
    fps: float
    has_b_frames: bool
    time_base: tuple[int, int]
    is_real_time: bool


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
        codec_context: PyAV's decoder of the stream, which has not decoded anything yet. Packets
            may be decoded in another thread than the one that reads them, also after the end.
    """

    def __init__(
        self,
        container: "av.container.InputContainer",
        stream: "av.VideoStream",
        *,
        opened_s: float,
        read_timeout_s: float,
    ) -> None:
        self._container, self._stream = container, stream
        self._opened_s, self._read_timeout_s = opened_s, read_timeout_s
        self.codec_context = stream.codec_context
        self.info = _describe(container, stream)
        self._has_times = container.format.name not in _FORMATS_WITHOUT_TIMES

    @property
    def fps(self) -> float:
        return self.info.fps

    @property
    def is_mp4(self) -> bool:
        """True for MP4 and QuickTime files, whose index may be at their end: a server must then
        support range requests, or no frame can be read."""
        return "mp4" in self._container.format.name.split(",")

    def header(self) -> bytes:
        """The stream for those who write or decode its packets, from `stream_header`; empty if it
        cannot be described."""
        import av

        try:
            return stream_header(self._stream)
        except (av.FFmpegError, ValueError):
            return b""

    @property
    def started_at_ms(self) -> int | None:
        """Unix time in milliseconds at which the stream began, by the camera's own clock.

        None as long as the camera has not told it (RTCP), which it does every few seconds.
        """
        start_us = self._container.start_time_realtime
        return None if start_us is None else start_us // 1000

    def packets(self) -> Iterator[LivePacket]:
        """Yields the packets of the video stream as they arrive.

        Raises:
            LiveError: At its end. A live source has no end that is not an error.
        """
        import av

        waiting_since_s = time.monotonic()
        try:
            for packet in self._container.demux(self._stream):
                waited_s = time.monotonic() - waiting_since_s
                if 0 < packet.size <= _MAX_PACKET_BYTES:
                    yield self._received(packet)
                # When the time is up, FFmpeg first gives the packet that it still holds, and then
                # waits as long again.
                if self.info.is_real_time and waited_s >= self._read_timeout_s:
                    raise _silent()
                waiting_since_s = time.monotonic()
        except av.FFmpegError as error:
            raise _read_error(error) from None  # PyAV's own text repeats the URL
        except IndexError:  # a stream that was not there when it was opened
            raise LiveError("garbage", "it changed its streams") from None
        raise LiveError("closed", "the connection was closed at the other end")

    def _received(self, packet: "av.Packet") -> LivePacket:
        arrived_s, pts, dts = time.monotonic(), packet.pts, packet.dts
        if not self._has_times:
            pts = dts = round((arrived_s - self._opened_s) / packet.time_base)
        return LivePacket(bytes(packet), pts, dts, packet.is_keyframe, packet.is_corrupt, arrived_s)


def _describe(container: "av.container.InputContainer", stream: "av.VideoStream") -> StreamInfo:
    context = stream.codec_context
    # The packets that come while it is opened are too few to measure a rate; the codec's own
    # header often tells it.
    fps = float(stream.average_rate or context.framerate or stream.guessed_rate or 0)
    formats = set(container.format.name.split(","))
    is_file = container.duration is not None and not formats & {"rtsp", "rtp"}
    return StreamInfo(
        codec=context.codec.name,
        profile=context.profile or "",
        pixels=context.pix_fmt or "",
        width=context.width,
        height=context.height,
        fps=fps if 0 < fps <= 1000 else 0.0,
        has_b_frames=bool(context.has_b_frames),
        time_base=(stream.time_base.numerator, stream.time_base.denominator),
        is_real_time=bool(formats & _REAL_TIME_FORMATS) and not is_file,
    )


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
    import av

    av.logging.set_level(None)  # FFmpeg's messages repeat the URL
    start_s = time.monotonic()
    try:
        container = av.open(
            f"/dev/video{target}" if isinstance(target, int) else target,
            format="video4linux2" if isinstance(target, int) else None,
            options=_options(target, transport),
            timeout=(open_timeout_s, read_timeout_s),
        )
    except av.FFmpegError as error:
        raise _open_error(error, time.monotonic() - start_s, open_timeout_s) from None
    except (OSError, ValueError) as error:  # a target that is no file name: a zero byte
        raise LiveError("absent", f"it cannot be opened: {type(error).__name__}") from None
    with contextlib.closing(container):
        yield LiveSource(
            container,
            _video_stream(container),
            opened_s=start_s,
            read_timeout_s=read_timeout_s,
        )


def _options(target: str | int, transport: Transport) -> dict[str, str]:
    if isinstance(target, int):
        return {}
    if _RTSP.match(target):
        return _STREAM_OPTIONS | _RTSP_OPTIONS | {"rtsp_transport": transport}
    return dict(_STREAM_OPTIONS)


def _video_stream(container: "av.container.InputContainer") -> "av.VideoStream":
    """The largest video stream, as of a file; its decoder runs in one thread."""
    streams = [stream for stream in container.streams.video if stream.codec_context]
    if not streams:
        raise LiveError("garbage", "it cannot be opened: it has no video that can be decoded")
    stream = max(streams, key=lambda video: video.codec_context.width * video.codec_context.height)
    context = stream.codec_context
    if context.width * context.height > MAX_PIXELS:
        size = f"{context.width}x{context.height}"
        raise LiveError("garbage", f"its frames are declared as {size}, over the limit")
    context.thread_count = 1  # the parallelism is over cameras
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _open_error(error: "av.FFmpegError", waited_s: float, limit_s: float) -> LiveError:
    """The reason why a source cannot be opened, in words that hold nothing of its URL."""
    import av.error

    kind: ErrorKind = "unreachable"
    reason = "nobody answers at this address"
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        kind, reason = "refused", "the user name or password is refused"
    elif isinstance(error, av.error.PermissionError):
        kind, reason = "refused", "this user may not open it"
    elif isinstance(error, av.error.HTTPNotFoundError):
        kind, reason = "absent", "the server does not know this path (404)"
    elif isinstance(error, av.error.FileNotFoundError):
        kind, reason = "absent", "there is no such device"
    elif isinstance(error, av.error.ProtocolNotFoundError | av.error.ArgumentError):
        kind, reason = "absent", "it is no address, or one that may not be opened here"
    elif isinstance(error, av.error.ConnectionRefusedError):
        reason = "nobody listens at this address"
    elif isinstance(error, av.error.HTTPServerError):
        reason = "the server is not ready (5xx)"
    elif isinstance(error, av.error.HTTPClientError):
        reason = "the server does not accept the request (4xx)"
    elif waited_s >= 0.95 * limit_s or isinstance(error, av.error.TimeoutError):
        kind, reason = "timeout", f"no answer for {waited_s:.0f} s"
    elif isinstance(error, av.error.InvalidDataError):
        kind, reason = "garbage", "what comes from there is not a video stream"
    return LiveError(kind, f"it cannot be opened: {reason}")


def _read_error(error: "av.FFmpegError") -> LiveError:
    import av.error

    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return _silent()
    if isinstance(error, av.error.InvalidDataError):
        return LiveError("garbage", "what it sends is not video any more")
    return LiveError("closed", f"the connection failed ({error.strerror})")


def _silent() -> LiveError:
    return LiveError("timeout", "it sends nothing any more")


class LagTracker:
    """The delay of a stream behind its own clock.

    What arrives at once has no lag: the smallest difference of arrival and stream time in the last
    ten minutes. There is one minimum for each minute, so that a clock that runs fast or slow
    shifts it no further than it gets in ten minutes.
    """

    def __init__(self) -> None:
        self._minima: deque[tuple[int, float]] = deque()  # of each minute, with its number

    @property
    def offset_s(self) -> float:
        """The monotonic time at which the stream's time was 0 and nothing was late."""
        return min((smallest for _, smallest in self._minima), default=math.nan)

    def add(self, time_s: float, arrived_s: float | None = None) -> float:
        """Adds a frame or packet; returns its lag in seconds.

        Args:
            time_s: Its time by the stream.
            arrived_s: By the monotonic clock; default: now.
        """
        arrived_s = time.monotonic() if arrived_s is None else arrived_s
        minute, difference_s = int(arrived_s // 60), arrived_s - time_s
        if not self._minima or self._minima[-1][0] != minute:
            self._minima.append((minute, difference_s))
            while self._minima[0][0] <= minute - _LAG_MINUTES:
                self._minima.popleft()
        elif difference_s < self._minima[-1][1]:
            self._minima[-1] = minute, difference_s
        return difference_s - self.offset_s

    def reset(self) -> None:
        """Forgets everything: the stream's clock has jumped."""
        self._minima.clear()
