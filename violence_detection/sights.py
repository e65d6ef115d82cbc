"""What a glance at a video shows, and no person would call seeing: its size, its mean picture, how
much moves in it."""

import functools
import io
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Self

import numpy as np

from violence_detection import files, isolation, progress
from violence_detection.decoder import opened
from violence_detection.frames import ClipReader
from violence_detection.isolation import Calls

SIDE = 16  # of the mean picture, in pixels
MOMENTS = 8
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Sights:
    """Glances at N videos.

    Attributes:
        sizes: int32 (N, 2), width and height of a frame in pixels.
        pictures: float32 (N, 16, 16, 3) in [0, 1], the mean of 8 pictures, squeezed.
        energies: float32 (N, 8) in [0, 1], at 8 moments how much of the picture changes within
            0.13 s.
    """

    sizes: np.ndarray
    pictures: np.ndarray
    energies: np.ndarray

    @classmethod
    def of(cls, videos: Sequence[tuple[Path, float | None, float | None]]) -> "Sights":
        """Look at videos, or at parts of them, each as (path, start_s, end_s).

        Raises:
            VideoError: If one cannot be read.
        """
        seen = []
        try:
            with (
                ThreadPoolExecutor(cpu_count() or 1) as pool,
                Calls() as call,
                progress.track("Glancing", len(videos), "videos") as step,
            ):
                looks = pool.map(
                    lambda one: call(glance, *one, timeout_s=_TIMEOUT_S), videos
                )
                for sight in looks:
                    seen.append(sight)
                    step()
        finally:
            isolation.dismiss()
        return cls(*map(np.stack, zip(*seen, strict=True)))

    def save(self, path: Path) -> None:
        content = io.BytesIO()
        np.savez(content, **vars(self))
        with files.writing(path) as file:
            file.write(content.getvalue())

    @classmethod
    def load(cls, path: Path, count: int) -> Self | None:
        """What was saved of `count` videos; None where it is not there, or not whole."""
        try:
            content = io.BytesIO(path.read_bytes())  # NumPy leaves a torn file open
            with np.load(content, allow_pickle=False) as arrays:
                found = cls(**arrays)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        return found if len(found.sizes) == count else None


def glance(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Size, mean picture and energies of one video; see `Sights`.

    Raises:
        VideoError: If it cannot be read.
    """
    with opened(path) as video:
        next(iter(video))
        height, width, _ = video.retrieve().shape
    pictures = _reader().read(path, start_s, end_s).pictures.astype(np.float32) / 255
    rgb, motion = pictures[:, 0], pictures[:, 1]
    return (
        np.array([width, height], np.int32),
        rgb.mean(axis=0),
        motion.mean(axis=(1, 2, 3)),
    )


@functools.cache
def _reader() -> ClipReader:
    return ClipReader(stream="rgb+motion", frames=MOMENTS, frame_size=SIDE)
