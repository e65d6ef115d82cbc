"""The last seconds of live MP4 of each camera, which captures make only while somebody asks."""

import base64
import binascii
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from violence_detection.live.processes.capture_messages import MAX_VIDEO_BYTES, CameraVideo

HOLD_S = 5.0  # that a capture sends video after an order
MAX_BYTES = 8 * 2**20  # of a camera
_ORDER_EVERY_S = 1.0
_MARK = struct.Struct(">QQ")


@dataclass(frozen=True)
class LiveVideoPart:
    """A part of a live MP4 stream.

    Attributes:
        stream: Number of the stream; 0 if it has ended, or there is none yet.
        number: Of the last fragment: the next part is what comes after it.
        content: May be empty.
    """

    stream: int
    number: int
    content: bytes = b""

    def to_bytes(self) -> bytes:
        return _MARK.pack(self.stream, self.number) + self.content

    @classmethod
    def from_bytes(cls, data: bytes) -> "LiveVideoPart":
        """The part of `to_bytes`."""
        return cls(*_MARK.unpack_from(data), data[_MARK.size :])


@dataclass
class _Stream:
    """Fragments of one camera: number, whether it begins with a key frame, and content."""

    number: int
    header: bytes = b""
    fragments: deque[tuple[int, bool, bytes]] = field(default_factory=deque)
    bytes: int = 0


class CameraVideos:
    """Orders video of those who ask, and keeps the last seconds. Threads may share it."""

    def __init__(
        self, order: Callable[[str], None], *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            order: Has the capture of a camera send video for `HOLD_S`.
            now_s: The monotonic clock.
        """
        self._order, self._now_s = order, now_s
        self._streams: dict[str, _Stream] = {}
        self._ordered_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, camera: str, message: CameraVideo) -> None:
        """Keeps a fragment; what is none is left out."""
        try:
            content = base64.b64decode(message.content, validate=True)
        except (binascii.Error, ValueError):
            return
        if not 0 < len(content) <= MAX_VIDEO_BYTES or message.stream <= 0:
            return
        with self._lock:
            stream = self._streams.get(camera)
            if stream is None or stream.number != message.stream:
                stream = self._streams[camera] = _Stream(message.stream)
            if message.is_header:
                stream.header = content
                return
            stream.fragments.append((message.number, message.is_key, content))
            stream.bytes += len(content)
            while stream.bytes > MAX_BYTES:
                stream.bytes -= len(stream.fragments.popleft()[2])

    def part(self, camera: str, stream: int, after: int) -> LiveVideoPart:
        """The video that has come after a fragment, and an order of more.

        Args:
            camera: Its name.
            stream: Number of the stream that is followed; 0 begins one, with its header and the
                newest key frame.
            after: Number of the last fragment that is known.
        """
        now_s = self._now_s()
        with self._lock:
            is_due = now_s - self._ordered_s.get(camera, -1e9) >= _ORDER_EVERY_S
            if now_s - self._ordered_s.get(camera, -1e9) > HOLD_S:
                self._streams.pop(camera, None)  # the capture has stopped: it is of another time
            if is_due:
                self._ordered_s[camera] = now_s
        if is_due:
            self._order(camera)
        with self._lock:
            known = self._streams.get(camera)
            if known is None or not known.header or (stream and stream != known.number):
                return LiveVideoPart(0, 0)
            fragments = list(known.fragments)
            if stream == 0:
                keys = [place for place, fragment in enumerate(fragments) if fragment[1]]
                fragments = fragments[keys[-1] :] if keys else []
                if not fragments:
                    return LiveVideoPart(0, 0)
                header = known.header
            elif fragments and fragments[0][0] > after + 1:
                return LiveVideoPart(0, 0)  # who follows was too slow: the next is missing
            else:
                fragments = [fragment for fragment in fragments if fragment[0] > after]
                header = b""
            number = fragments[-1][0] if fragments else after
            content = header + b"".join(fragment[2] for fragment in fragments)
            return LiveVideoPart(known.number, number, content)
