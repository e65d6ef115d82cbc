"""Noise of a sensor, as at night."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, seeded


def build(*, sigma: Annotated[float, Range(0, 1)] = 0.08) -> ClipChange:
    """``x + 255 sigma n``, with n standard normal and independent for each value and frame.

    Args:
        sigma: 0.08, which is 20 grey levels, is severity 1 of ImageNet-C's Gaussian noise; higher
            severities exceed the noise of a camera.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        of_frame = seeded(rng)

        def noisy(frame: np.ndarray, number: int) -> np.ndarray:
            noise = of_frame(number).standard_normal(frame.shape, np.float32)
            noise *= np.float32(255 * sigma)
            return cv2.add(frame, noise, dtype=cv2.CV_8U)  # rounds, and clips to [0, 255]

        return noisy

    return ClipChange(draw)
