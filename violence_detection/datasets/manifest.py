"""Rows of a manifest, a video each, and their look-up by file content."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from violence_detection.datasets.video_folder import Video
from violence_detection.errors import CacheError
from violence_detection.system import files


@dataclass(frozen=True)
class ManifestEntry:
    """One row of the manifest.

    `path` is the video's key; `mtime` is in nanoseconds; `status` is ok, damaged (used all
    the same) or failed (no array, `error` says why); `views` are the digests of the arrays of
    further views, with spaces in between.
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

    @property
    def digests(self) -> list[str]:
        """Of its arrays: as it is, and in each further view."""
        return [self.array_digest, *self.views.split()]

    @property
    def usable(self) -> bool:
        return self.status != "failed"

    @classmethod
    def of(cls, row: dict[str, str]) -> Self:
        """From a row of the CSV; one without `views`, as they were at first, has none.

        Raises:
            CacheError: If a cell is missing or is not of its type.
        """
        row = {"views": "", **row}
        try:
            return cls(**{field.name: field.type(row[field.name]) for field in fields(cls)})
        except (KeyError, ValueError, TypeError) as error:
            raise CacheError(
                f"A row of the manifest must hold every column. Received: {row}"
            ) from error


MANIFEST_COLUMNS = tuple(field.name for field in fields(ManifestEntry))


_PART = re.compile(r"@[\d.e+-]+-[\d.e+-]+$")


class ContentIndex:
    """What is known of videos, found by their bytes and which part of them it is."""

    def __init__(self, entries: Iterable[ManifestEntry]) -> None:
        self._entries: dict[tuple[int, str], list[ManifestEntry]] = defaultdict(list)
        for entry in entries:
            if entry.usable:
                self._entries[entry.size, part_suffix(entry.path)].append(entry)

    def find(self, root: Path, video: Video) -> ManifestEntry | None:
        """An entry of the same bytes; a file is read only where the size is the same."""
        part = video.key.removeprefix(video.path)
        try:
            same_size = self._entries.get(((root / video.path).stat().st_size, part))
            digest = same_size and files.sha256_of_unchanged(root / video.path)
        except OSError:
            return None
        found = [entry for entry in same_size or () if entry.digest == digest]
        return found[-1] if found else None


def part_suffix(key: str) -> str:
    """`@start-end` at the end of the key of a part, else nothing."""
    match = _PART.search(key)
    return match[0] if match else ""
