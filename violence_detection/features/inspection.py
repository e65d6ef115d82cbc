"""Problems of a folder of videos, found before extraction: `check`.

A short video is decoded to its end, as extraction does. In a long video a few frames are reached
by seeking; it is decoded to its end only if that fails, or if no change is visible.
"""

import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import perceptual_hash, splits, video_folder
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Video
from violence_detection.errors import VideoError
from violence_detection.features.config import CheckConfig
from violence_detection.system import files, processes, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.decoder import (
    Decoder,
    describe_damage,
    describe_part_damage,
    open_video,
)
from violence_detection.video.frame_sampling import read_frames, sample_indices

log = logging.getLogger(__name__)

_SAMPLES = perceptual_hash.MOMENTS
_SHORT_FRAMES = 900  # longest video of which every frame is decoded
_TAIL = 0.97  # fraction of a long video at which a last frame must be reached
_BLACK_MAX = 12.0  # grey levels
_FROZEN_CHANGE_MAX = 0.5  # grey levels
_COMPARED_EVERY = 5  # frames of a short video
_MOST_PAIRS = 10_000


@dataclass(frozen=True)
class VideoInspection:
    """The inspection of a video file.

    Attributes:
        frames: Number of frames; for a long video as the file declares it.
        duration_s: Seconds.
        damage: A description of the damage; empty for a sound file.
        thumbnails: float32 (8, 8, 9), eight frames in grey.
        change: The largest change of a place over time, in grey levels.
    """

    frames: int
    duration_s: float
    damage: str
    thumbnails: np.ndarray
    change: float

    @property
    def last_s(self) -> float:
        """The time at which the last frame begins."""
        return self.duration_s * (1 - 1 / self.frames)

    @property
    def is_black(self) -> bool:
        return float(self.thumbnails.max()) < _BLACK_MAX

    @property
    def is_frozen(self) -> bool:
        """True if there are several frames, and all show the same."""
        return self.frames > 1 and self.change < _FROZEN_CHANGE_MAX

    @property
    def hash(self) -> np.ndarray:
        """The hash of each frame, uint64 (8,); see `perceptual_hash`."""
        return perceptual_hash.hashes_of(self.thumbnails)


def check_folder(video_dir: Path, config: CheckConfig) -> dict[str, Any]:
    """Inspects every video of a folder, alone and compared with the others.

    Returns:
        `videos`, `readable`, `unreadable` [{`path`, `reason`}], `per_class` {label: {`videos`,
        `readable`}}; `damaged`, `short`, `frozen`, `black` (lists like `unreadable`); `duplicates`
        (lists of paths of the same bytes); `near_duplicates` (`paths` of two videos of different
        recordings, and their distance in `bits`); `leaks` (a text for each recording, file or
        near-duplicate in several splits); `findings` (the number of all these).

    Raises:
        ConfigError: If the folder or the pattern is invalid.
        DatasetError: If there are no videos, no classes, or one class only.
    """
    folder = video_folder.read_folder(video_dir, group_pattern=config.group_pattern)
    for note in folder.notes:
        log.info(note)
    try:
        inspections, unreadable = _inspect_all(
            folder, workers=config.workers, timeout_s=config.video_timeout
        )
    finally:
        processes.end_idle_processes()
    digests = _digests_of_equal_sizes(folder.root, inspections)
    duplicates = sorted(
        sorted(paths) for paths in _paths_by_digest(digests).values() if len(paths) > 1
    )
    recordings = defaultdict(set)
    for video in folder.videos:
        recordings[video.path].add(video.group)
    near = near_duplicates(inspections, recordings, max_bits=config.near_bits)
    problems = {
        "damaged": [
            *_rows_with_reason(inspections, lambda video: video.damage),
            *_cut_parts(folder.videos, inspections),
        ],
        "short": _rows_with_reason(inspections, lambda video: _shortness(video, config.frames)),
        "frozen": _rows_with_reason(
            inspections, lambda video: video.is_frozen and "all frames are the same"
        ),
        "black": _rows_with_reason(
            inspections, lambda video: video.is_black and "all frames are black"
        ),
    }
    readable = {video.key for video in folder.videos if video.path in inspections}
    missing_parts = _parts_after_the_end(folder.videos, inspections)
    unreadable = sorted([*unreadable, *missing_parts], key=lambda row: row["path"])
    readable -= {row["path"] for row in missing_parts}
    leaks = _leaks(folder.videos, duplicates, near)
    return {
        "videos": len(folder.videos),
        "readable": len(readable),
        "unreadable": unreadable,
        "per_class": _per_class(folder, readable),
        **problems,
        "duplicates": duplicates,
        "near_duplicates": near,
        "leaks": leaks,
        "grouping": folder.grouping,
        "ungrouped": folder.ungrouped,
        "findings": sum(map(len, (unreadable, duplicates, near, leaks, *problems.values()))),
    }


