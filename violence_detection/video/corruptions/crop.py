"""A camera that was zoomed in: the edges are cut off."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build(*, share: Annotated[float, Range(0.1, 1)] = 0.8) -> ClipChange:
    """The middle of the frame.

    Args:
        share: Fraction of each side that remains. 0.8 keeps 64% of the area; ImageNet-C has no
            such corruption.
    """

    def cut(frame: np.ndarray) -> np.ndarray:
        height, width = (max(2, round(share * side)) for side in frame.shape[:2])
        top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
        return frame[top : top + height, left : left + width]

    return each_frame(cut, moves=True)
