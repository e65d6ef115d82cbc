"""Glances at the videos behind some features, made once and kept by the videos' content."""

import contextlib
import dataclasses
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection import files, manifest, sights, videos
from violence_detection.cache import FeatureCache
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.manifest import Entry
from violence_detection.sights import Sights
from violence_detection.units import counted
from violence_detection.videos import Video

FILE = "sights.npz"


@dataclass(frozen=True)
class Glances:
    """What could be seen of N videos.

    Attributes:
        rows: int64 (M,), ascending: which of them.
        sights: Of those M.
        left_out: Why the others could not; nothing where all were.
    """

    rows: np.ndarray
    sights: Sights
    left_out: str = ""


def kept_path(cache: FeatureCache) -> Path:
    """Where the glances at a dataset's videos are kept, for all its feature spaces."""
    return cache.dir.parent / FILE


def of(cache: FeatureCache, entries: Sequence[Entry], kept: Path | None = None) -> Glances:
    """Glances at the videos behind some features; those that were looked at before are taken
    from the file, whether the videos are still there or not.

    Args:
        cache: Which names the videos' folder.
        entries: Rows of its manifest.
        kept: The file; default: beside the feature spaces of the dataset.
    """
    path = kept or kept_path(cache)
    keys = [_key(entry) for entry in entries]
    before = _load(path)
    lacking = [row for row, key in enumerate(keys) if key not in before]
    found, seen = dict(before), {}
    try:
        reason = _look(cache, [entries[row] for row in lacking], seen)
    finally:  # what was seen is kept, also where an interruption ends it
        found |= {keys[lacking[number]]: one for number, one in seen.items()}
        if seen:
            # Where it cannot be, they are looked at again.
            with contextlib.suppress(ViolenceDetectionError):
                _save(path, found)
    rows = [row for row, key in enumerate(keys) if key in found]
    return Glances(np.array(rows, np.int64), _stacked([found[keys[row]] for row in rows]), reason)


def present(
    cache: FeatureCache, entries: Sequence[Entry], root: str | Path | None = None
) -> tuple[Path, list[Video | None], str]:
    """The videos behind some features, where they are still there as they were.

    Args:
        cache: Which names the folder of the videos.
        entries: Rows of its manifest.
        root: The folder, where it has moved.

    Returns:
        Their folder; each, or None for one that is gone or has another size; and what is to be
        said of those, nothing where there are none.
    """
    root = Path(root or cache.settings()["dataset"]["dir"])
    none: list[Video | None] = [None] * len(entries)
    if not root.is_dir():
        return root, none, f"their folder {root} is not there"
    try:
        named = {video.key: video for video in videos.read_folder(root).videos}
    except ViolenceDetectionError as error:
        return root, none, f"the videos cannot be read ({str(error).rstrip('.')})"
    found = [named.get(entry.path) for entry in entries]
    found = [
        video if video and _size(root / video.path) == entry.size else None
        for video, entry in zip(found, entries, strict=True)
    ]
    gone = found.count(None)
    if not gone:
        return root, found, ""
    return (
        root,
        found,
        f"not in {root} as before: {counted(gone, 'video')} of {len(found)}",
    )


def _look(
    cache: FeatureCache,
    entries: Sequence[Entry],
    seen: dict[int, tuple[np.ndarray, ...]],
) -> str:
    """Put what is seen of some videos, by row, into `seen`; why it is not of all."""
    if not entries:
        return ""
    root, there, reason = present(cache, entries)
    rows = [row for row, video in enumerate(there) if video]
    chosen = [there[row] for row in rows]
    paths = [(root / one.path, one.start_s, one.end_s) for one in chosen]
    for row, sight in zip(rows, sights.look_at(paths) if paths else (), strict=True):
        if isinstance(sight, VideoError):
            reason = f"the videos cannot be read ({there[row].key}: {sight})"
        else:
            seen[row] = sight
    return reason


def _key(entry: Entry) -> str:
    """What is looked at: the bytes, and which part of them."""
    content = entry.digest or f"{entry.path} {entry.size}"
    return content + manifest.part_of(entry.path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _stacked(seen: Sequence[tuple[np.ndarray, ...]]) -> Sights:
    return Sights(*map(np.stack, zip(*seen, strict=True))) if seen else Sights.none()


def _save(path: Path, found: dict[str, tuple[np.ndarray, ...]]) -> None:
    content = io.BytesIO()
    seen = _stacked(list(found.values()))
    np.savez(content, keys=np.array(list(found)), **vars(seen))
    with files.writing(path) as file:
        file.write(content.getvalue())


def _load(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    """What was saved; nothing where it is not there, or not whole."""
    try:
        content = io.BytesIO(path.read_bytes())  # NumPy leaves a torn file open
        with np.load(content, allow_pickle=False) as arrays:
            keys = arrays["keys"].tolist()
            columns = [arrays[field.name] for field in dataclasses.fields(Sights)]
        rows = zip(*columns, strict=True)
        sound = all(
            column.shape[1:] == empty.shape[1:]
            for column, empty in zip(columns, vars(Sights.none()).values(), strict=True)
        )
        return dict(zip(keys, rows, strict=True)) if sound else {}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
