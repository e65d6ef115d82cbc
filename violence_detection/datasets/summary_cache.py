"""Glances at the videos behind some features, made once and kept by the videos' content."""

import contextlib
import dataclasses
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.datasets import manifest, video_folder, video_summary
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import Video
from violence_detection.datasets.video_summary import VideoSummaries
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system import files
from violence_detection.units import counted


@dataclass(frozen=True)
class AvailableSummaries:
    """What could be seen of N videos.

    Attributes:
        rows: int64 (M,), ascending: which of them.
        sights: Of those M.
        left_out: Why the others could not; nothing where all were.
    """

    rows: np.ndarray
    sights: VideoSummaries
    left_out: str = ""


def summaries_of(
    entries: Sequence[ManifestEntry], *, video_dir: Path, kept: Path
) -> AvailableSummaries:
    """Summaries of some videos; those made before are taken from the file, whether the videos
    are still there or not.

    Args:
        entries: Rows of a manifest.
        video_dir: The folder of the videos.
        kept: The file of the summaries made before; new ones are added.
    """
    keys = [_key(entry) for entry in entries]
    before = _load(kept)
    lacking = [row for row, key in enumerate(keys) if key not in before]
    summaries, made = dict(before), {}
    try:
        reason = _summarise([entries[row] for row in lacking], video_dir, made)
    finally:  # those made are kept, also where an interruption ends the pass
        summaries |= {keys[lacking[number]]: summary for number, summary in made.items()}
        if made:
            # Where it cannot be written, they are made again.
            with contextlib.suppress(ViolenceDetectionError):
                _save(kept, summaries)
    rows = [row for row, key in enumerate(keys) if key in summaries]
    return AvailableSummaries(
        np.array(rows, np.int64), _stacked([summaries[keys[row]] for row in rows]), reason
    )


def unchanged_videos(
    entries: Sequence[ManifestEntry], video_dir: Path
) -> tuple[list[Video | None], str]:
    """The videos of some manifest rows, where they are unchanged in a folder.

    Args:
        entries: Rows of a manifest.
        video_dir: The folder of the videos.

    Returns:
        Each video, or None for one that is gone or has another size; and why some are None,
        nothing where none is.
    """
    none: list[Video | None] = [None] * len(entries)
    if not video_dir.is_dir():
        return none, f"their folder {video_dir} is not there"
    try:
        by_key = {video.key: video for video in video_folder.read_folder(video_dir).videos}
    except ViolenceDetectionError as error:
        return none, f"the videos cannot be read ({str(error).rstrip('.')})"
    unchanged = [
        video if video and _size(video_dir / video.path) == entry.size else None
        for video, entry in zip((by_key.get(entry.path) for entry in entries), entries, strict=True)
    ]
    gone = unchanged.count(None)
    if not gone:
        return unchanged, ""
    return unchanged, f"not in {video_dir} as before: {counted(gone, 'video')} of {len(unchanged)}"


def _summarise(
    entries: Sequence[ManifestEntry], video_dir: Path, made: dict[int, tuple[np.ndarray, ...]]
) -> str:
    """Put the summaries of some videos, by row, into `made`; why some are missing."""
    if not entries:
        return ""
    unchanged, reason = unchanged_videos(entries, video_dir)
    rows = [row for row, video in enumerate(unchanged) if video]
    chosen = [unchanged[row] for row in rows]
    paths = [(video_dir / video.path, video.start_s, video.end_s) for video in chosen]
    for row, summary in zip(
        rows, video_summary.summarise_videos(paths) if paths else (), strict=True
    ):
        if isinstance(summary, VideoError):
            reason = f"the videos cannot be read ({unchanged[row].key}: {summary})"
        else:
            made[row] = summary
    return reason


def _key(entry: ManifestEntry) -> str:
    """What is looked at: the bytes, and which part of them."""
    content = entry.digest or f"{entry.path} {entry.size}"
    return content + manifest.part_suffix(entry.path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _stacked(seen: Sequence[tuple[np.ndarray, ...]]) -> VideoSummaries:
    return (
        VideoSummaries(*map(np.stack, zip(*seen, strict=True))) if seen else VideoSummaries.none()
    )


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
            columns = [arrays[field.name] for field in dataclasses.fields(VideoSummaries)]
        rows = zip(*columns, strict=True)
        sound = all(
            column.shape[1:] == empty.shape[1:]
            for column, empty in zip(columns, vars(VideoSummaries.none()).values(), strict=True)
        )
        return dict(zip(keys, rows, strict=True)) if sound else {}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
