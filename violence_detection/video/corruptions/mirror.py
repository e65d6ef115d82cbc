"""Left and right exchanged, which should not change a prediction."""

import cv2

from violence_detection.video.corruptions._corruption import ClipChange, each_frame


def build() -> ClipChange:
    """Mirroring."""
    return each_frame(lambda frame: cv2.flip(frame, 1), moves=True)
