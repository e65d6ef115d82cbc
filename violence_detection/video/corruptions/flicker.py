"""Light that flickers: fluorescent tubes beside a shutter of another frequency."""

from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import (
    ClipChange,
    FrameChange,
    brightened,
    seeded,
)

_PERIODS = (2.2, 12.0)  # frames
_UNSTEADY = 0.3  # of the depth, new in each frame


def build(*, depth: Annotated[float, Range(0, 0.9)] = 0.25) -> ClipChange:
    """The brightness of whole frames goes up and down, in a wave of 2.2 to 12 frames, a little
    unsteadily.

    Args:
        depth: The largest change, as a fraction of the brightness.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        period, phase = rng.uniform(*_PERIODS), rng.uniform(0, 2 * np.pi)
        of_frame = seeded(rng)

        def light(frame: np.ndarray, number: int) -> np.ndarray:
            wave = np.sin(2 * np.pi * number / period + phase)
            unsteady = of_frame(number).uniform(-1, 1)
            return brightened(
                frame, float(1 + depth * ((1 - _UNSTEADY) * wave + _UNSTEADY * unsteady))
            )

        return light

    return ClipChange(draw)
