"""Sends the packets of a camera as live MP4 for those who look at its page; nothing is decoded."""

import base64
import io
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.processes.capture_messages import MAX_VIDEO_BYTES, CameraVideo
from violence_detection.live.recording.clips import Timestamps, add_stream, open_output
from violence_detection.video.live_source import LivePacket
from violence_detection.video.writing.stream_header import header_stream

if TYPE_CHECKING:
    import av

_EVERY_S = 0.15
_PLAYED = "h264"  # by every browser


class VideoSender:
    """Sends fragments of MP4, one a frame, for as long as an order holds.

    Orders come from another thread than `run`.
    """

    def __init__(
        self,
        ring: PacketRing,
        send: Callable[[CameraVideo], None],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            ring: The packets of the camera.
            send: Takes the fragments.
            now_s: The monotonic clock.
        """
        self._ring, self._send, self._now_s = ring, send, now_s
        self._until_s = 0.0
        self._muxer: _Muxer | None = None

    def order(self, hold_s: float) -> None:
        """Sends video for so many seconds from now on."""
        self._until_s = self._now_s() + hold_s

    def run(self) -> None:
        """Sends until the process ends."""
        while True:
            self.step()
            time.sleep(_EVERY_S)

    def step(self) -> None:
        """Sends what has come since the last call, if it is ordered."""
        if self._now_s() >= self._until_s:
            self._muxer = None
            return
        info, header, packets = self._ring.snapshot()
        if info is None or info.codec != _PLAYED or not header or not packets:
            self._muxer = None
            return
        if self._muxer is None or self._muxer.header != header:
            self._muxer = _Muxer(header, info.time_base, stream=round(1000 * self._now_s()))
        for message in self._muxer.add(packets):
            self._send(message)


class _Muxer:
    """One MP4 stream in memory, from the newest key frame on."""

    def __init__(self, header: bytes, time_base: tuple[int, int], *, stream: int) -> None:
        self.header, self._stream_number = header, stream
        self._time_base = Fraction(*time_base)
        self._timestamps = Timestamps(self._time_base)
        self._written = _Parts()
        with header_stream(header) as template:
            self._output: av.container.OutputContainer = open_output(self._written)
            self._stream = add_stream(self._output, template)
        self._numbers = itertools.count(1)
        self._last: LivePacket | None = None
        self._header_sent = False

    def add(self, packets: Sequence[LivePacket]) -> Iterator[CameraVideo]:
        """The fragments of the packets that are new; that of the last comes with the next one."""
        import av

        parts: list[bytes] = []
        is_key = False  # of the first of the parts
        for packet in self._new(packets):
            muxed = av.Packet(packet.data)
            muxed.pts, muxed.dts = self._timestamps.next(packet)
            muxed.time_base, muxed.is_keyframe = self._time_base, packet.is_key
            muxed.stream = self._stream
            before, self._last = self._last, packet
            self._output.mux(muxed)
            content = self._written.take()
            if not content:
                continue
            # What was written is the fragment of the packet before; with the first, the header.
            if before.is_key:
                yield from self._messages(parts, is_key=is_key)
                parts, is_key = [], True
                if not self._header_sent:
                    self._header_sent = True
                    yield from self._messages(content[:1], is_key=False, is_header=True)
                    content = content[1:]
            parts += content
        yield from self._messages(parts, is_key=is_key)

    def _new(self, packets: Sequence[LivePacket]) -> Sequence[LivePacket]:
        if self._last is None:
            return packets[max(place for place, packet in enumerate(packets) if packet.is_key) :]
        for place in range(len(packets) - 1, -1, -1):
            if packets[place] is self._last:
                return packets[place + 1 :]
        return [packet for packet in packets if packet.arrived_s > self._last.arrived_s]

    def _messages(
        self, parts: list[bytes], *, is_key: bool, is_header: bool = False
    ) -> Iterator[CameraVideo]:
        content = b"".join(parts)
        for start in range(0, len(content), MAX_VIDEO_BYTES):
            yield CameraVideo(
                self._stream_number,
                next(self._numbers),
                is_key and start == 0,
                is_header,
                base64.b64encode(content[start : start + MAX_VIDEO_BYTES]).decode(),
            )


class _Parts(io.RawIOBase):
    """A file in memory that cannot be read or sought; what was written is taken out."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def take(self) -> list[bytes]:
        """The bytes written since the last call."""
        parts, self._parts = self._parts, []
        return parts
