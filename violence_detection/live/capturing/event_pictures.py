"""Pictures of a camera at the start of an event, for the messages about it."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.evaluation.mistakes import anonymisation
from violence_detection.live.processes.clip_messages import EventPictureOrder
from violence_detection.live.recording.privacy_masks import MaskedFrame
from violence_detection.system import files

log = logging.getLogger(__name__)

_FRAMES, _APART_S = 5, 0.15  # frames that show what moves
_LONGER_SIDE_PX = 640
_QUALITY = 80
_MAX_ORDERS = 8  # that wait for frames


class EventPictures:
    """Writes the pictures that are ordered, of the next frames.

    Orders come from another thread than frames; what takes long is done in a third one.
    """

    def __init__(self, data: Path, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            data: The folder that paths of orders are relative to.
            now_s: The monotonic clock.
        """
        self._data, self._now_s = data, now_s
        self._orders: list[EventPictureOrder] = []
        self._images: list[np.ndarray] = []
        self._due_s = 0.0

    def order(self, order: EventPictureOrder) -> None:
        """Takes an order; over eight at a time are left out."""
        if len(self._orders) < _MAX_ORDERS:
            self._orders.append(order)

    def offer(self, frame: MaskedFrame) -> None:
        """Takes a frame, if pictures are ordered."""
        now_s = self._now_s()
        if not self._orders or now_s < self._due_s:
            return
        try:
            self._images.append(_reduced(frame.retrieve()))
        except VideoError:
            return
        self._due_s = now_s + _APART_S
        if any(image.shape != self._images[0].shape for image in self._images):
            self._images = self._images[-1:]
        if len(self._images) == 1:
            for order in self._orders:
                self._write(order.original, self._images[0])
        if len(self._images) < _FRAMES:
            return
        orders, images = self._orders, self._images
        self._orders, self._images = [], []
        paths = [order.blurred for order in orders if order.blurred]
        if paths:
            threading.Thread(target=self._write_blurred, args=(paths, images), daemon=True).start()

    def _write_blurred(self, paths: list[str], images: list[np.ndarray]) -> None:
        moving, frame = anonymisation.moving_blocks(images), images[0]
        blurred = anonymisation.cover(frame, moving, list(anonymisation.faces_in(frame)))
        for path in paths:
            self._write(path, blurred)

    def _write(self, name: str, image: np.ndarray) -> None:
        """Writes a picture, unless it has no name; a full disk costs the picture only."""
        has_worked, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not name or not has_worked:
            return
        path = self._data / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.writing(path) as file:
                file.write(content.tobytes())
        except (OSError, ViolenceDetectionError) as error:
            log.warning(f"The picture of an event was not written: {error}")


def _reduced(image: np.ndarray) -> np.ndarray:
    share = min(1.0, _LONGER_SIDE_PX / max(image.shape[:2]))
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
