"""Snow in front of the camera."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, scaled

_SPEED_PX, _SWAY_PX = 6.0, 5.0  # at a shorter side of 224 pixels; a frame
_RADII_PX = (0.6, 2.6)


def build(*, flakes: Annotated[int, Range(1, 5000)] = 200) -> ClipChange:
    """White flakes that fall slowly and sway; larger ones are nearer and fall faster.

    Args:
        flakes: Flakes in a frame.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        places = rng.uniform(0, 1, (flakes, 2))
        sizes = rng.uniform(0, 1, flakes)
        phases = rng.uniform(0, 2 * np.pi, flakes)

        def fall(frame: np.ndarray, number: int) -> np.ndarray:
            height, width = frame.shape[:2]
            speed, sway = scaled(frame, _SPEED_PX), scaled(frame, _SWAY_PX)
            y = (places[:, 1] * height + number * speed * (0.5 + sizes)) % height
            x = (places[:, 0] * width + sway * np.sin(number / 8 + phases)) % width
            radii = np.interp(sizes, (0, 1), [scaled(frame, radius) for radius in _RADII_PX])
            layer = np.zeros((height, width), np.uint8)
            rows = np.rint(np.stack([x, y, np.maximum(radii, 1)], axis=1)).astype(int).tolist()
            for across, down, radius in rows:
                cv2.circle(layer, (across, down), radius, 255, -1, cv2.LINE_AA)
            layer = cv2.GaussianBlur(layer, (0, 0), max(scaled(frame, 0.6), 0.3))
            share = layer[..., None].astype(np.float32) / 255
            return np.rint(frame * (1 - share) + 250 * share).astype(np.uint8)

        return fall

    return ClipChange(draw)
