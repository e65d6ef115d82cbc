"""Frames as JPEG images of low quality, as cheap network cameras send them (Motion JPEG)."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build(*, quality: Annotated[int, Range(1, 100)] = 15) -> ClipChange:
    """Encoding as JPEG and decoding: OpenCV's writer of Motion JPEG has no such low quality.

    Args:
        quality: 15 is severity 3 of ImageNet-C's JPEG compression.
    """
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]

    def pass_through(frame: np.ndarray) -> np.ndarray:
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(frame), parameters)
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR)

    return each_frame(pass_through)
