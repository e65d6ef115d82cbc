"""What is wrong with a folder of videos, found before hours are spent on it.

A short video is decoded to its end, as extraction would; of a long one a few frames are reached by
seeking, and it is decoded only where that fails or nothing seems to change.
"""

import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import perceptual_hash, splits, video_folder
from violence_detection.datasets.video_folder import Video, VideoFolder
from violence_detection.errors import VideoError
from violence_detection.features.config import CheckConfig
from violence_detection.system import files, processes, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import read_frames, sample_indices
from violence_detection.video.decoder import (
    Decoder,
    describe_damage,
    describe_part_damage,
    open_video,
)

log = logging.getLogger(__name__)

_SAMPLES = perceptual_hash.MOMENTS
_SHORT_FRAMES = 900  # up to here every frame is read
_TAIL = 0.97  # of a long video, that must be there
_BLACK = 12.0  # grey levels
_STILL = 0.5
_EVERY = 5  # of the frames of a short video, that are compared
_MOST_PAIRS = 10_000


@dataclass(frozen=True)
class VideoInspection:
    """What a few frames of a file show.

    Attributes:
        frames: How many there are; as declared, for a long video.
        duration_s: Seconds.
        damage: What is wrong with the file, empty where nothing is.
        thumbs: float32 (8, 8, 9), the frames in grey.
        change: The most that any place of it changes, in grey levels.
    """

    frames: int
    duration_s: float
    damage: str
    thumbs: np.ndarray
    change: float

    @property
    def last_s(self) -> float:
        """Where the last frame begins."""
        return self.duration_s * (1 - 1 / self.frames)

    @property
    def is_black(self) -> bool:
        return float(self.thumbs.max()) < _BLACK

    @property
    def is_frozen(self) -> bool:
        """Whether nothing changes, in more than one frame."""
        return self.frames > 1 and self.change < _STILL

    @property
    def hash(self) -> np.ndarray:
        """Of each frame, uint64 (8,); see `likeness`."""
        return perceptual_hash.hashes_of(self.thumbs)


def check_folder(video_dir: Path, config: CheckConfig) -> dict[str, Any]:
    """Look at every video of a folder, and at what they have in common.

    Returns:
        videos, readable, unreadable [{path, reason}], per_class {label: {videos, readable}},
        damaged, short, frozen, black (lists of the same), duplicates (lists of paths of the
        same bytes), near_duplicates (pairs of paths of different recordings, and bits by which
        they differ), leaks (what is on more than one side of a given split), findings (how many
        of all these).

    Raises:
        ConfigError: If the folder cannot be meant.
        DatasetError: If there are no videos, no classes, or one class only.
    """
    folder = video_folder.read_folder(video_dir, group_pattern=config.group_pattern)
    for note in folder.notes:
        log.info(note)
    try:
        looks, unreadable = _look_at_all(folder, config)
    finally:
        processes.end_idle_processes()
    digests = _digests_of_equal_sizes(folder.root, looks)
    duplicates = sorted(sorted(paths) for paths in _grouped(digests).values() if len(paths) > 1)
    recordings = defaultdict(set)
    for video in folder.videos:
        recordings[video.path].add(video.group)
    near = near_duplicates(looks, recordings, most_bits=config.near_bits)
    found = {
        "damaged": [
            *_named(looks, lambda look: look.damage),
            *_cut_short(folder.videos, looks),
        ],
        "short": _named(looks, lambda look: _shortness(look, config.frames)),
        "frozen": _named(looks, lambda look: look.is_frozen and "nothing changes in it"),
        "black": _named(looks, lambda look: look.is_black and "all of it is black"),
    }
    readable = {video.key for video in folder.videos if video.path in looks}
    beyond = _beyond_the_end(folder.videos, looks)
    unreadable = sorted([*unreadable, *beyond], key=lambda row: row["path"])
    readable -= {row["path"] for row in beyond}
    leaks = _leaks(folder.videos, duplicates, near)
    return {
        "videos": len(folder.videos),
        "readable": len(readable),
        "unreadable": unreadable,
        "per_class": _per_class(folder, readable),
        **found,
        "duplicates": duplicates,
        "near_duplicates": near,
        "leaks": leaks,
        "grouping": folder.grouping,
        "ungrouped": folder.ungrouped,
        "findings": sum(map(len, (unreadable, duplicates, near, leaks, *found.values()))),
    }


