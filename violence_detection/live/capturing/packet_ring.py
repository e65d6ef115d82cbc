"""The last packets of a camera, undecoded, from which clips are written."""

import threading
from collections import deque

from violence_detection.video.live_source import LivePacket, StreamInfo


class PacketRing:
    """Packets of one connection, from a key frame on; threads may share it.

    Attributes:
        info: Of the stream that the packets are of; None before the first connection.
        header: The stream for those who write the packets; see `stream_header`.
    """

    def __init__(self, *, keep_s: float, max_bytes: int) -> None:
        """
        Args:
            keep_s: Seconds that are kept at least.
            max_bytes: Limit of the packets; where it is reached, fewer seconds are kept.
        """
        self.info: StreamInfo | None = None
        self.header = b""
        self._keep_s, self._max_bytes = keep_s, max_bytes
        self._groups: deque[list[LivePacket]] = deque()  # each begins with a key frame
        self._bytes = 0
        self._lock = threading.Lock()

    def begin(self, info: StreamInfo, header: bytes = b"") -> None:
        """Drops everything: packets of another connection cannot follow these."""
        with self._lock:
            self.info, self.header, self._bytes = info, header, 0
            self._groups.clear()

    def add(self, packet: LivePacket) -> None:
        """Adds a packet; those before the first key frame are left out."""
        with self._lock:
            if packet.is_key:
                self._groups.append([])
            elif not self._groups:
                return
            self._groups[-1].append(packet)
            self._bytes += len(packet.data)
            while self._can_drop(packet.arrived_s):
                self._bytes -= sum(len(dropped.data) for dropped in self._groups.popleft())

    def _can_drop(self, now_s: float) -> bool:
        if self._bytes > self._max_bytes:
            return bool(self._groups)
        return len(self._groups) > 1 and now_s - self._groups[1][0].arrived_s >= self._keep_s

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def span_s(self) -> float:
        """Seconds from the first to the last packet."""
        with self._lock:
            if not self._groups:
                return 0.0
            return self._groups[-1][-1].arrived_s - self._groups[0][0].arrived_s

    def snapshot(self) -> tuple[StreamInfo | None, bytes, list[LivePacket]]:
        """The stream, its header and all packets, of one moment."""
        with self._lock:
            return self.info, self.header, [packet for group in self._groups for packet in group]

    def packets(self) -> list[LivePacket]:
        """All packets, in their order; the first is a key frame."""
        with self._lock:
            return [packet for group in self._groups for packet in group]
