"""Privacy masks of a camera: polygons that are black in all that is judged, shown and kept."""

from collections.abc import Sequence

import cv2
import numpy as np

from violence_detection.video.live_decoder import LiveFrame

Polygon = Sequence[tuple[float, float]]


def covered_pixels(masks: Sequence[Polygon], width: int, height: int) -> np.ndarray:
    """Pixels of a frame that masks touch, and those next to them, bool (height, width).

    Args:
        masks: Polygons; points are shares of width and height.
    """
    covered = np.zeros((height, width), np.uint8)
    for mask in masks:
        points = np.floor([[x * width, y * height] for x, y in mask])
        points = points.clip(-width - height, 2 * (width + height)).astype(np.int32)
        cv2.fillPoly(covered, [points], 1)
    return cv2.dilate(covered, np.ones((3, 3), np.uint8)).astype(bool)


class PrivacyMasks:
    """Blackens the images of a camera, of any size."""

    def __init__(self, masks: Sequence[Polygon]) -> None:
        """
        Args:
            masks: Polygons; points are shares of width and height.
        """
        self._masks = tuple(masks)
        self._covered = np.zeros((0, 0), bool)

    def cover(self, image: np.ndarray) -> np.ndarray:
        """An image, uint8 (H, W, 3), with the masks in black; without masks the image itself."""
        if not self._masks:
            return image
        height, width = image.shape[:2]
        if self._covered.shape != (height, width):
            self._covered = covered_pixels(self._masks, width, height)
        masked = image.copy()
        masked[self._covered] = 0
        return masked


class MaskedFrame:
    """A frame of a camera whose image has the masks in black.

    Attributes:
        time_s, arrived_s: As of `LiveFrame`.
    """

    __slots__ = ("_frame", "_masks", "arrived_s", "time_s")

    def __init__(self, frame: LiveFrame, masks: PrivacyMasks) -> None:
        self._frame, self._masks = frame, masks
        self.time_s, self.arrived_s = frame.time_s, frame.arrived_s

    def retrieve(self) -> np.ndarray:
        """The image, uint8 (H, W, 3) BGR.

        Raises:
            VideoError: If it cannot be converted.
        """
        return self._masks.cover(self._frame.retrieve())
