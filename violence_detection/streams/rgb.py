"""The sampled frame itself, in colour, squeezed to a square by area."""

from collections.abc import Callable

import cv2
import numpy as np

RESIZE = "area, aspect ratio not kept"


def build(*, frame_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a decoded frame, uint8 (H, W, 3) BGR, to the picture that the
    backbone sees, uint8 (frame_size, frame_size, 3) RGB."""

    def picture(frame: np.ndarray) -> np.ndarray:
        small = cv2.resize(
            frame, (frame_size, frame_size), interpolation=cv2.INTER_AREA
        )
        return np.ascontiguousarray(small[:, :, ::-1])

    return picture
