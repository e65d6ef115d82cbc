"""Frames of a live source, with times that only grow, and where its sections end."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from violence_detection import units
from violence_detection.video.decoding.pyav_decoder import Reformatter
from violence_detection.video.live_source import LiveError, LivePacket, LiveSource

if TYPE_CHECKING:
    import av

_FALLBACK_FPS = 25.0
_MAX_FAILED_PACKETS = 64  # in a row
_DISORDER_S = 0.1  # a smaller step back is a frame out of order, a larger one another clock

_SAME_S = 1.0  # by which a gap in times may differ from that of arrivals

SectionReason = Literal["clock", "gap", "size", "dropped"]


@dataclass(frozen=True)
class SectionEnd:
    """A border in the stream: no window may contain frames of both sides.

    Attributes:
        reason: `clock` (the stream's clock was set), `gap` (nothing came for too long), `size` (of
            frames), `dropped` (packets were left out).
    """

    reason: SectionReason


class LiveFrame:
    """A decoded frame.

    Attributes:
        time_s: Seconds from the first frame, by the stream's own clock.
        arrived_s: When its last packet came, by the monotonic clock.
        width, height: In pixels.
    """

    __slots__ = ("_frame", "_reformatter", "arrived_s", "time_s")

    def __init__(
        self, frame: "av.VideoFrame", reformatter: Reformatter, time_s: float, arrived_s: float
    ) -> None:
        self._frame, self._reformatter = frame, reformatter
        self.time_s, self.arrived_s = time_s, arrived_s

    @property
    def width(self) -> int:
        return self._frame.width

    @property
    def height(self) -> int:
        return self._frame.height

    def retrieve(self) -> np.ndarray:
        """The image, uint8 (H, W, 3) BGR, upright.

        Raises:
            VideoError: If it cannot be converted.
        """
        return self._reformatter.to_bgr(self._frame, (self._frame.width, self._frame.height))


@dataclass
class DecoderCounts:
    """Counts of a decoder so far.

    Attributes:
        frames: Given out.
        before_first: Frames of each connection that were left out before the first with a time.
        without_time: Frames that were left out later, because they have no time or step back.
        corrupt: Frames that are damaged, and packets that could not be decoded.
        clock_jumps, size_changes: Sections that ended so.
    """

    frames: int = 0
    before_first: int = 0
    without_time: int = 0
    corrupt: int = 0
    clock_jumps: int = 0
    size_changes: int = 0


@dataclass
class LiveDecoder:
    """Decodes the packets of one live source, in their order.

    Times grow always. Where those of a camera step back, or forward by more than `max_step_s`, its
    clock was set: a section ends, and the time goes on by the arrival of packets.

    FFmpeg gives the first frame of an RTSP stream no time. Frames without a time are left out.

    Attributes:
        source: The source, which may have ended.
        max_step_s: The longest time from one frame to the next inside a section.
        counts: What was met so far.
    """

    source: LiveSource
    max_step_s: float = math.inf
    counts: DecoderCounts = field(default_factory=DecoderCounts)

    def __post_init__(self) -> None:
        self._context, self._info = self.source.codec_context, self.source.info
        self._time_base = Fraction(*self._info.time_base)
        self._frame_s = units.frames_to_s(1, self._info.fps or _FALLBACK_FPS)
        self._reformatter = Reformatter()
        self._size: tuple[int, int] | None = None  # of the last frame
        self._offset_s: float | None = None  # added to times of the stream
        self._last_s = self._last_arrived_s = 0.0
        self._failed, self._arrived_s = 0, 0.0
        self._drops = self._keeps_references_only = False

    @property
    def keeps_references_only(self) -> bool:
        """Frames that no other frame needs are not decoded."""
        return self._keeps_references_only

    @keeps_references_only.setter
    def keeps_references_only(self, keeps: bool) -> None:
        if keeps != self._keeps_references_only:
            self._keeps_references_only = keeps
            self._context.skip_frame = "NONREF" if keeps else "DEFAULT"

    def skip(self) -> None:
        """Packets were dropped: the next one that is decoded is a key frame, and begins a new
        section."""
        self._drops = True

    def decode(self, packet: LivePacket) -> Iterator[LiveFrame | SectionEnd]:
        """Yields the frames that a packet completes, and the ends of sections between them.

        Raises:
            LiveError: If 64 packets in a row cannot be decoded.
        """
        import av

        if self._drops:
            self._context.flush_buffers()
            self._drops = False
            yield SectionEnd("dropped")
        # Decoders read beyond the end. A packet of a given size has room there; one that is made
        # of bytes has none, and MPEG-4 is then decoded with errors.
        undecoded = av.Packet(len(packet.data))
        undecoded.update(packet.data)
        undecoded.pts, undecoded.dts = packet.pts, packet.dts
        undecoded.time_base = self._time_base
        self._arrived_s = packet.arrived_s
        yield from self._decode(undecoded)

    def finish(self) -> Iterator[LiveFrame | SectionEnd]:
        """Yields the frames that the decoder still holds, at the end of the source."""
        yield from self._decode(None)

    def _decode(self, packet: "av.Packet | None") -> Iterator[LiveFrame | SectionEnd]:
        import av

        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            self.counts.corrupt += 1
            self._failed += 1
            if self._failed >= _MAX_FAILED_PACKETS:
                raise LiveError("garbage", "what it sends cannot be decoded") from None
            return
        for frame in frames:
            self._failed = 0
            yield from self._place(frame)

    def _place(self, frame: "av.VideoFrame") -> Iterator[LiveFrame | SectionEnd]:
        """Gives a frame its time; yields it, after the end of a section where one ends."""
        time_s = self._time_of(frame)
        if time_s is None:
            self.counts.before_first += self._size is None
            self.counts.without_time += self._size is not None
            return
        size = frame.width, frame.height
        changes_size = self._size not in (None, size)
        step_s, goes_on = time_s - self._last_s, self._size is not None
        reason: SectionReason | None = "size" if changes_size else None
        # A file on a server has no clock that could be set; a gap in it is one of its frames.
        is_step = step_s < -_DISORDER_S or step_s > self.max_step_s
        if goes_on and self._info.is_real_time and is_step:
            passed_s = max(self._frame_s, self._arrived_s - self._last_arrived_s)
            reason = "gap" if abs(passed_s - step_s) < _SAME_S else "clock"
            if reason == "clock":
                self._offset_s += passed_s - step_s
                time_s = self._last_s + passed_s
        elif goes_on and step_s <= 0:
            if self._info.is_real_time:
                self.counts.without_time += 1
                return
            time_s = self._last_s + self._frame_s
        self.counts.clock_jumps += reason == "clock"
        self.counts.size_changes += changes_size
        if reason:
            yield SectionEnd(reason)
        self._size, self._last_s, self._last_arrived_s = size, time_s, self._arrived_s
        self.counts.frames += 1
        self.counts.corrupt += bool(frame.is_corrupt)
        yield LiveFrame(frame, self._reformatter, time_s, self._arrived_s)

    def _time_of(self, frame: "av.VideoFrame") -> float | None:
        """The time of a frame by the stream, from that of the first; None if it has none."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            return None if self._info.is_real_time else self._next_s()
        raw_s = float(stamp * self._time_base)
        if self._offset_s is None:
            self._offset_s = self._next_s() - raw_s
        return raw_s + self._offset_s

    def _next_s(self) -> float:
        """The time at which the next frame is due."""
        return 0.0 if self._size is None else self._last_s + self._frame_s


