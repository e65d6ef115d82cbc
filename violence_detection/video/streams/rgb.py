"""The sampled frame itself, in colour, squeezed to a square by area."""

import numpy as np

from violence_detection.video.streams._stream import SQUEEZED, InGraph, Stream, squeeze

RECIPE = SQUEEZED


def build(*, frame_size: int, focus: bool = False) -> Stream:
    """Pictures in the frame's own colours, RGB.

    Args:
        frame_size: S.
        focus: Cut each frame to where the motion of the clip is.
    """

    def prepare(frame: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(squeeze(frame, frame_size)[:, :, ::-1])

    return Stream(
        prepare,
        combine=lambda pictures: pictures[0],
        focus=focus,
        in_graph=InGraph(
            prepare=lambda frames, squeezed: squeezed(frames),
            combine=lambda pictures: pictures[0],
        ),
    )
