"""Motion around the sampled frame: three differences of grey frames as colour channels."""

from collections.abc import Sequence

import cv2
import numpy as np

from violence_detection.video.streams._stream import (
    SQUEEZED,
    InGraph,
    Stream,
    grey_in_graph,
    squeeze,
)

STEP_S = 0.067  # two frames at 30 frames per second
GAIN = 3
RECIPE = f"{GAIN} x |b-a|, |c-a|, |c-b| of grey frames {STEP_S} s apart; {SQUEEZED}"


def build(*, frame_size: int, focus: bool = False) -> Stream:
    """Images with the channels 3 |b-a|, 3 |c-a|, 3 |c-b|, clipped to 255, of the grey frames
    a, b, c at t - 67 ms, t, t + 67 ms; at the ends of the video, the first or last frame is used
    for those beyond it.

    Args:
        frame_size: Side of an image in pixels (S).
        focus: Crop each frame to the region of motion of the clip.
    """

    def prepare(frame: np.ndarray) -> np.ndarray:
        return squeeze(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), frame_size)

    def combine(greys: Sequence[np.ndarray]) -> np.ndarray:
        a, b, c = greys
        pairs = ((b, a), (c, a), (c, b))
        # OpenCV's uint8 arithmetic clips to 255.
        changes = [cv2.multiply(cv2.absdiff(x, y), GAIN) for x, y in pairs]
        return cv2.merge(changes)

    return Stream(
        prepare,
        combine,
        offsets=(-1, 0, 1),
        step_s=STEP_S,
        focus=focus,
        in_graph=InGraph(
            prepare=lambda frames, resize: resize(grey_in_graph(frames)),
            combine=_combined_in_graph,
        ),
    )


def _combined_in_graph(greys):
    from keras import ops

    a, b, c = greys
    pairs = ((b, a), (c, a), (c, b))
    changes = ops.concatenate([ops.abs(x - y) for x, y in pairs], axis=-1)
    return ops.minimum(GAIN * changes, 255.0)
