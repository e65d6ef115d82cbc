"""A camera that shakes: wind, traffic, a loose mount, a hand."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, moved

_WAVES = 3
_PERIODS = (3.0, 40.0)  # frames


def build(*, share: Annotated[float, Range(0, 0.2)] = 0.02) -> ClipChange:
    """A shift that changes from frame to frame: three waves in each direction, with periods of 3
    to 40 frames.

    Args:
        share: The largest shift, as a fraction of the shorter side. 0.02 is 7 pixels of 360.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        periods = np.exp(rng.uniform(*np.log(_PERIODS), (2, _WAVES)))
        phases = rng.uniform(0, 2 * np.pi, (2, _WAVES))

        def shake(frame: np.ndarray, number: int) -> np.ndarray:
            waves = np.sin(2 * np.pi * number / periods + phases).mean(1)
            across, down = (share * min(frame.shape[:2]) * waves).tolist()
            return moved(frame, np.array([[1, 0, across], [0, 1, down]]))

        return shake

    return ClipChange(draw, moves=True)
