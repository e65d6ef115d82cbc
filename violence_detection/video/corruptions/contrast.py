"""A flat image: haze on the lens, back light, a cheap sensor."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build(*, factor: Annotated[float, Range(0.01, 4)] = 0.4) -> ClipChange:
    """``128 + factor (x - 128)``.

    Args:
        factor: Under 1 the contrast is lower. 0.4 is severity 1 of ImageNet-C's contrast; its
            higher severities leave a camera's image without content.
    """
    levels = np.clip(np.rint(128 + factor * (np.arange(256) - 128.0)), 0, 255).astype(np.uint8)
    return each_frame(lambda frame: cv2.LUT(frame, levels))
