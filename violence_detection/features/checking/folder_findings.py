"""The findings of a check, from the inspections of a folder's videos."""

import contextlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import units
from violence_detection.datasets.splitting import splits
from violence_detection.datasets.summaries import metadata_shortcuts, perceptual_hash
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Problem, Video
from violence_detection.errors import VideoError
from violence_detection.features.checking.inspection import VideoInspection
from violence_detection.video import video_file
from violence_detection.video.decoding import damage

Inspections = Mapping[str, VideoInspection]  # by path

_MAX_PAIRS = 10_000
_MIN_FPS = 5.0  # below, most images of `motion`, of frames 67 ms apart, show no change
_LONG_S = 60.0  # median length of a video from which on its sampled frames miss events
_MIN_SCENES = 20  # videos of a class, to say something of its motion
_LIVELY_SHARE = 0.1  # of the normal videos that move as much as violence: fewer are a lack
_MAX_STEP_S = 5.0  # between the sampled frames of a video: a fight may lie between two of them


@dataclass(frozen=True)
class NearDuplicate:
    """A pair of similar videos.

    Attributes:
        paths: Theirs.
        bits: Their distance, in bits of the 64 of a frame's hash.
    """

    paths: tuple[str, str]
    bits: float

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {"paths": list(self.paths), "bits": self.bits}


@dataclass(frozen=True)
class FolderSummary:
    """Length, sizes, rates and recordings of a folder of videos.

    Attributes:
        duration_s: Length of all readable videos together.
        shortest_s, longest_s: Length of the shortest and of the longest readable video.
        sizes: Number of files by `640x360`, the commonest first.
        rates: Number of files by frames per second, the commonest first.
        recordings: Number of recordings of each class; empty where recordings are not known.
        all_recordings: Number of recordings, each counted once; 0 where they are not known.
        cameras: Number of videos by camera, the commonest first; empty where none is named.
        first_recorded_at, last_recorded_at: In ISO 8601; empty where no time is given.
    """

    duration_s: float
    shortest_s: float
    longest_s: float
    sizes: dict[str, int]
    rates: dict[str, int]
    recordings: dict[str, int]
    all_recordings: int
    cameras: dict[str, int]
    first_recorded_at: str
    last_recorded_at: str


# -- single videos


def problems(
    inspections: Inspections, reason_of: Callable[[VideoInspection], str]
) -> list[Problem]:
    """The files for which `reason_of` gives a reason."""
    pairs = ((path, reason_of(video)) for path, video in sorted(inspections.items()))
    return [Problem(path, reason) for path, reason in pairs if reason]


def describe_rate(video: VideoInspection, usual_fps: float) -> str:
    """The reason why a frame rate cannot be right, or cannot show motion; empty if it can.

    Args:
        usual_fps: The rate of the other videos; 0.0 if they have none in common.
    """
    if video.frames < 2:
        return ""
    if video.fps >= _MIN_FPS:
        return damage.describe_rate(video.fps, usual_fps)
    return f"at {video.fps:.2g} frames per second motion cannot be seen" if video.fps else ""


def sparse_videos(videos: Iterable[Video], inspections: Inspections, frames: int) -> list[Problem]:
    """The videos whose T sampled frames are so far apart that a fight lies between two of them."""
    unfit = []
    for video in videos:
        seconds = length_s(video, inspections[video.path])
        step_s = seconds / frames
        if step_s > _MAX_STEP_S:
            reason = (
                f"its {frames} sampled frames are {step_s:.0f} s apart "
                f"({units.format_duration(seconds)} long), and what is between them is not seen: "
                "name its parts in videos.csv (start_s,end_s), or cut it by --clip-s"
            )
            unfit.append(Problem(video.key, reason))
    return unfit


