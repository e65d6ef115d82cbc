"""Types and helpers of the corruptions: frames of a video, the writer of its file, and changes of
single frames, which views of training clips use as well."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
# A frame, uint8 (H, W, 3) BGR, and its number in the video; the changed frame.
FrameChange = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class ClipChange:
    """A corruption that changes the frames one by one.

    Attributes:
        draw: Draws from the generator what holds for the whole clip, such as an angle, and returns
            the change of a frame. What moves or is new in each frame depends on the number of the
            frame and the draw alone, so that a frame is changed alike however often and in whatever
            order it is read.
        moves: True if what the picture shows has other coordinates afterwards, in pixels.
    """

    draw: Callable[[np.random.Generator], FrameChange]
    moves: bool = False

    def __call__(self, video: VideoFrames, rng: np.random.Generator) -> VideoFrames:
        change = self.draw(rng)
        frames = (change(frame, number) for number, frame in enumerate(video.frames))
        return video._replace(frames=frames)


def each_frame(change: Callable[[np.ndarray], np.ndarray], *, moves: bool = False) -> ClipChange:
    """A corruption that changes each frame by itself, without randomness."""
    return ClipChange(lambda _: lambda frame, __: change(frame), moves)


def seeded(rng: np.random.Generator) -> Callable[[int], np.random.Generator]:
    """A generator for each frame, by its number."""
    seed = int(rng.integers(2**63))
    return lambda number: np.random.default_rng((seed, number))


def scaled(frame: np.ndarray, pixels: float) -> float:
    """A length of a frame whose shorter side has 224 pixels, in pixels of this frame."""
    return pixels * min(frame.shape[:2]) / REFERENCE_SIDE_PX


def moved(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The frame under an affine map, float (2, 3); what comes in from outside is mirrored."""
    height, width = frame.shape[:2]
    border = cv2.BORDER_REFLECT_101 if min(height, width) > 1 else cv2.BORDER_REPLICATE
    return cv2.warpAffine(frame, matrix, (width, height), borderMode=border)


def brightened(frame: np.ndarray, factor: float | np.ndarray) -> np.ndarray:
    """The frame times a factor, or times one for each pixel, (H, W, 1); rounded, and clipped."""
    if isinstance(factor, float):
        return cv2.convertScaleAbs(frame, alpha=factor)
    return np.clip(np.rint(frame * factor), 0, 255).astype(np.uint8)


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
