"""Types and helpers of the corruptions: frames of a video, and the writer of its file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from violence_detection.errors import VideoError

REFERENCE_SIDE_PX = 224  # side of the images that published severities are for


class Writer(Protocol):
    """A video file that is being written."""

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, uint8 (H, W, 3) BGR, contiguous, of the size of the file."""

    def release(self) -> None:
        """Finishes the file."""


Encoder = Callable[[Path, float, tuple[int, int]], Writer]


class VideoFrames(NamedTuple):
    """The frames of a video, and the encoder of its file.

    Attributes:
        frames: uint8 (H, W, 3) BGR, in order.
        fps: Frames per second, > 0.
        encoder: Opens the file: takes its path (.avi), the rate, and (W, H), which are even.
    """

    frames: Iterator[np.ndarray]
    fps: float
    encoder: Encoder


Corruption = Callable[[VideoFrames, np.random.Generator], VideoFrames]


def each_frame(change: Callable[[np.ndarray], np.ndarray]) -> Corruption:
    """A corruption that changes each frame by itself, without randomness."""

    def corrupt(video: VideoFrames, _: np.random.Generator) -> VideoFrames:
        return video._replace(frames=map(change, video.frames))

    return corrupt


def lossless_writer(path: Path, fps: float, size: tuple[int, int]) -> Writer:
    """A writer of Huffyuv, which is lossless.

    Raises:
        VideoError: If the file cannot be written.
    """
    code = cv2.VideoWriter.fourcc(*"HFYU")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, size)
    if not writer.isOpened():
        raise VideoError("a corrupted copy of it cannot be written")
    return writer
