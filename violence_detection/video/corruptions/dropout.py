"""Things in front of the camera: a pole, a spider, dirt, a privacy mask."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange


def build(
    *,
    holes: Annotated[int, Range(1, 100)] = 8,
    share: Annotated[float, Range(0.01, 1)] = 1 / 7,
) -> ClipChange:
    """Black rectangles that stay where they are, as coarse dropout of training images.

    Args:
        holes: Their number; they may overlap.
        share: Their height and width, as fractions of those of the frame.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        places = rng.uniform(0, 1, (holes, 2))

        def cover(frame: np.ndarray, _: int) -> np.ndarray:
            height, width = frame.shape[:2]
            rows, columns = max(1, round(share * height)), max(1, round(share * width))
            covered = frame.copy()
            for down, across in places:
                top, left = round(down * (height - rows)), round(across * (width - columns))
                covered[top : top + rows, left : left + columns] = 0
            return covered

        return cover

    return ClipChange(draw)
