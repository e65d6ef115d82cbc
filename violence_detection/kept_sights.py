"""Glances at the videos behind some features, kept beside them: each video is looked at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection import videos
from violence_detection.cache import Entry, FeatureCache
from violence_detection.errors import ViolenceDetectionError
from violence_detection.sights import Album, Sights
from violence_detection.units import counted

log = logging.getLogger(__name__)

_FILE = "sights.npz"


@dataclass(frozen=True)
class Seen:
    """What was seen of N videos.

    Attributes:
        rows: Numbers of the M videos of which there is a sight, int64 (M,).
        sights: Of them.
        lacking: Why there are not all N; empty where there are.
    """

    rows: np.ndarray
    sights: Sights
    lacking: str


def look(cache: FeatureCache, entries: Sequence[Entry]) -> Seen:
    """Look at those videos that nobody has looked at yet, where they are still there.

    Args:
        cache: Which names the videos' folder, and beside which the sights are kept.
        entries: Rows of its manifest.
    """
    album = Album.read(cache.dir.parent / _FILE)
    keys = [f"{entry.digest} {entry.path}" for entry in entries]
    wanted = [row for row, key in enumerate(keys) if key not in album]
    reason = ""
    if wanted:
        there, reason = _found(cache, [entries[row] for row in wanted])
        unread = album.add({keys[wanted[row]]: place for row, place in there.items()})
        reason = unread or reason
    rows = [row for row, key in enumerate(keys) if key in album]
    gone = len(entries) - len(rows)
    lacking = f"{counted(gone, 'video')} of {len(entries)}: {reason}" if gone else ""
    return Seen(
        np.array(rows, np.int64), album.sights([keys[row] for row in rows]), lacking
    )


def _found(
    cache: FeatureCache, entries: Sequence[Entry]
) -> tuple[dict[int, tuple[Path, float | None, float | None]], str]:
    """Where those videos are that are as they were, by number; and why not all are."""
    root = Path(cache.settings()["dataset"]["dir"])
    if not root.is_dir():
        return {}, f"their folder {root} is not there"
    try:
        known = {video.key: video for video in videos.read_folder(root).videos}
    except ViolenceDetectionError as error:
        return {}, f"the videos cannot be read ({str(error).rstrip('.')})"
    found = {}
    for row, entry in enumerate(entries):
        video = known.get(entry.path)
        if video and _size(root / video.path) == entry.size:
            found[row] = (root / video.path, video.start_s, video.end_s)
    return found, f"not in {root} as before"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
