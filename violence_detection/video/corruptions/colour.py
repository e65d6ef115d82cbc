"""Other colours: light of another colour, a wrong white balance, a pale sensor."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange


def build(
    *,
    hue: Annotated[float, Range(0, 180)] = 18.0,
    saturation: Annotated[float, Range(0, 1)] = 0.5,
) -> ClipChange:
    """Hue and saturation, moved by amounts of uniform distributions.

    Args:
        hue: The largest turn of the hue in degrees, to either side.
        saturation: The saturation is multiplied by 1 - saturation to 1 + saturation.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        turn = float(rng.uniform(-hue, hue)) / 2  # OpenCV has 180 steps of hue
        factor = float(rng.uniform(1 - saturation, 1 + saturation))

        def recolour(frame: np.ndarray, _: int) -> np.ndarray:
            hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV).astype(np.float32)
            hsv[..., 0] = (hsv[..., 0] + turn) % 180
            hsv[..., 1] = np.minimum(hsv[..., 1] * factor, 255)
            return cv2.cvtColor(np.rint(hsv).astype(np.uint8), cv2.COLOR_HSV2BGR)

        return recolour

    return ClipChange(draw)
