"""Left and right exchanged: what must not matter."""

import cv2

from violence_detection.evaluation.robustness.corruptions._corruption import Corruption, each_frame


def build() -> Corruption:
    """Mirrored."""
    return each_frame(lambda frame: cv2.flip(frame, 1))
