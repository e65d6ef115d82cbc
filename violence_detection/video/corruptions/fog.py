"""Fog, steam or smoke."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange

_GREY = 200.0
_CELLS = 6  # of the noise, along the shorter side
_DRIFT = 0.01  # cells a frame


def build(*, density: Annotated[float, Range(0, 1)] = 0.5) -> ClipChange:
    """``(1 - a) x + a 200``, a being a smooth field with the mean `density`, which drifts slowly.

    Args:
        density: 0 is clear, 1 is grey alone.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        cells = rng.uniform(0.5, 1.5, (_CELLS, 4 * _CELLS)).astype(np.float32)

        def veil(frame: np.ndarray, number: int) -> np.ndarray:
            height, width = frame.shape[:2]
            start = (number * _DRIFT) % _CELLS
            # The part of the field that the frame shows, moved by fractions of a cell.
            x = (start + np.arange(width) * _CELLS / width).astype(np.float32)
            y = (np.arange(height) * (_CELLS - 1) / height).astype(np.float32)
            field = cv2.remap(cells, *np.meshgrid(x, y), cv2.INTER_LINEAR)
            share = np.clip(density * field, 0, 1)[..., None]
            return np.rint(frame * (1 - share) + _GREY * share).astype(np.uint8)

        return veil

    return ClipChange(draw)
