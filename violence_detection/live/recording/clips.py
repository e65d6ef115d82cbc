"""Files of clips: packets are written as they come, undecoded, and finished after the end.

A clip grows as `NAME.mp4.part`, an MP4 file of which each packet is a fragment: what a kill leaves
can be played up to the last whole packet. `finish_part` copies it into `NAME.mp4`, with its index
at the front, as browsers want it. Of a camera with privacy masks the packets are decoded, and the
frames written with the masks (`masked_clips`): no unmasked picture reaches the disk.
"""

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system import files
from violence_detection.video.live_source import LivePacket
from violence_detection.video.writing.stream_header import header_stream, rotation_in

if TYPE_CHECKING:
    import av

log = logging.getLogger(__name__)

FOLDER = "clips"  # below the data folder
PART = ".part"
MAX_BYTES = 1 << 30
_SYNC_S = 1.0
# With `delay_moov` a stream whose parameters come with its first packet is written as well.
_PART_OPTIONS = {
    "movflags": "frag_every_frame+delay_moov+default_base_moof",
    "flush_packets": "1",
}
# A step of the camera's clock by more than this is no time in which nothing moved.
_LONGEST_STEP_S = 10.0
_FINISHED_OPTIONS = {"movflags": "faststart"}


@dataclass(frozen=True)
class FinishedClip:
    """A finished clip.

    Attributes:
        path: The file.
        bytes: Its size.
        frames: Number of packets.
        duration_s: Its length in seconds.
        codec: FFmpeg's name of the codec.
        sha256: Digest of the file.
    """

    path: Path
    bytes: int
    frames: int
    duration_s: float
    codec: str
    sha256: str


class PartWriter:
    """Base of writers of a `.part` file: what it is called, how large it is, when it is synced.

    Attributes:
        path: The file that there will be.
        first_s, last_s: Arrival of the first and the last packet; None before the first.
        left_out: Number of packets that were left out.
    """

    _output: "av.container.OutputContainer"

    def __init__(self, path: Path, *, max_bytes: int, now_s: Callable[[], float]) -> None:
        """
        Args:
            path: The file that there will be; its folder is made.
            max_bytes: Limit of its size; packets over it are left out.
            now_s: A clock that only goes on.

        Raises:
            ViolenceDetectionError: If it cannot be written.
        """
        self.path, self.left_out = path, 0
        self.first_s: float | None = None
        self.last_s: float | None = None
        self._max_bytes, self._now_s, self._synced_s = max_bytes, now_s, now_s()
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.part, "wb", buffering=0)  # noqa: SIM115

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """Deletes the `.part` file if the block, which opens the output, fails."""
        try:
            with written(self.path):
                yield
        except BaseException:
            self._file.close()
            self.part.unlink(missing_ok=True)
            raise

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + PART)

    @property
    def is_full(self) -> bool:
        return self._file.tell() >= self._max_bytes

    def _note(self, arrived_s: float) -> None:
        """Notes that a packet was written; syncs the file once a second."""
        self.first_s = arrived_s if self.first_s is None else self.first_s
        self.last_s = arrived_s
        if self._now_s() - self._synced_s >= _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced_s = self._now_s()

    def finish(self) -> FinishedClip:
        """Ends the clip and finishes it; see `finish_part`."""
        self.close()
        return finish_part(self.part)

    def close(self) -> None:
        """Ends the clip, which `finish_part` can finish later."""
        # A full disk does not take the last fragment.
        with contextlib.suppress(ViolenceDetectionError), written(self.path):
            self._output.close()
        self._file.close()


