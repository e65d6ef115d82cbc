"""Makes pictures of a camera for those who look at the page; nothing while nobody looks."""

import base64
import time
from collections.abc import Callable

import cv2

from violence_detection.errors import VideoError
from violence_detection.live.processes.capture_messages import MAX_PICTURE_TEXT, CameraPicture
from violence_detection.live.recording.privacy_masks import MaskedFrame

WIDTH = 320  # pixels
EVERY_S = 0.25
_QUALITY = 80
_MAX_HEIGHT = 1280  # of a picture: a camera may send frames of any shape


class PictureMaker:
    """Sends a few pictures a second for as long as an order holds.

    Orders come from another thread than frames.
    """

    def __init__(
        self, send: Callable[[CameraPicture], None], *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            send: Takes the pictures.
            now_s: The monotonic clock.
        """
        self._send, self._now_s = send, now_s
        self._until_s = self._due_s = 0.0

    def order(self, hold_s: float) -> None:
        """Makes pictures for so many seconds from now on."""
        self._until_s = self._now_s() + hold_s

    def offer(self, frame: MaskedFrame) -> None:
        """Sends the picture of a frame, if one is ordered and due."""
        now_s = self._now_s()
        if now_s >= self._until_s or now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        try:
            image = frame.retrieve()
        except VideoError:
            return
        height = min(_MAX_HEIGHT, max(1, round(image.shape[0] * WIDTH / image.shape[1])))
        image = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        has_worked, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        text = base64.b64encode(content).decode() if has_worked else ""
        if 0 < len(text) <= MAX_PICTURE_TEXT:
            self._send(CameraPicture(frame.arrived_s, text))
