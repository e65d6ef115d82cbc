"""A recorder that keeps few frames a second."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from violence_detection.evaluation.robustness.corruptions._corruption import Corruption, VideoFrames
from violence_detection.registry import Range


def build(*, fps: Annotated[float, Range(0.1, 1000)] = 5.0) -> Corruption:
    """Of each 1 / fps s the first frame; a video of no more frames a second stays as it is.

    Args:
        fps: Frames a second that are left. 5 is what recorders that save disk are set to.
    """

    def corrupt(video: VideoFrames, _: np.random.Generator) -> VideoFrames:
        share = fps / video.fps
        if share >= 1:
            return video

        def kept() -> Iterator[np.ndarray]:
            for index, frame in enumerate(video.frames):
                if index == 0 or _number(index, share) > _number(index - 1, share):
                    yield frame

        return video._replace(frames=kept(), fps=fps)

    return corrupt


def _number(index: int, share: float) -> int:
    """Of the span that a frame is in; 1e-9 is for rates that divide evenly, but for rounding."""
    return int(index * share + 1e-9)