def describe_long_videos(entries: Iterable[ManifestEntry], frames: int) -> str:
    """A warning where the sampled frames of the median video are so far apart that events are
    missed; empty where they are not.

    Args:
        entries: Rows of a manifest.
        frames: Frames sampled from a video.
    """
    lengths_s = [entry.duration_s for entry in entries if entry.usable]
    median_s = statistics.median(lengths_s) if lengths_s else 0.0
    if median_s <= _LONG_S:
        return ""
    return (
        f"The median video is {units.format_duration(median_s)} long, and {frames} frames of it "
        f"are seen, {median_s / frames:.2g} s apart: an event of a few seconds is missed. "
        "--clip-s 4 cuts long videos into clips, --segments 32 keeps more frames of each; "
        "import-annotations makes parts of annotated events."
    )


def parts_after_the_end(videos: Iterable[Video], inspections: Inspections) -> list[Problem]:
    """The parts that begin after the end of their file."""
    return [
        Problem(
            video.key,
            f"it begins at {video.start_s:g} s, and the file ends at "
            f"{inspections[video.path].end_s:.1f} s",
        )
        for video in videos
        if video.start_s is not None
        and video.path in inspections
        and video.start_s > inspections[video.path].last_s + 0.001
    ]


def cut_parts(videos: Iterable[Video], inspections: Inspections) -> list[Problem]:
    """The parts that end clearly after the end of their file."""
    unfit = []
    for video in videos:
        if video.start_s is None or video.path not in inspections:
            continue
        file = inspections[video.path]
        reason = damage.describe_part_damage(file.end_s, video.start_s, video.end_s)
        if reason and video.start_s <= file.last_s + 0.001:
            unfit.append(Problem(video.key, reason))
    return unfit


# -- videos together


def duplicates(root: Path, inspections: Inspections) -> list[list[str]]:
    """The paths of each two or more files of the same bytes."""
    by_size = defaultdict(list)
    for path in inspections:
        with contextlib.suppress(OSError, VideoError):
            by_size[video_file.state_of(root / path).size].append(path)
    by_digest = defaultdict(list)
    for paths in by_size.values():
        for path in paths if len(paths) > 1 else ():
            by_digest[video_file.digest_of(root / path)].append(path)
    return sorted(sorted(paths) for paths in by_digest.values() if len(paths) > 1)


