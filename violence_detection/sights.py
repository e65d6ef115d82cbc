"""What a glance at a video shows, and no person would call seeing: its size, its mean picture, how
much moves in it, and what it could be known again by."""

import functools
import io
import logging
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Self

import numpy as np

from violence_detection import files, isolation, likeness, progress
from violence_detection.decoder import opened
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.frames import ClipReader
from violence_detection.isolation import Calls

log = logging.getLogger(__name__)

SIDE = 16  # of the mean picture, in pixels
MOMENTS = likeness.MOMENTS
_DULL = 12 / 255
_ARRAYS = {
    "sizes": ((0, 2), np.int32),
    "pictures": ((0, SIDE, SIDE, 3), np.float32),
    "energies": ((0, MOMENTS), np.float32),
    "hashes": ((0, MOMENTS), np.uint64),
}
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Sights:
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

    @property
    def is_dull(self) -> np.ndarray:
        """Whether there is nothing in a picture to know it by, bool (N,)."""
        return np.ptp(self.pictures, axis=(1, 2, 3)) < _DULL


class Album:
    """Sights of videos, kept in a file under a key each."""

    def __init__(self, path: Path, kept: dict[str, tuple[np.ndarray, ...]]) -> None:
        self._path, self._kept = path, kept

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was kept; nothing where the file is not there, or not whole."""
        try:
            content = io.BytesIO(path.read_bytes())  # NumPy leaves a torn file open
            with np.load(content, allow_pickle=False) as arrays:
                columns = [arrays[name] for name in ("keys", *_ARRAYS)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return cls(path, {})
        keys, *columns = columns
        return cls(
            path, dict(zip(keys.tolist(), zip(*columns, strict=True), strict=True))
        )

    def add(self, videos: Mapping[str, tuple[Path, float | None, float | None]]) -> str:
        """Look at videos, or at parts of them, each (path, start_s, end_s) under its key.

        What was seen is kept, also where an interruption ends it.

        Returns:
            Why one cannot be read; empty where all can.
        """
        if not videos:
            return ""
        before, reason = len(self._kept), ""
        try:
            with (
                ThreadPoolExecutor(cpu_count() or 1) as pool,
                Calls() as call,
                progress.track("Glancing", len(videos), "videos") as step,
            ):
                looks = pool.map(lambda one: _tried(call, one), videos.values())
                for key, sight in zip(videos, looks, strict=True):
                    if isinstance(sight, str):
                        reason = sight
                    else:
                        self._kept[key] = sight
                    step()
        finally:
            isolation.dismiss()
            if len(self._kept) > before:
                self._save()
        return reason

    def sights(self, keys: Sequence[str]) -> Sights:
        """Those under some keys, in this order."""
        if not keys:
            return Sights(*(np.zeros(shape, kind) for shape, kind in _ARRAYS.values()))
        columns = zip(*(self._kept[key] for key in keys), strict=True)
        return Sights(*map(np.stack, columns))

    def _save(self) -> None:
        content = io.BytesIO()
        keys = list(self._kept)
        np.savez(content, keys=np.array(keys), **vars(self.sights(keys)))
        try:
            with files.writing(self._path) as file:
                file.write(content.getvalue())
        except ViolenceDetectionError as error:  # the videos are looked at again then
            log.info(f"What was seen is not kept: {error}")


def _tried(call: Calls, video: tuple) -> tuple[np.ndarray, ...] | str:
    """A glance, or why there is none."""
    try:
        return call(glance, *video, timeout_s=_TIMEOUT_S)
    except VideoError as error:
        return f"{video[0].name} cannot be read ({str(error).rstrip('.')})"


def glance(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Size, mean picture, energies and hashes of one video; see `Sights`.

    Raises:
        VideoError: If it cannot be read.
    """
    with opened(path) as video:
        next(iter(video))
        height, width, _ = video.retrieve().shape
    seen = _reader().read(path, start_s, end_s).pictures
    thumbs = [likeness.thumb_of(picture[..., ::-1]) for picture in seen[:, 0]]
    rgb, motion = (seen[:, kind].astype(np.float32) / 255 for kind in (0, 1))
    return (
        np.array([width, height], np.int32),
        rgb.mean(axis=0),
        motion.mean(axis=(1, 2, 3)),
        likeness.hash_of(np.stack(thumbs)),
    )


@functools.cache
def _reader() -> ClipReader:
    return ClipReader(stream="rgb+motion", frames=MOMENTS, frame_size=SIDE)
