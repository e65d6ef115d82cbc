"""The rows of a manifest, one a video, and their look-up by file content."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, VideoError
from violence_detection.system import files
from violence_detection.video import video_file


@dataclass(frozen=True)
class ManifestEntry:
    """A row of the manifest.

    Attributes:
        path: The video's key.
        size, mtime: Bytes of the file, and the time of its last change in nanoseconds.
        digest: SHA-256 of the file; empty if it could not be read.
        array_digest: SHA-256 of the array file.
        status: `ok`, `damaged` (used all the same) or `failed` (no array; `error` says why).
        views: Digests of the arrays of further views, separated by spaces.
        camera: Name of the camera; empty if the dataset does not name it.
        recorded_at: Date, or date and time, in ISO 8601; empty if the dataset does not give it.
        kind: What kind of video it is, in the dataset's words, such as `street` or `indoors`;
            empty if it does not say.
    """

    path: str
    label: str
    group: str
    split: str
    size: int = 0
    mtime: int = 0
    digest: str = ""
    array_digest: str = ""
    frames: int = 0
    fps: float = 0.0
    duration_s: float = 0.0
    status: str = "ok"
    error: str = ""
    views: str = ""
    camera: str = ""
    recorded_at: str = ""
    kind: str = ""

    @property
    def digests(self) -> list[str]:
        """Digests of the arrays: of the video as it is, then of each further view."""
        return [self.array_digest, *self.views.split()]

    @property
    def usable(self) -> bool:
        return self.status != "failed"

    @classmethod
    def from_row(cls, row: dict[str, str]) -> Self:
        """The entry of a row of the CSV; those of earlier versions lack `LATER_COLUMNS`.

        Raises:
            CacheError: If a cell is missing or is not of its type.
        """
        row = {**dict.fromkeys(LATER_COLUMNS, ""), **row}
        try:
            return cls(**{field.name: field.type(row[field.name]) for field in fields(cls)})
        except (KeyError, ValueError, TypeError) as error:
            raise CacheError(
                f"A row of the manifest must hold every column. Received: {row}"
            ) from error


MANIFEST_COLUMNS = tuple(field.name for field in fields(ManifestEntry))
LATER_COLUMNS = ("views", "camera", "recorded_at", "kind")


_PART = re.compile(r"@[\d.e+-]+-[\d.e+-]+$")
_NUMBER = r"(\d[\d.]*(?:e[+-]?\d+)?)"
_TIMES = re.compile(f"@{_NUMBER}-{_NUMBER}")


class ContentIndex:
    """Usable rows of a manifest, looked up by the content of a video file and the part of it."""

    def __init__(self, entries: Iterable[ManifestEntry]) -> None:
        self._entries: dict[tuple[int, str], list[ManifestEntry]] = defaultdict(list)
        for entry in entries:
            if entry.usable:
                self._entries[entry.size, part_suffix(entry.path)].append(entry)

    def find(self, root: Path, video: Video) -> ManifestEntry | None:
        """The last entry of the same bytes; a file is read only if an entry has its size."""
        part = video.key.removeprefix(video.path)
        try:
            path = root / video.path
            same_size = self._entries.get((video_file.state_of(path).size, part))
            digest = same_size and video_file.digest_of(path)
        except (OSError, VideoError):
            return None
        same = [entry for entry in same_size or () if entry.digest == digest]
        return same[-1] if same else None


def part_of(key: str) -> tuple[str, float | None, float | None]:
    """The path of the file in a key, and start and end of the part in seconds; None for a whole
    file."""
    suffix = part_suffix(key)
    if not suffix:
        return key, None, None
    start, end = _TIMES.fullmatch(suffix).groups()
    return key.removesuffix(suffix), float(start), float(end)


def part_suffix(key: str) -> str:
    """The `@start-end` at the end of the key of a part of a file; empty for a whole file."""
    match = _PART.search(key)
    return match[0] if match else ""


def contents_digest(entries: Iterable[ManifestEntry]) -> str:
    """SHA-256 of the labels, splits and contents of some videos; their paths are not in it."""
    return files.sha256_of_json(
        sorted([entry.label, entry.split, entry.digest] for entry in entries)
    )
