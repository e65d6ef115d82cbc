"""A video on the disk, be it a file or a series of numbered pictures: size, time and digest."""

import functools
import hashlib
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from violence_detection.errors import VideoError
from violence_detection.system import files
from violence_detection.video.frame_series import FrameSeries, read_series


class VideoPart(NamedTuple):
    """A video, or the part of it from `start_s` to `end_s`."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None


class FileState(NamedTuple):
    """The state of a video on the disk.

    Attributes:
        size: Bytes; of a series those of all pictures.
        mtime_ns: Time of the last change in nanoseconds; of a series the latest, of its folder and
            of its pictures.
        is_plain: It is a file or a series; reading a pipe may never end.
    """

    size: int
    mtime_ns: int
    is_plain: bool


def state_of(path: Path) -> FileState:
    """The state of a video.

    Raises:
        OSError: If it does not exist, or may not be read.
        VideoError: If it is a series with two pictures of one number.
    """
    series = read_series(path)
    if series is None:
        stat = path.stat()
        return FileState(stat.st_size, stat.st_mtime_ns, S_ISREG(stat.st_mode))
    stats = [picture.stat() for picture in series.pictures]
    changed_ns = [series.pictures[0].parent.stat().st_mtime_ns, *(s.st_mtime_ns for s in stats)]
    return FileState(sum(stat.st_size for stat in stats), max(changed_ns), is_plain=True)


def exists(path: Path) -> bool:
    """True if there is a video of this path."""
    try:
        return state_of(path).is_plain
    except (OSError, VideoError):
        return False


def digest_of(path: Path) -> str:
    """Hex SHA-256 of a video's bytes; of a series that of its rate, places and pictures.

    What has not changed is not read again: many videos of a dataset may be parts of one file.

    Raises:
        OSError, VideoError: See `state_of`.
    """
    series = read_series(path)
    if series is None:
        return files.sha256_of_unchanged(path)
    state = state_of(path)
    return _digest_of_series(series, state.size, state.mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest_of_series(series: FrameSeries, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256(f"{series.fps:.10g}".encode())
    for place, picture in zip(series.places, series.pictures, strict=True):
        digest.update(f"\n{place} {files.sha256_of_file(picture)}".encode())
    return digest.hexdigest()
