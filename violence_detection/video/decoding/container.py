"""The header of a video file, read by PyAV: which stream is the video, its clock and its length.

OpenCV tells none of these. Where PyAV cannot open the file, the header is empty.
"""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from violence_detection.video.frame_series import read_series

if TYPE_CHECKING:
    import av

# Without this list FFmpeg also reads playlists, whatever their names: they open other files, or
# themselves until FFmpeg crashes. And it accepts some noise as a video, in formats without a
# signature.
ALLOWED_FORMATS = (
    "asf,avi,dhav,dv,flv,gxf,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,"
    "mxf,nut,ogg,rm,vc1,wtv"
)
# FFmpeg takes raw MJPEG of large frames for JPEG pictures, which are no video under another ending.
_RAW_MJPEG_ENDINGS = (".mjpeg", ".mjpg")
TOLERANCE = 0.05  # fraction of the declared frames that may be missing without damage
_MAX_START_S = 3600.0  # a stream that begins later has a clock that cannot be meant


@dataclass(frozen=True)
class Container:
    """The header of a video file.

    Attributes:
        stream: The video stream to read, counted among the video streams.
        sizes: Width and height of each video stream, the one to read first; pictures (covers,
            thumbnails) are left out.
        start_s: Seconds from the first timestamp of the file to that of the stream: the time at
            which a player shows its first frame.
        shown_s: The length of the stream in seconds, without the frames that an edit list of MP4
            hides; 0.0 in other formats.
        duration_s: The length of the file in seconds, that of its longest stream; 0.0 if the file
            does not tell.
        has_index: The file tells the number of frames of the stream.
        is_matroska: The file is Matroska or WebM.
    """

    stream: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    start_s: float = 0.0
    shown_s: float = 0.0
    duration_s: float = 0.0
    has_index: bool = False
    is_matroska: bool = False

    @property
    def note(self) -> str:
        """The choice among several video streams, in words; empty if there is one."""
        if len(self.sizes) < 2:
            return ""
        read, *others = (f"{width}x{height}" for width, height in self.sizes)
        return f"it has {len(self.sizes)} video streams: {read} is read, {', '.join(others)} is not"

    def shown_frames(self, declared: int, fps: float) -> int:
        """The declared number of frames, without those that an edit list hides."""
        shown = round(self.shown_s * fps)
        # A little less is rounding, and a rate that varies.
        return shown if 0 < shown < (1 - TOLERANCE) * declared - 1 else declared

    def is_whole(self, path: Path, frames: int, *, trusts_packets: bool) -> bool:
        """True if the file is complete, although its duration promises more frames.

        That is so if the duration is that of another stream, and if the header of Matroska is
        wrong: a recorder that crashed leaves anything there.

        Args:
            path: The file.
            frames: The frames that were decoded, up to its end.
            trusts_packets: FFmpeg reported no error, so the packets that it found are all that
                were written.
        """
        if self.has_index or not self.sizes:
            return False
        extent = read_extent(path, self.stream)
        if not extent.packets or frames < (1 - TOLERANCE) * extent.packets:
            return False
        ends = extent.end_s >= (1 - TOLERANCE) * self.duration_s > 0
        return ends or (self.is_matroska and trusts_packets)


class Extent(NamedTuple):
    """The packets that a file really has.

    Attributes:
        packets: Packets of the video stream that are shown.
        end_s: The end of the last packet of any stream, in seconds from the start of the file.
    """

    packets: int
    end_s: float


def allowed_formats(path: Path) -> str:
    """Names of the formats, joined by commas, that FFmpeg may read a file as."""
    is_raw_mjpeg = path.suffix.lower() in _RAW_MJPEG_ENDINGS
    return f"{ALLOWED_FORMATS},jpeg_pipe" if is_raw_mjpeg else ALLOWED_FORMATS


def open_container(path: Path) -> "av.container.InputContainer":
    """Opens a file with PyAV: as a file whatever its name, and in the allowed formats only.

    Raises:
        av.FFmpegError: If it cannot be opened.
    """
    import av

    options = {"format_whitelist": allowed_formats(path), "protocol_whitelist": "file"}
    return av.open(f"file:{path.absolute()}", options=options, metadata_errors="ignore")


def read_container(path: Path) -> Container:
    """The header of a video file; an empty one if PyAV cannot open it."""
    series = read_series(path)
    if series is not None:
        return Container(duration_s=series.duration_s, has_index=True)
    stat = path.stat()
    return _read_container(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # a video is opened several times
def _read_container(path: Path, size: int, mtime_ns: int) -> Container:
    import av

    with contextlib.suppress(av.FFmpegError), open_container(path) as file:
        streams = list(_videos(file)) or list(file.streams.video)
        if streams:
            return _header(file, streams)
    return Container()


def _videos(file: "av.container.InputContainer") -> Iterator["av.VideoStream"]:
    """The video streams that are no picture and that FFmpeg can decode."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    several = any(stream.frames > 1 for stream in file.streams.video)
    for stream in file.streams.video:
        is_picture = stream.disposition & pictures or (several and stream.frames == 1)
        if not is_picture and stream.codec_context is not None:
            yield stream


def _header(file: "av.container.InputContainer", streams: list["av.VideoStream"]) -> Container:
    from av.stream import Disposition

    def rank(stream: "av.VideoStream") -> tuple[int, bool]:
        width, height = _size(stream)
        return width * height, bool(stream.disposition & Disposition.default)

    best = max(streams, key=rank)  # the first of equals
    others = [stream for stream in streams if stream is not best]
    tick_s = float(best.time_base or 0)
    start_s = 0.0
    if best.start_time is not None and file.start_time is not None:
        start_s = best.start_time * tick_s - file.start_time / 1_000_000
    return Container(
        stream=list(file.streams.video).index(best),
        sizes=tuple(map(_size, (best, *others))),
        # The clocks of a file are rounded to microseconds.
        start_s=round(start_s, 6) if 1e-4 < start_s <= _MAX_START_S else 0.0,
        # Only MP4 hides frames; of a cut AVI this is the length of what is left.
        shown_s=max(0.0, (best.duration or 0) * tick_s) if "mp4" in file.format.name else 0.0,
        duration_s=max(0.0, (file.duration or 0) / 1_000_000),
        has_index=best.frames > 0,
        is_matroska="matroska" in file.format.name,
    )


def _size(stream: "av.VideoStream") -> tuple[int, int]:
    codec = stream.codec_context
    return (codec.width, codec.height) if codec else (0, 0)


def read_extent(path: Path, stream: int) -> Extent:
    """The packets of a file, read to the last; nothing is decoded.

    Args:
        path: The file.
        stream: The video stream, counted among the video streams.
    """
    import av

    packets, end_s = 0, 0.0
    # PyAV raises IndexError at a packet of a stream that only shows up in the middle of the file.
    with contextlib.suppress(av.FFmpegError, IndexError), open_container(path) as file:
        video = file.streams.video[stream]
        start_s = (file.start_time or 0) / 1_000_000
        for packet in file.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.is_discard:
                continue
            packets += packet.stream is video
            tick_s = float(packet.time_base)
            end_s = max(end_s, (stamp + (packet.duration or 0)) * tick_s - start_s)
    return Extent(packets, end_s)
