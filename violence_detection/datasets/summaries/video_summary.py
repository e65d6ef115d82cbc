"""Cheap summaries of videos: frame size, mean image, motion energy, perceptual hashes."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from violence_detection.datasets.summaries import perceptual_hash
from violence_detection.errors import VideoError
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.video_file import VideoPart

SIDE = 16  # of the mean image, in pixels
MOMENTS = perceptual_hash.MOMENTS
_UNIFORM_CONTRAST = 12 / 255
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class VideoSummaries:
    """Summaries of N videos.

    Attributes:
        sizes: int32 (N, 2), width and height of a frame in pixels.
        mean_images: float32 (N, 16, 16, 3) in [0, 1], the mean of 8 frames, reduced.
        energies: float32 (N, 8) in [0, 1], the motion energy at 8 moments: the mean change of a
            frame within 0.13 s.
        hashes: uint64 (N, 8), of the 8 frames; see `perceptual_hash`.
    """

    sizes: np.ndarray
    mean_images: np.ndarray
    energies: np.ndarray
    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    @classmethod
    def empty(cls) -> Self:
        return cls(
            np.zeros((0, 2), np.int32),
            np.zeros((0, SIDE, SIDE, 3), np.float32),
            np.zeros((0, MOMENTS), np.float32),
            np.zeros((0, MOMENTS), np.uint64),
        )

    @property
    def is_uniform(self) -> np.ndarray:
        """True where the mean image has too little contrast for a meaningful hash, bool (N,).

        The hashes of black videos are all alike, whatever the videos are.
        """
        return np.ptp(self.mean_images, axis=(1, 2, 3)) < _UNIFORM_CONTRAST

    @property
    def brightness(self) -> np.ndarray:
        """Mean luma of each video, float64 (N,) in [0, 255] (ITU-R BT.601)."""
        colour = self.mean_images.mean(axis=(1, 2), dtype=np.float64)
        return 255 * colour @ np.array([0.299, 0.587, 0.114])


def summarise_videos(
    videos: Sequence[VideoPart],
) -> Iterator[tuple[np.ndarray, ...] | VideoError]:
    """The summary of each video, or the error for a video that cannot be read."""

    def try_video(video: VideoPart, call: ProcessPool) -> tuple[np.ndarray, ...] | VideoError:
        try:
            return call(summarise_video, *video, timeout_s=_TIMEOUT_S)
        except VideoError as error:
            return error

    return processes.map_in_order(try_video, videos, title="Summarising", unit="videos")


def summarise_video(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frame size, mean image, energies and hashes of a video; see `VideoSummaries`.

    Raises:
        VideoError: If it cannot be read.
    """
    with open_video(path) as video:
        frames = iter(video)
        next(frames)
        height, width, _ = video.retrieve().shape
        is_single = next(frames, None) is None
    # A single frame has no motion, and cannot be read as a stream that shows it.
    images = _reader("rgb" if is_single else "rgb+motion").read(path, start_s, end_s).images
    if is_single:
        images = np.concatenate([images, np.zeros_like(images)], axis=1)
    thumbnails = [perceptual_hash.thumbnail_of(image[..., ::-1]) for image in images[:, 0]]
    rgb, motion = (images[:, stream].astype(np.float32) / 255 for stream in (0, 1))
    return (
        np.array([width, height], np.int32),
        rgb.mean(axis=0),
        motion.mean(axis=(1, 2, 3)),
        perceptual_hash.hashes_of(np.stack(thumbnails)),
    )


@functools.cache
def _reader(stream: str) -> ClipReader:
    return ClipReader(stream=stream, frames=MOMENTS, frame_size=SIDE)
