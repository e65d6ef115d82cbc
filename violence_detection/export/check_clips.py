"""Validation clips that an exported model is checked on: frames of a fixed number and size."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from violence_detection.errors import VideoError
from violence_detection.export.end_to_end_graph import FrameInput, needs_all_frames
from violence_detection.video.decoder import FALLBACK_FPS, open_video
from violence_detection.video.frame_sampling import sample_frames
from violence_detection.video.stream_set import StreamSet

_MAX_WIDTH = 640


class VideoPart(NamedTuple):
    """A video file, or the part of it from `start_s` to `end_s`."""

    path: Path
    start_s: float | None
    end_s: float | None


class CheckClip(NamedTuple):
    """A clip, in the one form in which the check reads it.

    Attributes:
        frames: Input of an end-to-end model, uint8 (F, H, W, 3) RGB.
        images: Input of the backbone, uint8 (T, K, S, S, 3), if a classifier is exported and
            the videos are available.
        features: Float32 (1, T, D) from the cache, if they are not.
    """

    frames: np.ndarray | None = None
    images: np.ndarray | None = None
    features: np.ndarray | None = None


def read_frames(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Reads frames of a video, or of a part of it, at the middles of equal parts.

    Args:
        path: The video.
        start_s, end_s: Of the part.
        shape: (F, H, W): count and size of the frames.

    Returns:
        uint8 (F, H, W, 3) RGB; frames of another size are resized by area.

    Raises:
        VideoError: If it cannot be decoded.
    """
    count, height, width = shape
    resize = functools.partial(_resize_to_rgb, height=height, width=width)
    return np.stack(sample_frames(path, count, start_s=start_s, end_s=end_s, prepare=resize))


def _resize_to_rgb(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    if frame.shape[:2] != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return frame[:, :, ::-1]


def read_frame_size(path: Path) -> tuple[int, int]:
    """Reads height and width of a video's frames.

    Raises:
        VideoError: If it cannot be decoded.
    """
    with open_video(path) as video:
        if next(iter(video), None) is None:
            raise VideoError("no frame of it can be decoded")
        height, width, _ = video.retrieve().shape
    return height, width


def most_common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The most common (height, width), reduced to a width of at most 640."""
    (height, width), _ = Counter(sizes).most_common(1)[0]
    if width <= _MAX_WIDTH:
        return height, width
    return max(1, round(height * _MAX_WIDTH / width)), _MAX_WIDTH


def choose_frame_input(
    streams: StreamSet,
    rates: Sequence[float],
    *,
    count: int,
    size: tuple[int, int],
    window_s: float,
    fps: float | None,
) -> FrameInput:
    """Chooses the frames that a model of some streams takes.

    They are the T sampled frames alone (F = T) if no stream needs others, else every frame of a
    window.

    Args:
        streams: Of the model.
        rates: Frames per second of the videos; 0.0 where unknown.
        count: T.
        size: Height and width.
        window_s: Seconds of a clip.
        fps: Frames per second; None for the most common of `rates`.
    """
    known = Counter(rate for rate in rates if rate > 0)
    chosen_fps = fps or (known.most_common(1)[0][0] if known else FALLBACK_FPS)
    frames = max(1, round(window_s * chosen_fps)) if needs_all_frames(streams) else count
    height, width = size
    return FrameInput(frames=frames, height=height, width=width, fps=chosen_fps, sampled=count)