def inspect_video(path: Path) -> VideoInspection:
    """Inspects a video file.

    Raises:
        VideoError: If it cannot be decoded.
    """
    with open_video(path) as video:
        inspection = _skim(video) if video.declared_frames > _SHORT_FRAMES else None
    if inspection is None or inspection.is_frozen:  # eight frames may miss a short event
        with open_video(path) as video:
            inspection = _read_all(video, path)
    return inspection


def near_duplicates(
    inspections: dict[str, VideoInspection], recordings: Mapping[str, set[str]], *, max_bits: float
) -> list[dict[str, Any]]:
    """Near-duplicates among videos of different recordings, the most similar first.

    There are at most 10,000: all videos of a camera may be similar, if recordings are not named.

    Args:
        inspections: By path.
        recordings: The recordings of a file, by path; a file that is missing is its own.
        max_bits: Largest distance, of the 64 bits of a frame's hash.

    Returns:
        `paths` (two) and `bits` of each pair.
    """
    paths = sorted(path for path, video in inspections.items() if not video.is_black)
    if len(paths) < 2:
        return []
    hashes = np.stack([inspections[path].hash for path in paths])
    pairs = []
    for row, column, bits in perceptual_hash.near_duplicate_pairs(hashes, hashes, max_bits):
        first, second = paths[row], paths[column]
        shared = recordings.get(first, {first}) & recordings.get(second, {second})
        if row < column and not shared:
            pairs.append((round(bits, 2), first, second))
        if len(pairs) > 2 * _MOST_PAIRS:
            pairs = sorted(pairs)[:_MOST_PAIRS]
    return [
        {"paths": [first, second], "bits": bits}
        for bits, first, second in sorted(pairs)[:_MOST_PAIRS]
    ]


# -- inspections


def _inspect_all(
    folder: VideoFolder, *, workers: int | None, timeout_s: float
) -> tuple[dict[str, VideoInspection], list[dict[str, str]]]:
    """The inspection of each file, by path, and the rows of files that cannot be read."""
    keys_of_file = defaultdict(list)
    for video in folder.videos:
        keys_of_file[video.path].append(video.key)
    inspections, unreadable = {}, []

    def try_file(path: str) -> tuple[str, VideoInspection | str]:
        try:
            inspection = call(
                inspect_video,
                folder.root / path,
                timeout_s=timeout_s,
                timeout_option="--video-timeout",
            )
            return path, inspection
        except VideoError as error:
            return path, str(error)

    with (
        ThreadPoolExecutor(workers or cpu_count() or 1) as pool,
        ProcessPool() as call,
        progress.track("Checking", len(keys_of_file), "files") as step,
    ):
        for path, result in pool.map(try_file, keys_of_file):
            if isinstance(result, VideoInspection):
                inspections[path] = result
            else:
                unreadable += [{"path": key, "reason": result} for key in keys_of_file[path]]
            step()
    return inspections, unreadable


def _skim(video: Decoder) -> VideoInspection | None:
    """The inspection of a few frames, by seeking; None if a frame cannot be reached."""
    declared = video.declared_frames
    indices = [*sample_indices(declared, _SAMPLES).tolist(), int(_TAIL * declared)]
    thumbnails = []
    for index in indices:
        frame = video.frame_near(index)
        if frame is None:
            return None
        thumbnails.append(perceptual_hash.thumbnail_of(frame))
    duration_s = declared / video.fps if video.fps else 0.0
    sampled = np.stack(thumbnails[:_SAMPLES])
    return VideoInspection(declared, duration_s, "", sampled, float(np.ptp(sampled, axis=0).max()))


