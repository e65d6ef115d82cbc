"""What is known of videos, found by what is in them."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from violence_detection import files
from violence_detection.cache import Entry
from violence_detection.videos import Video

_PART = re.compile(r"@[\d.e+-]+-[\d.e+-]+$")


class ByContent:
    """What is known of videos, found by their bytes and which part of them it is."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[tuple[int, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.usable:
                self._entries[entry.size, part_of(entry.path)].append(entry)

    def find(self, root: Path, video: Video) -> Entry | None:
        """An entry of the same bytes; a file is read only where the size is the same."""
        part = video.key.removeprefix(video.path)
        try:
            same_size = self._entries.get(((root / video.path).stat().st_size, part))
            digest = same_size and files.sha256_of_unchanged(root / video.path)
        except OSError:
            return None
        found = [entry for entry in same_size or () if entry.digest == digest]
        return found[-1] if found else None


def part_of(key: str) -> str:
    """`@start-end` at the end of the key of a part, else nothing."""
    match = _PART.search(key)
    return match[0] if match else ""