class LiveVideo:
    """The frames of a live source, with the interface of a decoder of files.

    Attributes:
        begins_section: The current frame does not continue the one before: its clock, or the
            size of its frames, has changed.
        counts: What was met so far.
    """

    def __init__(self, source: LiveSource, *, max_step_s: float) -> None:
        """
        Args:
            source: Opened, and not read yet.
            max_step_s: The longest time from one frame to the next inside a section.
        """
        self._source, self._decoder = source, LiveDecoder(source, max_step_s)
        self._frame: LiveFrame | None = None
        self.begins_section = False

    @property
    def fps(self) -> float:
        return self._source.fps

    @property
    def counts(self) -> DecoderCounts:
        return self._decoder.counts

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yields number and time in seconds of each frame.

        Raises:
            LiveError: At the end of the source.
        """
        try:
            for packet in self._source.packets():
                yield from self._numbered(self._decoder.decode(packet))
        except LiveError as error:
            yield from self._numbered(self._decoder.finish())
            if self.counts.frames or error.kind != "closed":
                raise
            reason = "it opens, but no frame of it can be decoded"
            if self._source.is_mp4:
                reason += (
                    ": the index of an MP4 may be at its end, which a server without range "
                    "requests cannot send first; download it"
                )
            raise LiveError("garbage", reason) from None

    def _numbered(self, items: Iterator[LiveFrame | SectionEnd]) -> Iterator[tuple[int, float]]:
        ended = False
        for item in items:
            if isinstance(item, SectionEnd):
                ended = True
            else:
                self._frame, self.begins_section, ended = item, ended, False
                yield self.counts.frames - 1, item.time_s

    def retrieve(self) -> np.ndarray:
        """The current frame, uint8 (H, W, 3) BGR, upright."""
        return self._frame.retrieve()