def _read_all(video: Decoder, path: Path) -> VideoInspection:
    """The inspection of all frames, by decoding to the end."""
    times_s, thumbnails = [], {}
    low, high = np.inf, -np.inf
    declared = video.declared_frames
    wanted = set(sample_indices(declared, _SAMPLES).tolist()) if declared else set()
    for index, time_s in video:
        times_s.append(time_s)
        if index in wanted or index % _COMPARED_EVERY == 0:
            thumbnail = perceptual_hash.thumbnail_of(video.retrieve())
            low, high = np.minimum(low, thumbnail), np.maximum(high, thumbnail)
            if index in wanted:
                thumbnails[index] = thumbnail
    if not times_s:
        raise VideoError("no frame of it can be decoded")
    # The samples of the frames that exist, which may be fewer than the file declares.
    indices = sample_indices(len(times_s), _SAMPLES).tolist()
    if not set(indices) <= thumbnails.keys():
        thumbnails = read_frames(
            path, indices, lambda frame, _: perceptual_hash.thumbnail_of(frame)
        )
    damage = describe_damage(times_s, declared, video.fps)
    duration_s = times_s[-1] - times_s[0] + (1 / video.fps if video.fps else 0.0)
    sampled = np.stack([thumbnails[index] for index in indices])
    change = float((high - low).max()) if len(times_s) > 1 else 0.0
    return VideoInspection(len(times_s), duration_s, damage, sampled, change)


# -- findings


def _rows_with_reason(
    inspections: dict[str, VideoInspection], reason_of: Callable[[VideoInspection], str | bool]
) -> list[dict[str, str]]:
    """Paths and reasons of the videos for which `reason_of` gives a reason."""
    rows = ((path, reason_of(video)) for path, video in sorted(inspections.items()))
    return [{"path": path, "reason": reason} for path, reason in rows if reason]


def _shortness(video: VideoInspection, frames: int) -> str:
    if video.frames >= frames / 2:
        return ""
    return f"{video.frames} frames, and {frames} are sampled (--frames)"


def _parts_after_the_end(
    videos: Sequence[Video], inspections: dict[str, VideoInspection]
) -> list[dict[str, str]]:
    """Rows of parts that begin after the end of their file."""
    return [
        {
            "path": video.key,
            "reason": f"it begins at {video.start_s:g} s, and the file ends at "
            f"{inspections[video.path].duration_s:.1f} s",
        }
        for video in videos
        if video.start_s is not None
        and video.path in inspections
        and video.start_s > inspections[video.path].last_s + 0.001
    ]


def _cut_parts(
    videos: Sequence[Video], inspections: dict[str, VideoInspection]
) -> list[dict[str, str]]:
    """Rows of parts that end clearly after the end of their file."""
    rows = []
    for video in videos:
        if video.start_s is None or video.path not in inspections:
            continue
        file = inspections[video.path]
        reason = describe_part_damage(file.duration_s, video.start_s, video.end_s)
        if reason and video.start_s <= file.last_s + 0.001:
            rows.append({"path": video.key, "reason": reason})
    return rows


def _digests_of_equal_sizes(root: Path, inspections: dict[str, VideoInspection]) -> dict[str, str]:
    """The SHA-256 of each file that has the size of another file, by path."""
    by_size = defaultdict(list)
    for path in inspections:
        with contextlib.suppress(OSError):
            by_size[(root / path).stat().st_size].append(path)
    return {
        path: files.sha256_of_file(root / path)
        for paths in by_size.values()
        if len(paths) > 1
        for path in paths
    }


def _paths_by_digest(digests: dict[str, str]) -> dict[str, list[str]]:
    paths = defaultdict(list)
    for path, digest in digests.items():
        paths[digest].append(path)
    return paths


def _per_class(folder: VideoFolder, readable: set[str]) -> dict[str, dict[str, int]]:
    total = Counter(video.label for video in folder.videos)
    read = Counter(video.label for video in folder.videos if video.key in readable)
    return {label: {"videos": total[label], "readable": read[label]} for label in sorted(total)}


def _leaks(
    videos: Sequence[Video],
    duplicates: Sequence[Sequence[str]],
    near: Sequence[dict[str, Any]],
) -> list[str]:
    """A text for each recording, file or near-duplicate that is in several given splits."""
    splits_of = defaultdict(set)
    for video in videos:
        if video.split:
            splits_of[video.path].add(video.split)

    def is_leak(paths: Sequence[str]) -> bool:
        return len(set().union(*(splits_of[path] for path in paths))) > 1

    rows = [{"group": video.group, "split": video.split} for video in videos]
    copies = {frozenset(pair) for paths in duplicates for pair in combinations(paths, 2)}
    similar = [pair["paths"] for pair in near if frozenset(pair["paths"]) not in copies]
    return [
        *[f"recording {group}" for group in splits.leaked_recordings(rows)],
        *[f"same file: {path}" for path in splits_of if is_leak([path])],
        *[f"same bytes: {', '.join(paths)}" for paths in duplicates if is_leak(paths)],
        *[f"near-duplicates: {', '.join(paths)}" for paths in similar if is_leak(paths)],
    ]
