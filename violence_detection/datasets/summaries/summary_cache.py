"""The summaries of a dataset's videos on disk, keyed by the content of each video."""

import contextlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.datasets.annotations import clip_cutting
from violence_detection.datasets.summaries import video_summary
from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files import manifest
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system import files
from violence_detection.units import counted
from violence_detection.video import video_file
from violence_detection.video.frame_series import rate_in
from violence_detection.video.video_file import VideoPart

# The arrays of the file, and the attributes that they hold: the file keeps its first names.
_ARRAYS = {
    "sizes": "sizes",
    "pictures": "mean_images",
    "energies": "energies",
    "hashes": "hashes",
}


@dataclass(frozen=True)
class AvailableSummaries:
    """The summaries of those of N videos that could be summarised.

    Attributes:
        rows: int64 (M,), ascending: the videos that have a summary.
        summaries: The summaries of those M videos.
        missing_reason: Why the others have none; empty if all have one.
    """

    rows: np.ndarray
    summaries: VideoSummaries
    missing_reason: str = ""

    def take(self, rows: np.ndarray) -> "AvailableSummaries":
        """The summaries of some of the videos, which are then numbered from 0.

        Args:
            rows: int64, ascending, of the N videos.
        """
        has_one = np.isin(self.rows, rows)
        summaries = VideoSummaries(*(column[has_one] for column in vars(self.summaries).values()))
        return AvailableSummaries(
            np.searchsorted(rows, self.rows[has_one]), summaries, self.missing_reason
        )


def summaries_of(
    entries: Sequence[ManifestEntry], *, video_dir: Path, path: Path
) -> AvailableSummaries:
    """Summaries of some videos: read from the file, or made and added to it.

    A summary in the file is used whether the video still exists or not.

    Args:
        entries: Rows of a manifest.
        video_dir: The folder of the videos.
        path: The file of summaries.
    """
    keys = [_key(entry) for entry in entries]
    before = _load(path)
    lacking = [row for row, key in enumerate(keys) if key not in before]
    summaries, made = dict(before), {}
    try:
        reason = _summarise([entries[row] for row in lacking], video_dir, made)
    finally:  # those made are kept, also where an interruption ends the pass
        summaries |= {keys[lacking[number]]: summary for number, summary in made.items()}
        if made:
            # Where it cannot be written, they are made again.
            with contextlib.suppress(ViolenceDetectionError):
                _save(path, summaries)
    rows = [row for row, key in enumerate(keys) if key in summaries]
    return AvailableSummaries(
        np.array(rows, np.int64), _stacked([summaries[keys[row]] for row in rows]), reason
    )


def unchanged_videos(
    entries: Sequence[ManifestEntry], video_dir: Path
) -> tuple[list[Video | None], str]:
    """The videos of some manifest rows that are still in a folder, at their size.

    Args:
        entries: Rows of a manifest.
        video_dir: The folder of the videos.

    Returns:
        Each video, or None for a video that is gone or has another size; and why some are None,
        empty if none is.
    """
    none: list[Video | None] = [None] * len(entries)
    if not video_dir.is_dir():
        return none, f"their folder {video_dir} does not exist"
    try:
        frames_fps = rate_in(entry.path for entry in entries)
        folder = video_folder.read_folder(video_dir, frames_fps=frames_fps)
        by_key = {video.key: video for video in folder.videos}
    except ViolenceDetectionError as error:
        return none, f"the videos cannot be read ({str(error).rstrip('.')})"
    unchanged = [
        video if video and _size(video_dir / video.path) == entry.size else None
        for video, entry in zip(
            (clip_cutting.video_of_key(entry.path, by_key) for entry in entries),
            entries,
            strict=True,
        )
    ]
    gone = unchanged.count(None)
    if not gone:
        return unchanged, ""
    are = "is" if gone == 1 else "are"
    return unchanged, (
        f"{gone} of {counted(len(unchanged), 'video')} {are} no longer in {video_dir}, or changed"
    )


def _summarise(
    entries: Sequence[ManifestEntry], video_dir: Path, made: dict[int, tuple[np.ndarray, ...]]
) -> str:
    """Puts the summaries of some videos, by row, into `made`; returns why some are missing."""
    if not entries:
        return ""
    unchanged, reason = unchanged_videos(entries, video_dir)
    rows = [row for row, video in enumerate(unchanged) if video]
    chosen = [unchanged[row] for row in rows]
    parts = [VideoPart(video_dir / video.path, video.start_s, video.end_s) for video in chosen]
    summaries = video_summary.summarise_videos(parts) if parts else ()
    for row, summary in zip(rows, summaries, strict=True):
        if isinstance(summary, VideoError):
            reason = f"the videos cannot be read ({unchanged[row].key}: {summary})"
        else:
            made[row] = summary
    return reason


def _key(entry: ManifestEntry) -> str:
    """The digest of a video's bytes, and the part of them that the row is about."""
    content = entry.digest or f"{entry.path} {entry.size}"
    return content + manifest.part_suffix(entry.path)


def _size(path: Path) -> int:
    try:
        return video_file.state_of(path).size
    except (OSError, VideoError):
        return -1


def _stacked(rows: Sequence[tuple[np.ndarray, ...]]) -> VideoSummaries:
    if not rows:
        return VideoSummaries.empty()
    return VideoSummaries(*map(np.stack, zip(*rows, strict=True)))


def _save(path: Path, summaries: dict[str, tuple[np.ndarray, ...]]) -> None:
    content = io.BytesIO()
    stacked = _stacked(list(summaries.values()))
    arrays = {name: getattr(stacked, attribute) for name, attribute in _ARRAYS.items()}
    np.savez(content, keys=np.array(list(summaries)), **arrays)
    with files.writing(path) as file:
        file.write(content.getvalue())


def _load(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    """The summaries in a file, by key; none if it does not exist or is damaged."""
    try:
        content = io.BytesIO(path.read_bytes())  # NumPy leaves a torn file open
        with np.load(content, allow_pickle=False) as arrays:
            keys = arrays["keys"].tolist()
            columns = [arrays[name] for name in _ARRAYS]
        rows = zip(*columns, strict=True)
        sound = all(
            column.shape[1:] == empty.shape[1:]
            for column, empty in zip(columns, vars(VideoSummaries.empty()).values(), strict=True)
        )
        return dict(zip(keys, rows, strict=True)) if sound else {}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
