"""Packets on their way from the thread that reads a camera to the thread that decodes."""

import threading
from collections import deque
from dataclasses import dataclass

from violence_detection.video.live_source import LivePacket, LiveSource

_MAX_BYTES = 16 * 2**20


@dataclass
class Connection:
    """State of a connection, for the threads that work on it.

    Attributes:
        packet_s: Monotonic time at which its last packet came, or its opening began.
        frame_s: When its last frame was decoded, or it was opened.
        fruitless: Packets since then.
        is_open: It has not ended yet.
        in_step_since_s: Since when frames have come without a large lag; None if they do not.
        fault: Why it is to be ended and made anew; empty if it is not.
    """

    packet_s: float
    frame_s: float = 0.0
    fruitless: int = 0
    is_open: bool = True
    in_step_since_s: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class Opened:
    """A connection was made."""

    source: LiveSource
    connection: Connection


@dataclass(frozen=True)
class Closed:
    """The connection has ended."""


@dataclass(frozen=True)
class Arrived:
    """A packet has come.

    Attributes:
        packet: The packet.
        follows_gap: Packets before it were dropped.
    """

    packet: LivePacket
    follows_gap: bool = False


class PacketQueue:
    """A queue whose sender never waits.

    Attributes:
        dropped: Count of packets that were dropped because too many waited.
    """

    def __init__(self, *, max_bytes: int = _MAX_BYTES) -> None:
        self._items: deque[Opened | Closed | Arrived] = deque()
        self._max_bytes, self._bytes, self._drops = max_bytes, 0, False
        self._changed = threading.Condition()
        self.dropped = 0

    def put(self, item: Opened | Closed) -> None:
        with self._changed:
            self._drops = False
            self._items.append(item)
            self._changed.notify()

    def put_packet(self, packet: LivePacket) -> None:
        """Adds a packet; from a full queue on, packets are dropped up to a key frame that comes
        when half of it is free again."""
        with self._changed:
            if self._drops and not (packet.is_key and self._bytes < self._max_bytes / 2):
                self.dropped += 1
            elif self._bytes + len(packet.data) > self._max_bytes:
                self._drops = True
                self.dropped += 1
            else:
                self._items.append(Arrived(packet, self._drops))
                self._drops = False
                self._bytes += len(packet.data)
                self._changed.notify()

    def get(self) -> Opened | Closed | Arrived:
        """The next item; waits for it."""
        with self._changed:
            while not self._items:
                self._changed.wait()
            item = self._items.popleft()
            if isinstance(item, Arrived):
                self._bytes -= len(item.packet.data)
        return item
