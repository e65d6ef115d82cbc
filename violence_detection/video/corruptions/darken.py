"""Too little light."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build(*, gamma: Annotated[float, Range(1, 10)] = 2.5) -> ClipChange:
    """``255 (x / 255) ** gamma``: dark places lose more than bright ones.

    Args:
        gamma: 2.5 is in the middle of the range 2 to 3.5 by which dark training images are made
            (Lv et al.).

    Reference:
        Lv, Lu, Wu and Lim, MBLLEN: low-light image/video enhancement using CNNs, 2018.
    """
    levels = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return each_frame(lambda frame: cv2.LUT(frame, levels))
