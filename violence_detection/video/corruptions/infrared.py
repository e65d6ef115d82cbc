"""A camera at night: grey, lit from beside the lens, dark at the edges."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, brightened, each_frame


def build(*, edge: Annotated[float, Range(0, 1)] = 0.4) -> ClipChange:
    """The grey image times ``1 - (1 - edge) r ** 2``, r being the distance from the middle over
    that of a corner.

    Args:
        edge: Brightness at the corners, as a fraction of that in the middle.
    """

    def light(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        factor = (1 - (1 - edge) * (x**2 + y**2) / 2).astype(np.float32)
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None]
        return np.repeat(brightened(grey, factor[..., None]), 3, axis=2)

    return each_frame(light)
