"""A shadow over a part of the scene."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import (
    ClipChange,
    FrameChange,
    brightened,
    scaled,
)

_SOFT_PX = 4.0  # width of the border, at a shorter side of 224 pixels


def build(*, factor: Annotated[float, Range(0, 1)] = 0.4) -> ClipChange:
    """One side of a straight line through the middle half of the frame is darker.

    Args:
        factor: Brightness in the shadow, as a fraction of that outside.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        angle = rng.uniform(0, 2 * np.pi)
        across, down = rng.uniform(0.25, 0.75, 2)

        def darken(frame: np.ndarray, _: int) -> np.ndarray:
            height, width = frame.shape[:2]
            y, x = np.ogrid[:height, :width]
            side = (x - across * width) * np.cos(angle) + (y - down * height) * np.sin(angle)
            lit = np.clip(side / scaled(frame, _SOFT_PX) + 0.5, 0, 1)
            return brightened(frame, (factor + (1 - factor) * lit)[..., None].astype(np.float32))

        return darken

    return ClipChange(draw)
