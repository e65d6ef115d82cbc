"""A recorder with a low frame rate."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import Corruption, VideoFrames


def build(*, fps: Annotated[float, Range(0.1, 1000)] = 5.0) -> Corruption:
    """The first frame of each 1 / fps s; videos of a lower rate are not changed.

    Args:
        fps: Frames per second that remain. 5 is a usual setting of recorders that save disk space.
    """

    def corrupt(video: VideoFrames, _: np.random.Generator) -> VideoFrames:
        fraction = fps / video.fps
        if fraction >= 1:
            return video

        def first_frames() -> Iterator[np.ndarray]:
            for index, frame in enumerate(video.frames):
                if index == 0 or _period(index, fraction) > _period(index - 1, fraction):
                    yield frame

        return video._replace(frames=first_frames(), fps=fps)

    return corrupt


def _period(index: int, fraction: float) -> int:
    """Number of the period of 1 / fps s that a frame is in.

    The 1e-9 corrects rounding where the rates divide evenly.
    """
    return int(index * fraction + 1e-9)
