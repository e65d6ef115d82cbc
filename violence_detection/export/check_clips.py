"""Real clips, as an exported model is given them: frames of a fixed number and size."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import VideoError
from violence_detection.export.end_to_end_graph import FrameInput, needs_all_frames
from violence_detection.video.clip_reader import sample_frames
from violence_detection.video.decoder import FALLBACK_FPS, open_video
from violence_detection.video.stream_set import StreamSet

_WIDEST = 640

VideoPart = tuple[Path, float | None, float | None]  # a file, and the part of it


def read_frames(
    path: Path,
    start_s: float | None,
    end_s: float | None,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """The frames of a video, or of a part of it, at the middles of equal parts.

    Args:
        path: The video.
        start_s, end_s: Of the part.
        shape: (F, H, W): their number and size.

    Returns:
        uint8 (F, H, W, 3) RGB; frames of another size are brought to it by area.

    Raises:
        VideoError: If it cannot be decoded.
    """
    count, height, width = shape
    sized = functools.partial(_sized, height=height, width=width)
    return np.stack(sample_frames(path, count, start_s=start_s, end_s=end_s, prepare=sized))


def _sized(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    if frame.shape[:2] != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return frame[:, :, ::-1]


def read_frame_size(path: Path) -> tuple[int, int]:
    """Height and width of a video's frames.

    Raises:
        VideoError: If it cannot be decoded.
    """
    with open_video(path) as video:
        if next(iter(video), None) is None:
            raise VideoError("no frame of it can be decoded")
        height, width, _ = video.retrieve().shape
    return height, width


def most_common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The commonest of (height, width), brought to a width of 640 at most."""
    (height, width), _ = Counter(sizes).most_common(1)[0]
    if width <= _WIDEST:
        return height, width
    return max(1, round(height * _WIDEST / width)), _WIDEST


def choose_frame_input(
    make: StreamSet,
    entries: Sequence[ManifestEntry],
    *,
    pictures: int,
    size: tuple[int, int],
    window_s: float,
    fps: float | None,
) -> FrameInput:
    """What a model of these streams must be given.

    A stream of the sampled frames alone needs no others: F is T. Else it is every frame of a
    window.

    Args:
        make: The streams.
        entries: Videos with their rates.
        pictures: T.
        size: Height and width.
        window_s: Seconds of a clip.
        fps: Frames per second; None for the commonest of `entries`.
    """
    rates = Counter(entry.fps for entry in entries if entry.fps > 0)
    rate = fps or (rates.most_common(1)[0][0] if rates else FALLBACK_FPS)
    count = pictures
    if needs_all_frames(make):
        count = max(1, round(window_s * rate))
    return FrameInput(frames=count, height=size[0], width=size[1], fps=rate, pictures=pictures)
