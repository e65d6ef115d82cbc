"""A camera that looks a little to the side."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, moved


def build(*, share: Annotated[float, Range(0, 0.5)] = 0.1) -> ClipChange:
    """A shift of all frames, by parts of both sides of a uniform distribution.

    Args:
        share: The largest shift, as a fraction of the side.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        across, down = rng.uniform(-share, share, 2).tolist()

        def shift(frame: np.ndarray, _: int) -> np.ndarray:
            height, width = frame.shape[:2]
            return moved(frame, np.array([[1, 0, across * width], [0, 1, down * height]]))

        return shift

    return ClipChange(draw, moves=True)