class ClipWriter(PartWriter):
    """Writes packets of a camera into `<path>.part` as they are, from a key frame on."""

    def __init__(
        self,
        path: Path,
        header: bytes,
        time_base: tuple[int, int],
        *,
        max_bytes: int = MAX_BYTES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            header: The stream, as `LiveSource.header` gives it.
            time_base: Seconds of one unit of the packets' timestamps, as a fraction.

        Raises:
            ViolenceDetectionError: If it cannot be written.
            VideoError: If MP4 does not hold this codec.
        """
        super().__init__(path, max_bytes=max_bytes, now_s=now_s)
        self._time_base = Fraction(*time_base)
        self._timestamps = Timestamps(self._time_base)
        with self._opening(), header_stream(header) as stream:
            self._output = open_output(self._file)
            self._stream = add_stream(self._output, stream)

    def write(self, packet: LivePacket) -> None:
        """Writes a packet.

        Raises:
            ViolenceDetectionError: If it cannot be written: the disk is full. What was written
                stays.
        """
        if self.is_full or (self.first_s is None and not packet.is_key):
            self.left_out += 1
            return
        import av

        muxed = av.Packet(packet.data)
        muxed.pts, muxed.dts = self._timestamps.next(packet)
        muxed.time_base, muxed.is_keyframe = self._time_base, packet.is_key
        muxed.stream = self._stream
        with written(self.path):
            self._output.mux(muxed)
            self._note(packet.arrived_s)


class Timestamps:
    """Timestamps of a clip, which begin at 0 and grow, whatever the camera's clock does."""

    def __init__(self, time_base: Fraction) -> None:
        self._unit_s = time_base
        self._offset: int | None = None
        self._last, self._arrived_s = -1, 0.0

    def next(self, packet: LivePacket) -> tuple[int, int]:
        """The times at which a packet is shown and decoded."""
        raw = packet.dts if packet.dts is not None else packet.pts
        longest = int(_LONGEST_STEP_S / self._unit_s)
        if self._offset is None:
            self._offset = raw or 0
        elif raw is None or not 0 < raw - self._offset - self._last <= longest:
            # The camera's clock has stepped, or it is another connection: by arrival it goes on.
            passed = max(1, int((packet.arrived_s - self._arrived_s) / self._unit_s))
            self._offset = (raw or 0) - self._last - passed
        dts = (raw or 0) - self._offset
        shown = packet.pts if packet.pts is not None else (raw or 0)
        pts = shown - self._offset
        if not dts <= pts <= dts + longest:
            pts = dts
        self._last, self._arrived_s = dts, packet.arrived_s
        return pts, dts


def finish_part(part: Path) -> FinishedClip:
    """Copies the whole packets of a `.part` file into the clip, and deletes the `.part` file.

    Raises:
        VideoError: If there is no whole packet in it; the file is deleted.
        ViolenceDetectionError: If the clip cannot be written; the `.part` file stays.
    """
    path = part.with_name(part.name.removesuffix(PART))
    temporary = path.with_name(f"{path.name[:20]}{files.temporary_mark()}")
    try:
        frames, duration_s, codec = _copy_packets(part, temporary)
        if not frames:
            part.unlink(missing_ok=True)
            raise VideoError(f"A clip must have a packet. Received: {part.name} without any")
        with written(path):
            files.replace(temporary, path)
            sync_folder(path.parent)
            part.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
    digest = files.sha256_of_file(path)
    return FinishedClip(path, path.stat().st_size, frames, duration_s, codec, digest)


def clip_path(camera: str, event_id: str, start_ms: int) -> str:
    """Path of a clip below the data folder: `clips/<camera>/<YYYY>/<MM>/<DD>/<HHMMSS>Z-<id>.mp4`,
    in UTC."""
    start = time.gmtime(start_ms // 1000)
    return f"{FOLDER}/{camera}/{time.strftime('%Y/%m/%d/%H%M%SZ', start)}-{event_id}.mp4"


def picture_paths(camera: str, event_id: str, start_ms: int) -> tuple[str, str]:
    """Paths of the pictures of an event's start below the data folder, as it was and blurred.

    They have the clip's name, and are deleted with it.
    """
    stem = clip_path(camera, event_id, start_ms).removesuffix(".mp4")
    return f"{stem}.start.jpg", f"{stem}.start.blurred.jpg"


def sync_folder(folder: Path) -> None:
    """Writes the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_packets(part: Path, copy: Path) -> tuple[int, float, str]:
    """Copies whole packets; returns their number, their length in seconds and the codec."""
    import av

    with contextlib.ExitStack() as opened:
        try:
            _cut_to_whole_boxes(part)
            source = opened.enter_context(av.open(f"file:{part.absolute()}", format="mov"))
            stream = source.streams.video[0]
        except (av.FFmpegError, IndexError):
            return 0, 0.0, ""
        with written(copy):
            output = opened.enter_context(
                av.open(f"file:{copy.absolute()}", "w", format="mp4", options=_FINISHED_OPTIONS)
            )
            copied = output.add_stream_from_template(stream, opaque=True)
            frames, end = 0, 0
            for packet in _timed_packets(source, stream):
                end, frames = packet.dts + packet.duration, frames + 1
                packet.stream = copied
                output.mux(packet)
            output.close()
        return frames, float(end * stream.time_base), stream.codec_context.name


def _timed_packets(
    source: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.Packet"]:
    """Packets, each with the time to the next as its duration: of a last packet without one,
    players leave out the frame."""
    import av

    held = None
    with contextlib.suppress(av.FFmpegError):
        for packet in source.demux(stream):
            if not packet.size or packet.is_corrupt:
                break
            if held is not None:
                duration = held.duration = max(1, packet.dts - held.dts)
                yield held
                packet.duration = duration
            held = packet
    if held is not None:
        yield held


def _cut_to_whole_boxes(part: Path) -> None:
    """Cuts off what is torn at the end of a fragmented file: FFmpeg may refuse it all for that."""
    size, whole, place = part.stat().st_size, 0, 0
    with open(part, "rb+") as file:
        while place + 8 <= size:
            file.seek(place)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the length follows in 64 bits
                length = int.from_bytes(header[8:16], "big")
            place += length
            if length < 8 or place > size:
                break
            if header[4:8] == b"mdat":
                whole = place
        file.truncate(whole)


def open_output(file: io.FileIO) -> "av.container.OutputContainer":
    """An MP4 file of which each packet is a fragment."""
    import av

    return av.open(file, "w", format="mp4", options=_PART_OPTIONS)


def add_stream(
    output: "av.container.OutputContainer", stream: "av.VideoStream"
) -> "av.VideoStream":
    """Adds a stream of packets as they are; players turn its frames as the camera's container asks.

    Args:
        output: An MP4 file without packets.
        stream: Of `header_stream`.
    """
    added = output.add_stream_from_template(stream, opaque=True)
    if rotation := rotation_in(stream):
        added.set_display_rotation(rotation)
    return added


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns errors of writing a clip into those of this package."""
    import av

    try:
        yield
    except OSError as error:  # some of FFmpeg's are as well
        raise files.write_error(path, error) from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"A clip must be of a codec that MP4 holds. ({error})") from error
