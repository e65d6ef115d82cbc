"""What the corruptions share: moving pictures on their way into a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from violence_detection.errors import VideoError

PICTURE = 224  # pixels of a side, of the pictures that published severities are for


class Writer(Protocol):
    """A video file that is being written."""

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 (H, W, 3) BGR, contiguous, of the size that was said."""

    def release(self) -> None:
        """Finish the file."""


Encoder = Callable[[Path, float, tuple[int, int]], Writer]


class VideoFrames(NamedTuple):
    """Frames, and what becomes of them.

    Attributes:
        frames: uint8 (H, W, 3) BGR, one after the other.
        fps: How many of them last a second, > 0.
        encoder: Opens the file: takes its path (.avi), the rate, and (W, H), which are even.
    """

    frames: Iterator[np.ndarray]
    fps: float
    encoder: Encoder


Corruption = Callable[[VideoFrames, np.random.Generator], VideoFrames]


def each_frame(change: Callable[[np.ndarray], np.ndarray]) -> Corruption:
    """A corruption that changes frames by themselves, and draws nothing."""

    def corrupt(video: VideoFrames, _: np.random.Generator) -> VideoFrames:
        return video._replace(frames=map(change, video.frames))

    return corrupt


def lossless(path: Path, fps: float, size: tuple[int, int]) -> Writer:
    """Huffyuv, which gives back every byte.

    Raises:
        VideoError: If it cannot be written.
    """
    code = cv2.VideoWriter.fourcc(*"HFYU")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, size)
    if not writer.isOpened():
        raise VideoError("an altered copy of it cannot be written")
    return writer
