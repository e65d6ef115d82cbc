"""A lens that is dirty or out of focus."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import (
    REFERENCE_SIDE_PX,
    ClipChange,
    each_frame,
)


def build(*, sigma: Annotated[float, Range(0.1, 50)] = 3.0) -> ClipChange:
    """A Gaussian blur.

    Args:
        sigma: In pixels of a frame whose shorter side has 224 pixels; 3 is severity 3 of
            ImageNet-C's Gaussian blur.
    """

    def blur(frame: np.ndarray) -> np.ndarray:
        pixels = sigma * min(frame.shape[:2]) / REFERENCE_SIDE_PX
        return cv2.GaussianBlur(frame, (0, 0), pixels, borderType=cv2.BORDER_REPLICATE)

    return each_frame(blur)
