"""The newest picture of each camera, which captures make only while somebody asks for it."""

import base64
import binascii
import threading
import time
from collections.abc import Callable

from violence_detection.live.processes.capture_messages import MAX_PICTURE_TEXT, CameraPicture

HOLD_S = 5.0  # that a capture makes pictures after an order
MAX_AGE_S = 10.0
_ORDER_EVERY_S = 1.0
_FIRST_S = 0.5  # that the first who asks waits
_JPEG = b"\xff\xd8\xff"


class CameraPictures:
    """Orders pictures of those who ask, and keeps the newest. Threads may share it."""

    def __init__(
        self,
        order: Callable[[str], None],
        *,
        first_s: float = _FIRST_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            order: Has the capture of a camera make pictures for `HOLD_S`.
            first_s: Seconds to wait for the first picture of a camera.
            now_s: The monotonic clock.
        """
        self._order, self._first_s, self._now_s = order, first_s, now_s
        self._newest: dict[str, tuple[float, bytes]] = {}
        self._ordered_s: dict[str, float] = {}
        self._has_come = threading.Condition()

    def add(self, camera: str, message: CameraPicture) -> None:
        """Keeps a picture; what is no JPEG is left out."""
        if len(message.jpeg) > MAX_PICTURE_TEXT:
            return
        try:
            content = base64.b64decode(message.jpeg, validate=True)
        except (binascii.Error, ValueError):
            return
        if content.startswith(_JPEG):
            with self._has_come:
                self._newest[camera] = min(self._now_s(), message.taken_s), content
                self._has_come.notify_all()

    def newest(self, camera: str, *, may_wait: bool) -> bytes:
        """The newest picture of a camera, JPEG, and an order of more; empty if there is none that
        is at most 10 s old.

        Args:
            camera: Its name.
            may_wait: Wait a moment for the first picture: the camera sends frames.
        """
        now_s = self._now_s()
        with self._has_come:
            is_due = now_s - self._ordered_s.get(camera, -1e9) >= _ORDER_EVERY_S
            if is_due:
                self._ordered_s[camera] = now_s
        if is_due:
            self._order(camera)
        with self._has_come:
            if may_wait and is_due and not self._is_recent(camera):
                self._has_come.wait_for(lambda: self._is_recent(camera), self._first_s)
            return self._newest[camera][1] if self._is_recent(camera) else b""

    def _is_recent(self, camera: str) -> bool:
        taken_s, _ = self._newest.get(camera, (-1e9, b""))
        return self._now_s() - taken_s <= MAX_AGE_S
