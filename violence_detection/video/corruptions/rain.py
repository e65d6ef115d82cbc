"""Rain in front of the camera."""

from typing import Annotated

import cv2
import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import ClipChange, FrameChange, scaled

_LENGTH_PX, _SPEED_PX = 18.0, 40.0  # at a shorter side of 224 pixels; a frame
_LIGHT = 70.0  # grey levels


def build(*, drops: Annotated[int, Range(1, 5000)] = 250) -> ClipChange:
    """Bright streaks that fall, all in one slant, and a slightly darker scene.

    Args:
        drops: Streaks in a frame.
    """

    def draw(rng: np.random.Generator) -> FrameChange:
        places = rng.uniform(0, 1, (drops, 2))
        speeds = rng.uniform(0.7, 1.3, drops)
        slant = float(rng.uniform(-0.3, 0.3))

        def fall(frame: np.ndarray, number: int) -> np.ndarray:
            height, width = frame.shape[:2]
            length, speed = scaled(frame, _LENGTH_PX), scaled(frame, _SPEED_PX)
            layer = np.zeros((height, width), np.uint8)
            y = (places[:, 1] * (height + length) + number * speed * speeds) % (height + length)
            x = (places[:, 0] * width + slant * y) % width
            ends = np.stack([x, y, x - slant * length, y - length], axis=1)
            thickness = max(1, round(scaled(frame, 0.8)))
            for ax, ay, bx, by in np.rint(ends).astype(int).tolist():
                cv2.line(layer, (ax, ay), (bx, by), 255, thickness, cv2.LINE_AA)
            layer = cv2.GaussianBlur(layer, (0, 0), max(scaled(frame, 0.5), 0.3))
            streaks = layer[..., None].astype(np.float32) * (_LIGHT / 255)
            return np.clip(np.rint(frame * np.float32(0.9) + streaks), 0, 255).astype(np.uint8)

        return fall

    return ClipChange(draw)
