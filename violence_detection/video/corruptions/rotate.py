"""A camera that does not hang straight."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, moved


def build(*, degrees: Annotated[float, Range(0, 45)] = 15.0) -> ClipChange:
    """A rotation about the middle, by an angle of a uniform distribution.

    Args:
        degrees: The largest angle, to either side.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        angle = float(rng.uniform(-degrees, degrees))

        def rotate(frame: np.ndarray, _: int) -> np.ndarray:
            height, width = frame.shape[:2]
            middle = ((width - 1) / 2, (height - 1) / 2)
            return moved(frame, cv2.getRotationMatrix2D(middle, angle, 1.0))

        return rotate

    return ClipChange(draw, moves=True)
