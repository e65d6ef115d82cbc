"""Frames of a video at the middles of equal parts, and frames by their numbers."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import numpy as np

from violence_detection.errors import ConfigError, VideoError
from violence_detection.video.decoding.decoder import open_video

_Prepared = TypeVar("_Prepared")


def sample_indices(num_frames: int, count: int) -> np.ndarray:
    """The frames nearest to the middles of `count` equal parts of a video.

    ``index[i] = floor((i + 1/2) * num_frames / count)``. A video with fewer than `count` frames
    repeats frames; it is not padded with black.

    Args:
        num_frames: Frames in the video, >= 1.
        count: Frames wanted (T), >= 1.

    Returns:
        int64 (T,), non-decreasing, in [0, num_frames).

    Raises:
        ConfigError: If either is below 1.
    """
    for name, value in (("num_frames", num_frames), ("count", count)):
        if value < 1:
            raise ConfigError(f"`{name}` must be >= 1. Received: {name}={value}")
    # In integers: floor((2i + 1) n / 2T) has no rounding.
    return (2 * np.arange(count, dtype=np.int64) + 1) * num_frames // (2 * count)


def sample_frames(
    path: Path,
    count: int,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[np.ndarray]:
    """The frames at the middles of equal parts of a video, or of a part of it.

    The video is decoded from its start twice: for the times of its frames, up to `end_s` or to its
    end, and then up to the last sampled frame.

    Args:
        path: The video.
        count: Frames to sample (T), >= 1.
        start_s, end_s: The part of the video in seconds; give both or neither.
        prepare: Applied to each frame when it is read, so that only its result is kept in memory;
            None keeps the frame.

    Returns:
        T frames in ascending order, uint8 (H, W, 3) BGR, or the results of `prepare`. Their sizes
        differ if the size changes in the middle of the file. Of a part with fewer than T frames,
        some are repeated, as the same array; see `sample_indices`.

    Raises:
        ConfigError: If `count` is below 1.
        VideoError: If the video cannot be decoded, no frame lies in the part, or a frame that
            was decoded the first time cannot be decoded the second time.
    """
    inside = []
    with open_video(path) as video:
        for index, time_s in video:
            if end_s is not None and time_s >= end_s:
                break
            if start_s is None or start_s <= time_s:
                inside.append(index)
    if not inside:
        raise VideoError("no frame of it can be decoded")
    wanted = [inside[number] for number in sample_indices(len(inside), count).tolist()]
    frames = read_frames(path, wanted, lambda frame, _: prepare(frame) if prepare else frame)
    return [frames[index] for index in wanted]


def read_frames(
    path: Path, indices: Collection[int], prepare: Callable[[np.ndarray, int], _Prepared]
) -> dict[int, _Prepared]:
    """Decodes a video from its start up to the last wanted frame, returns the wanted frames.

    Args:
        path: The video.
        indices: Indices of the wanted frames, at least one; repeats count once.
        prepare: Applied to each wanted frame, uint8 (H, W, 3) BGR, and its index.

    Returns:
        The results of `prepare`, by index.

    Raises:
        VideoError: If the video cannot be decoded, or does not have all of these frames.
    """
    wanted, frames = set(indices), {}
    last = max(wanted)
    with open_video(path) as video:
        for index, _ in video:
            if index in wanted:
                frames[index] = prepare(video.retrieve(), index)
            if index == last:
                break
    if len(frames) < len(wanted):
        raise VideoError("some frames could be decoded at the first reading but not at the second")
    return frames