def inspect_video(path: Path) -> VideoInspection:
    """Look at a file.

    Raises:
        VideoError: If it cannot be decoded.
    """
    with open_video(path) as video:
        found = _skim(video) if video.declared_frames > _SHORT_FRAMES else None
    if found is None or found.is_frozen:  # eight frames do not show that
        with open_video(path) as video:
            found = _read_all(video, path)
    return found


def near_duplicates(
    looks: dict[str, VideoInspection], recordings: Mapping[str, set[str]], *, most_bits: float
) -> list[dict[str, Any]]:
    """Pairs of videos of different recordings whose frames look alike, the likest first.

    They are 10,000 at the most: of one camera without recordings every pair may look alike.

    Args:
        looks: By path.
        recordings: By path; a video's own name where nothing else is known.
        most_bits: Of the 64 of a frame's hash, that may differ on average.

    Returns:
        paths (two) and bits of each pair.
    """
    paths = sorted(path for path, seen in looks.items() if not seen.is_black)
    if len(paths) < 2:
        return []
    hashes = np.stack([looks[path].hash for path in paths])
    found = []
    for row, column, bits in perceptual_hash.near_duplicate_pairs(hashes, hashes, most_bits):
        one, other = paths[row], paths[column]
        apart = not recordings.get(one, {one}) & recordings.get(other, {other})
        if row < column and apart:
            found.append((round(bits, 2), one, other))
        if len(found) > 2 * _MOST_PAIRS:
            found = sorted(found)[:_MOST_PAIRS]
    return [
        {"paths": [one, other], "bits": bits} for bits, one, other in sorted(found)[:_MOST_PAIRS]
    ]


# -- looking


def _look_at_all(
    folder: VideoFolder, config: CheckConfig
) -> tuple[dict[str, VideoInspection], list[dict[str, str]]]:
    """A look at each file, and the rows of those that cannot be read."""
    of_file = defaultdict(list)
    for video in folder.videos:
        of_file[video.path].append(video.key)
    looks, unreadable = {}, []

    def tried(path: str) -> tuple[str, VideoInspection | str]:
        try:
            return path, call(inspect_video, folder.root / path, timeout_s=config.video_timeout)
        except VideoError as error:
            return path, str(error)

    with (
        ThreadPoolExecutor(config.workers or cpu_count() or 1) as pool,
        ProcessPool() as call,
        progress.track("Checking", len(of_file), "files") as step,
    ):
        for path, seen in pool.map(tried, of_file):
            if isinstance(seen, VideoInspection):
                looks[path] = seen
            else:
                unreadable += [{"path": key, "reason": seen} for key in of_file[path]]
            step()
    return looks, unreadable


def _skim(video: Decoder) -> VideoInspection | None:
    """A look by seeking; None where a place cannot be reached."""
    declared = video.declared_frames
    places = [*sample_indices(declared, _SAMPLES).tolist(), int(_TAIL * declared)]
    thumbs = []
    for index in places:
        frame = video.frame_near(index)
        if frame is None:
            return None
        thumbs.append(perceptual_hash.thumbnail_of(frame))
    duration_s = declared / video.fps if video.fps else 0.0
    shown = np.stack(thumbs[:_SAMPLES])
    return VideoInspection(declared, duration_s, "", shown, float(np.ptp(shown, axis=0).max()))


def _read_all(video: Decoder, path: Path) -> VideoInspection:
    """A look by decoding to the end."""
    times_s, thumbs = [], {}
    low, high = np.inf, -np.inf
    declared = video.declared_frames
    wanted = set(sample_indices(declared, _SAMPLES).tolist()) if declared else set()
    for index, time_s in video:
        times_s.append(time_s)
        if index in wanted or index % _EVERY == 0:
            thumb = perceptual_hash.thumbnail_of(video.retrieve())
            low, high = np.minimum(low, thumb), np.maximum(high, thumb)
            if index in wanted:
                thumbs[index] = thumb
    if not times_s:
        raise VideoError("no frame of it can be decoded")
    true = sample_indices(len(times_s), _SAMPLES).tolist()
    if not set(true) <= thumbs.keys():
        thumbs = read_frames(path, true, lambda frame, _: perceptual_hash.thumbnail_of(frame))
    damage = describe_damage(times_s, declared, video.fps)
    duration_s = times_s[-1] - times_s[0] + (1 / video.fps if video.fps else 0.0)
    shown = np.stack([thumbs[one] for one in true])
    change = float((high - low).max()) if len(times_s) > 1 else 0.0
    return VideoInspection(len(times_s), duration_s, damage, shown, change)


