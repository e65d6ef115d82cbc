"""A camera or recorder of low resolution."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build(*, side: Annotated[int, Range(8, 4320)] = 90) -> ClipChange:
    """Downscaling by area interpolation; smaller videos are not changed.

    Args:
        side: Pixels of the shorter side. 90 is 0.4 of 224, severity 3 of ImageNet-C's pixelation.
    """

    def shrink(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        scale = side / min(height, width)
        if scale >= 1:
            return frame
        size = (max(2, round(scale * width)), max(2, round(scale * height)))
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    return each_frame(shrink, moves=True)
