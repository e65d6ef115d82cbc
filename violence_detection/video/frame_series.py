"""Videos that are kept as numbered pictures: `v1/0001.jpg`, `v1/0002.jpg`, or `v1_0001.jpg`, ….

Such a video has a path that ends with its rate: `v1@25fps` is the pictures in the folder `v1` or,
where there is no such folder, those beside it whose names are `v1` and a number, at 25 frames per
second. Numbers may go up by any step: what is missing between them is a gap.
"""

import bisect
import errno
import functools
import math
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from violence_detection.errors import VideoError
from violence_detection.units import counted

ENDINGS = frozenset((".jpg", ".jpeg", ".png"))
FEWEST_FRAMES = 5  # numbered pictures that are taken for the frames of a video
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
_RATED = re.compile(r"(.+)@(\d+(?:\.\d+)?)fps", re.DOTALL)
_FRESH_NS = 2 * 10**9  # a folder may change again without a change of its time
_SEPARATORS = "_-. "  # between the name of a video and the number of a frame


@dataclass(frozen=True)
class FrameSeries:
    """The numbered pictures of a video.

    Attributes:
        pictures: Their files, by number.
        places: The place of each among the frames, from 0; a place without a picture is a gap.
        fps: Frames per second.
        step: Between the numbers of successive pictures: 10 where every tenth frame was kept.
    """

    pictures: tuple[Path, ...]
    places: tuple[int, ...]
    fps: float
    step: int = 1

    @property
    def times_s(self) -> list[float]:
        return [place / self.fps for place in self.places]

    @property
    def duration_s(self) -> float:
        return (self.places[-1] + 1) / self.fps

    @property
    def gaps(self) -> str:
        """The frames that are missing between others, in words; empty if there are none."""
        missing = self.places[-1] + 1 - len(self.places)
        if not missing:
            return ""
        after = next(n for n, place in enumerate(self.places) if self.places[n + 1] > place + 1)
        before, then = self.pictures[after].name, self.pictures[after + 1].name
        are = "is" if missing == 1 else "are"
        return f"{counted(missing, 'frame')} {are} missing, e.g. between {before} and {then}"


def with_rate(path: str, fps: float) -> str:
    """The path of a series, from that without a rate."""
    return f"{path}@{fps:.10g}fps"


def without_rate(path: str) -> str:
    """A path without the rate at its end; any other path as it is."""
    match = _RATED.fullmatch(path)
    return match[1] if match else path


def rate_in(paths: Iterable[str]) -> float | None:
    """The rate of the first of some videos that is a series; None if none is.

    Args:
        paths: Paths, or keys of parts.
    """
    for path in paths:
        if match := _RATED.match(path):
            return float(match[2])
    return None


def names_by_video(names: Iterable[str]) -> dict[str, list[str]]:
    """The videos whose frames lie in a folder as numbered pictures.

    Args:
        names: Names of the files in the folder.

    Returns:
        The names of the pictures by the name of the video, which is empty where the folder holds
        the frames of one video. Fewer than five pictures are no video, and names that differ in
        the separator before the number alone (`v1_1.png`, `v1-1.png`) are left out.
    """
    by_prefix: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if match := _numbered(name):
            by_prefix[match[1]].append(name)
    series = {
        prefix: pictures for prefix, pictures in by_prefix.items() if len(pictures) >= FEWEST_FRAMES
    }
    if len(series) == 1:
        return {"": next(iter(series.values()))}
    videos = Counter(prefix.rstrip(_SEPARATORS) for prefix in series)
    return {
        video: pictures
        for prefix, pictures in series.items()
        if (video := prefix.rstrip(_SEPARATORS)) and videos[video] == 1
    }


def read_series(path: Path) -> FrameSeries | None:
    """The series that a path names; None for the path of a file.

    Raises:
        FileNotFoundError: If there are no such pictures.
        VideoError: If two pictures have the same number.
        OSError: If the folder cannot be listed.
    """
    match = _RATED.fullmatch(path.name)
    if not match or path.is_file():
        return None
    source = path.with_name(match[1])
    if source.is_dir():
        folder, names = source, names_by_video(_listed(source)).get("", [])
    else:
        folder, listed = source.parent, _listed(source.parent)
        # Of a million names only those that begin with the video's are looked at.
        ends = (bisect.bisect(listed, source.name + last) for last in ("", chr(sys.maxunicode)))
        names = [
            name
            for name in listed[slice(*ends)]
            if (picture := _numbered(name)) and picture[1].rstrip(_SEPARATORS) == source.name
        ]
    if not names:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    by_number: dict[int, str] = {}
    for name in names:
        number = int(_numbered(name)[2])
        if number in by_number:
            raise VideoError(f"{by_number[number]} and {name} have the same number")
        by_number[number] = name
    numbers = sorted(by_number)
    step = math.gcd(*(number - numbers[0] for number in numbers)) or 1
    return FrameSeries(
        tuple(folder / by_number[number] for number in numbers),
        tuple((number - numbers[0]) // step for number in numbers),
        float(match[2]),
        step,
    )


def _numbered(name: str) -> re.Match[str] | None:
    """A match of the text before the number of a picture, and of the number; None for others."""
    stem, ending = os.path.splitext(name)
    return _NUMBERED.fullmatch(stem) if ending.lower() in ENDINGS else None


def _listed(folder: Path) -> tuple[str, ...]:
    changed_ns = folder.stat().st_mtime_ns
    if time.time_ns() - changed_ns < _FRESH_NS:
        return _list_names(folder)
    return _kept_names(folder, changed_ns)


@functools.lru_cache(maxsize=4)  # the videos of a folder of a million pictures are opened in turn
def _kept_names(folder: Path, changed_ns: int) -> tuple[str, ...]:
    return _list_names(folder)


def _list_names(folder: Path) -> tuple[str, ...]:
    """The names in a folder in their order, without hidden ones."""
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if not entry.name.startswith(".")))