# -- findings


def _named(looks: dict[str, VideoInspection], reason_of) -> list[dict[str, str]]:
    """Paths and reasons of the videos that have one."""
    rows = ((path, reason_of(seen)) for path, seen in sorted(looks.items()))
    return [{"path": path, "reason": reason} for path, reason in rows if reason]


def _shortness(seen: VideoInspection, frames: int) -> str:
    if seen.frames >= frames / 2:
        return ""
    return f"{seen.frames} frames, and {frames} are sampled (--frames)"


def _beyond_the_end(
    listed: Sequence[Video], looks: dict[str, VideoInspection]
) -> list[dict[str, str]]:
    """Parts that begin after their file has ended."""
    return [
        {
            "path": video.key,
            "reason": f"it begins at {video.start_s:g} s, and the file ends at "
            f"{looks[video.path].duration_s:.1f} s",
        }
        for video in listed
        if video.start_s is not None
        and video.path in looks
        and video.start_s > looks[video.path].last_s + 0.001
    ]


def _cut_short(listed: Sequence[Video], looks: dict[str, VideoInspection]) -> list[dict[str, str]]:
    """Parts whose file ends clearly before they do."""
    rows = []
    for video in listed:
        if video.start_s is None or video.path not in looks:
            continue
        seen = looks[video.path]
        reason = describe_part_damage(seen.duration_s, video.start_s, video.end_s)
        if reason and video.start_s <= seen.last_s + 0.001:
            rows.append({"path": video.key, "reason": reason})
    return rows


def _digests_of_equal_sizes(root: Path, looks: dict[str, VideoInspection]) -> dict[str, str]:
    """SHA-256 by path, of the files that share their size with another: others are alone."""
    by_size = defaultdict(list)
    for path in looks:
        with contextlib.suppress(OSError):
            by_size[(root / path).stat().st_size].append(path)
    return {
        path: files.sha256_of_file(root / path)
        for paths in by_size.values()
        if len(paths) > 1
        for path in paths
    }


def _grouped(digests: dict[str, str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for path, digest in digests.items():
        found[digest].append(path)
    return found


def _per_class(folder: VideoFolder, readable: set[str]) -> dict[str, dict[str, int]]:
    total = Counter(video.label for video in folder.videos)
    there = Counter(video.label for video in folder.videos if video.key in readable)
    return {label: {"videos": total[label], "readable": there[label]} for label in sorted(total)}


def _leaks(
    listed: Sequence[Video],
    duplicates: Sequence[Sequence[str]],
    near: Sequence[dict[str, Any]],
) -> list[str]:
    """What is on more than one side of the given split, in words."""
    sides = defaultdict(set)
    for video in listed:
        if video.split:
            sides[video.path].add(video.split)
    rows = [{"group": video.group, "split": video.split} for video in listed]
    found = [f"recording {group}" for group in splits.leaked_recordings(rows)]
    found += [f"same file: {path}" for path, on in sides.items() if len(on) > 1]

    def apart(paths: Sequence[str]) -> bool:
        return len(set().union(*(sides[path] for path in paths))) > 1

    found += [f"same bytes: {', '.join(paths)}" for paths in duplicates if apart(paths)]
    known = {frozenset(pair) for paths in duplicates for pair in _pairs(paths)}
    found += [
        f"look alike: {', '.join(pair['paths'])}"
        for pair in near
        if apart(pair["paths"]) and frozenset(pair["paths"]) not in known
    ]
    return found


def _pairs(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(paths):
        for other in paths[number + 1 :]:
            yield one, other
