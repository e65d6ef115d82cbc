"""The sampled frame in colour, resized to a square by area."""

import numpy as np

from violence_detection.video.streams._stream import SQUEEZED, InGraph, Stream, squeeze

RECIPE = SQUEEZED


def build(*, frame_size: int, focus: bool = False) -> Stream:
    """Images in RGB.

    Args:
        frame_size: Side of an image in pixels (S).
        focus: Crop each frame to the region of motion of the clip.
    """

    def prepare(frame: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(squeeze(frame, frame_size)[:, :, ::-1])

    return Stream(
        prepare,
        combine=lambda images: images[0],
        focus=focus,
        in_graph=InGraph(
            prepare=lambda frames, resize: resize(frames),
            combine=lambda images: images[0],
        ),
    )