def near_duplicates(
    inspections: Inspections, recordings: Mapping[str, set[str]], *, max_bits: float
) -> list[NearDuplicate]:
    """Near-duplicates among videos of different recordings, the most similar first.

    There are at most 10,000: all videos of a camera may be similar, if recordings are not named.

    Args:
        inspections: By path.
        recordings: The recordings of a file, by path; a file that is missing is its own.
        max_bits: Largest distance, of the 64 bits of a frame's hash.
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
        if len(pairs) > 2 * _MAX_PAIRS:
            pairs = sorted(pairs)[:_MAX_PAIRS]
    return [
        NearDuplicate((first, second), bits) for bits, first, second in sorted(pairs)[:_MAX_PAIRS]
    ]


def per_class(folder: VideoFolder, usable: Iterable[Video]) -> dict[str, dict[str, int]]:
    """`videos` and `readable` of each class."""
    total = Counter(video.label for video in folder.videos)
    read = Counter(video.label for video in usable)
    return {label: {"videos": total[label], "readable": read[label]} for label in sorted(total)}


def leaks(
    videos: Iterable[Video],
    copies: Sequence[Sequence[str]],
    near: Sequence[NearDuplicate],
) -> list[str]:
    """A text for each recording, file or near-duplicate that is in several given splits.

    Args:
        videos: All videos.
        copies: Paths of files of the same bytes.
        near: Near-duplicates that are not among these.
    """
    videos = list(videos)
    splits_of = defaultdict(set)
    for video in videos:
        if video.split:
            splits_of[video.path].add(video.split)

    def is_leak(paths: Collection[str]) -> bool:
        return len(set().union(*(splits_of[path] for path in paths))) > 1

    rows = [{"group": video.group, "split": video.split} for video in videos]
    similar = [pair.paths for pair in near]
    return [
        *[f"recording {group}" for group in splits.leaked_recordings(rows)],
        *[f"same file: {path}" for path in splits_of if is_leak([path])],
        *[f"same bytes: {', '.join(paths)}" for paths in copies if is_leak(paths)],
        *[f"near-duplicates: {', '.join(paths)}" for paths in similar if is_leak(paths)],
    ]


def shortcuts(videos: Sequence[Video], inspections: Inspections) -> list[str]:
    """A text for each property of the files that tells the classes."""
    files = [inspections[video.path] for video in videos]
    properties = {
        "the width in pixels": [float(video.size[0]) for video in files],
        "the height in pixels": [float(video.size[1]) for video in files],
        "the length in seconds": [
            round(length_s(video, file), 1) for video, file in zip(videos, files, strict=True)
        ],
        "the frame rate": [float(round(video.fps)) for video in files],
    }
    return [
        f"{shortcut.property} tells {shortcut.label} ({shortcut.usual[0]:g}) from the rest "
        f"({shortcut.usual[1]:g}) in {shortcut.accuracy:.0%}: a model may learn that instead of "
        "what is to be seen; bring both to the same, or mix their sources"
        for shortcut in metadata_shortcuts.find_shortcuts(
            properties, [video.label for video in videos], [video.group for video in videos]
        )
    ]


def lacking_scenes(
    videos: Sequence[Video], inspections: Inspections, normal_class: str
) -> list[str]:
    """A text where the normal class lacks the lively scenes of everyday life.

    A classifier of such a dataset learns that motion is violence, and takes crowds, dance and play
    for it.

    Args:
        videos: Videos that can be read.
        inspections: Those of their files.
        normal_class: Name of the normal class.
    """
    motion = [
        (video.label == normal_class, inspections[video.path].motion)
        for video in videos
        if inspections[video.path].motion is not None
    ]
    normal = np.array([value for is_normal, value in motion if is_normal])
    violent = np.array([value for is_normal, value in motion if not is_normal])
    if min(len(normal), len(violent)) < _MIN_SCENES:
        return []
    lively = int((normal >= np.median(violent)).sum())
    if lively > _LIVELY_SHARE * len(normal):
        return []
    count = (
        "no normal video moves" if not lively else f"{lively} of {len(normal)} normal videos move"
    )
    return [
        f"{count} as much as the middle one of the violent videos: a model may learn that motion "
        "is violence; add normal videos of crowds, dance, play and sport, of busy shops and streets"
    ]


def summary(
    folder: VideoFolder, usable: Sequence[Video], inspections: Inspections
) -> FolderSummary:
    """The summary of a folder, of the videos that can be read."""
    lengths_s = [length_s(video, inspections[video.path]) for video in usable]
    sizes = Counter("x".join(map(str, file.size)) for file in inspections.values())
    rates = Counter(f"{file.fps:.4g}" for file in inspections.values() if file.fps)
    cameras = Counter(video.camera for video in folder.videos if video.camera)
    times = sorted((v.recorded_at for v in folder.videos if v.recorded_at), key=iso_times.instant)
    groups: dict[str, set[str]] = {}
    if folder.grouping != "none":
        for label in folder.labels:
            groups[label] = {video.group for video in folder.videos if video.label == label}
    return FolderSummary(
        duration_s=round(sum(lengths_s), 3),
        shortest_s=round(min(lengths_s, default=0.0), 3),
        longest_s=round(max(lengths_s, default=0.0), 3),
        sizes=dict(sizes.most_common()),
        rates=dict(rates.most_common()),
        recordings={label: len(of_class) for label, of_class in groups.items()},
        all_recordings=len(set().union(*groups.values())),
        cameras=dict(cameras.most_common()),
        first_recorded_at=times[0] if times else "",
        last_recorded_at=times[-1] if times else "",
    )


def length_s(video: Video, file: VideoInspection) -> float:
    """The length of a video, or of a part as far as its file lasts."""
    if video.start_s is None:
        return file.duration_s
    return max(0.0, min(video.end_s, file.duration_s) - video.start_s)
