"""A camera, or a recorder, of low resolution."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.evaluation.robustness.corruptions._corruption import Corruption, each_frame
from violence_detection.registry import Range


def build(*, side: Annotated[int, Range(8, 4320)] = 90) -> Corruption:
    """Made smaller, by area; smaller videos stay as they are.

    Args:
        side: Pixels of the shorter side. 90 is 0.4 of the 224 of a picture, severity 3 of
            ImageNet-C's pixelation.
    """

    def shrink(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        share = side / min(height, width)
        if share >= 1:
            return frame
        size = (max(2, round(share * width)), max(2, round(share * height)))
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    return each_frame(shrink)
