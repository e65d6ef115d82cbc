"""A few frames of a video for people to look at.

It imports neither pandas nor scikit-learn, which take a child process a second.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from violence_detection.video.decoding.decoder import FALLBACK_FPS, open_video
from violence_detection.video.frame_sampling import sample_frames, sample_indices

FRAMES = 6  # of a video
_LONG_FRAMES = 900  # in a longer video, frames are reached by seeking


def shown_frames(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> list[np.ndarray]:
    """Frames from the middles of six equal parts of a video, or of a part of it, uint8 (H, W, 3)
    BGR. Of a long video, they are near these positions, because they are reached by seeking.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    with open_video(path) as video:
        if video.declared_frames > _LONG_FRAMES:
            rate = video.fps or FALLBACK_FPS
            first = 0 if start_s is None else round((start_s - video.start_s) * rate)
            last = video.declared_frames
            if end_s is not None:
                last = round((end_s - video.start_s) * rate)
            wanted = first + sample_indices(max(1, last - first), FRAMES)
            frames = [video.frame_near(index) for index in wanted.tolist()]
            if all(frame is not None for frame in frames):
                return _same_size(frames)
    return _same_size(sample_frames(path, FRAMES, start_s=start_s, end_s=end_s))


def fit(frame: np.ndarray, tile_px: tuple[int, int]) -> np.ndarray:
    """The frame as large as it can be within a width and height."""
    height, width = frame.shape[:2]
    scale = min(tile_px[0] / width, tile_px[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(frame, size, interpolation=how)


def _same_size(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames at the size of the first: the size may change within a file."""
    height, width = frames[0].shape[:2]
    return [cv2.resize(frame, (width, height)) for frame in frames]
