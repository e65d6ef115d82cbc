"""What a glance at a video shows, and no person would call seeing: its size, its mean picture, how
much moves in it, and what it could be known again by."""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Any, Self

import numpy as np

from violence_detection.datasets import perceptual_hash
from violence_detection.errors import VideoError
from violence_detection.system import processes, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoder import open_video

SIDE = 16  # of the mean picture, in pixels
MOMENTS = perceptual_hash.MOMENTS
_DULL = 12 / 255
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class VideoSummaries:
    """Glances at N videos.

    Attributes:
        sizes: int32 (N, 2), width and height of a frame in pixels.
        pictures: float32 (N, 16, 16, 3) in [0, 1], the mean of 8 pictures, squeezed.
        energies: float32 (N, 8) in [0, 1], at 8 moments how much of the picture changes within
            0.13 s.
        hashes: uint64 (N, 8), of the 8 pictures; see `likeness`.
    """

    sizes: np.ndarray
    pictures: np.ndarray
    energies: np.ndarray
    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Of all videos of several, one after the other."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    @classmethod
    def none(cls) -> Self:
        """Of no video."""
        return cls(
            np.zeros((0, 2), np.int32),
            np.zeros((0, SIDE, SIDE, 3), np.float32),
            np.zeros((0, MOMENTS), np.float32),
            np.zeros((0, MOMENTS), np.uint64),
        )

    @property
    def is_dull(self) -> np.ndarray:
        """Whether there is nothing in a picture to know it by, bool (N,)."""
        return np.ptp(self.pictures, axis=(1, 2, 3)) < _DULL

    @property
    def brightness(self) -> np.ndarray:
        """Mean luma of each video, float64 (N,), of 0 to 255 (ITU-R BT.601)."""
        colour = self.pictures.mean(axis=(1, 2), dtype=np.float64)
        return 255 * colour @ np.array([0.299, 0.587, 0.114])


def summarise_videos(
    videos: Sequence[tuple[Path, float | None, float | None]],
) -> Iterator[tuple[np.ndarray, ...] | VideoError]:
    """A glance at each of some videos, or parts of them, as (path, start_s, end_s); or why
    there is none."""

    def tried(one: tuple[Path, float | None, float | None]) -> Any:
        try:
            return call(summarise_video, *one, timeout_s=_TIMEOUT_S)
        except VideoError as error:
            return error

    try:
        with (
            ThreadPoolExecutor(cpu_count() or 1) as pool,
            ProcessPool() as call,
            progress.track("Glancing", len(videos), "videos") as step,
        ):
            for seen in pool.map(tried, videos):
                yield seen
                step()
    finally:
        processes.end_idle_processes()


def summarise_video(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Size, mean picture, energies and hashes of one video; see `Sights`.

    Raises:
        VideoError: If it cannot be read.
    """
    with open_video(path) as video:
        next(iter(video))
        height, width, _ = video.retrieve().shape
    seen = _reader().read(path, start_s, end_s).pictures
    thumbs = [perceptual_hash.thumbnail_of(picture[..., ::-1]) for picture in seen[:, 0]]
    rgb, motion = (seen[:, kind].astype(np.float32) / 255 for kind in (0, 1))
    return (
        np.array([width, height], np.int32),
        rgb.mean(axis=0),
        motion.mean(axis=(1, 2, 3)),
        perceptual_hash.hashes_of(np.stack(thumbs)),
    )


@functools.cache
def _reader() -> ClipReader:
    return ClipReader(stream="rgb+motion", frames=MOMENTS, frame_size=SIDE)
