"""Problems of a folder of videos, found before extraction: `check`."""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from violence_detection.datasets import class_names, training_readiness, video_folder
from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Problem, Video, contradictions
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.features.checking import folder_findings
from violence_detection.features.checking.folder_findings import FolderSummary, NearDuplicate
from violence_detection.features.checking.inspection import VideoInspection, inspect_video
from violence_detection.features.config import CheckConfig
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.decoding import damage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderCheck:
    """The result of a check. Every list but `notes`, `splits` and `scenes` counts as findings; a
    pair of files of the same bytes counts once, as `duplicates`.

    Attributes:
        videos: Number of videos.
        readable: Number of those that can be read.
        per_class: `videos` and `readable` of each class.
        unreadable, damaged, short, frozen, black: Problems of single videos.
        rate: Files with a rate at which motion cannot be seen, or that cannot be.
        sparse: Videos whose sampled frames are far apart.
        duplicates: Paths of files of the same bytes.
        near_duplicates: Pairs of videos of different recordings; files of the same bytes are
            among them.
        leaks: A text for each recording, file or near-duplicate in several given splits.
        contradictions: A text for each two parts of one file that overlap with other labels.
        training: What `train` would refuse, in its words.
        splits: A text for each part of the split that would lack a class; training accepts it.
        shortcuts: A text for each property of the files that tells the classes.
        scenes: A text where the normal class lacks lively scenes.
        folder: Warnings of the folder and its table, such as files that are passed over.
        grouping, ungrouped: See `VideoFolder`.
        recordings_warning: Why clips of a recording may be on both sides; empty if they cannot.
        notes: What was left out or chosen, in words.
        summary: What the folder holds.
    """

    videos: int
    readable: int
    per_class: dict[str, dict[str, int]]
    unreadable: list[Problem]
    damaged: list[Problem]
    short: list[Problem]
    frozen: list[Problem]
    black: list[Problem]
    rate: list[Problem]
    sparse: list[Problem]
    duplicates: list[list[str]]
    near_duplicates: list[NearDuplicate]
    leaks: list[str]
    contradictions: list[str]
    training: list[str]
    splits: list[str]
    shortcuts: list[str]
    scenes: list[str]
    folder: list[str]
    grouping: str
    ungrouped: int
    recordings_warning: str
    notes: list[str]
    summary: FolderSummary

    @property
    def findings(self) -> int:
        """The number of all problems."""
        left_out = ("notes", "splits", "scenes", "near_duplicates")
        lists = (value for name, value in vars(self).items() if name not in left_out)
        return len(self.similar) + sum(len(value) for value in lists if isinstance(value, list))

    @property
    def similar(self) -> list[NearDuplicate]:
        """The near-duplicates that are not of the same bytes."""
        return _without_copies(self.near_duplicates, self.duplicates)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `check`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in fields.items():
            if isinstance(value, list) and value and isinstance(value[0], Problem):
                fields[name] = [problem._asdict() for problem in value]
        fields["near_duplicates"] = [pair.to_json() for pair in self.near_duplicates]
        fields["summary"] = dataclasses.asdict(self.summary)
        return fields | {"findings": self.findings}


@dataclass(frozen=True)
class InspectedFolder:
    """A folder of videos with the inspection of each file.

    Attributes:
        folder: The folder as it was read.
        inspections: By path; a file that cannot be read has none.
        usable: The videos that can be read.
        check: What was found.
    """

    folder: VideoFolder
    inspections: Mapping[str, VideoInspection]
    usable: Sequence[Video]
    check: FolderCheck


def check_folder(video_dir: Path, config: CheckConfig) -> InspectedFolder:
    """Inspects every video of a folder, alone and compared with the others.

    Raises:
        ConfigError: If the folder or the pattern is invalid.
        DatasetError: If there are no videos, no classes, or one class only.
    """
    folder = video_folder.read_folder(
        video_dir, group_pattern=config.group_pattern, frames_fps=config.frames_fps
    )
    for note in folder.notes:
        log.info(note)
    inspections, unreadable = _inspect_all(
        folder, workers=config.workers, timeout_s=config.video_timeout_s
    )
    missing_parts = folder_findings.parts_after_the_end(folder.videos, inspections)
    unread = {problem.path for problem in missing_parts}
    usable = [v for v in folder.videos if v.path in inspections and v.key not in unread]
    duplicates = folder_findings.duplicates(folder.root, inspections)
    recordings = defaultdict(set)
    for video in folder.videos:
        recordings[video.path].add(video.group)
    near = folder_findings.near_duplicates(inspections, recordings, max_bits=config.near_bits)
    split = SplitConfig()
    usual_fps = damage.usual_fps(video.fps for video in inspections.values())
    stream_notes = [f"{path}: {video.note}" for path, video in inspections.items() if video.note]
    for note in stream_notes:
        log.info(note)
    check = FolderCheck(
        videos=len(folder.videos),
        readable=len(usable),
        per_class=folder_findings.per_class(folder, usable),
        unreadable=sorted([*unreadable, *missing_parts]),
        damaged=[
            *folder_findings.problems(inspections, lambda video: video.damage),
            *folder_findings.cut_parts(folder.videos, inspections),
        ],
        short=folder_findings.problems(
            inspections, lambda video: damage.describe_shortness(video.frames, config.frames)
        ),
        frozen=folder_findings.problems(
            inspections, lambda v: "all frames are the same" if v.is_frozen else ""
        ),
        black=folder_findings.problems(
            inspections, lambda v: "all frames are black" if v.is_black else ""
        ),
        rate=folder_findings.problems(
            inspections, lambda video: folder_findings.describe_rate(video, usual_fps)
        ),
        sparse=folder_findings.sparse_videos(usable, inspections, config.frames),
        duplicates=duplicates,
        near_duplicates=near,
        leaks=folder_findings.leaks(folder.videos, duplicates, _without_copies(near, duplicates)),
        contradictions=[
            f"{part.key} is {part.label}, {later.key} is {later.label}"
            for part, later in contradictions(folder.videos)
        ],
        training=training_readiness.obstacles(usable, split, normal_class=config.normal_class),
        splits=training_readiness.lacking_classes(usable, split) if usable else [],
        shortcuts=folder_findings.shortcuts(usable, inspections),
        scenes=_lacking_scenes(usable, inspections, config.normal_class),
        folder=list(folder.warnings),
        grouping=folder.grouping,
        ungrouped=folder.ungrouped,
        recordings_warning=folder.recordings_warning,
        notes=[*folder.notes, *stream_notes],
        summary=folder_findings.summary(folder, usable, inspections),
    )
    return InspectedFolder(folder, inspections, usable, check)


def _lacking_scenes(
    usable: Sequence[Video], inspections: Mapping[str, VideoInspection], asked: str | None
) -> list[str]:
    try:
        normal = class_names.normal_class({video.label for video in usable}, asked)
    except ViolenceDetectionError:  # `training` says so
        return []
    return folder_findings.lacking_scenes(usable, inspections, normal)


def _without_copies(
    near: Sequence[NearDuplicate], duplicates: Sequence[Sequence[str]]
) -> list[NearDuplicate]:
    copies = {frozenset(pair) for paths in duplicates for pair in combinations(paths, 2)}
    return [pair for pair in near if frozenset(pair.paths) not in copies]


def _inspect_all(
    folder: VideoFolder, *, workers: int | None, timeout_s: float
) -> tuple[dict[str, VideoInspection], list[Problem]]:
    """The inspection of each file, by path, and the videos of files that cannot be read."""
    keys_of_file = defaultdict(list)
    for video in folder.videos:
        keys_of_file[video.path].append(video.key)
    inspections, unreadable = {}, []

    def try_file(path: str, call: ProcessPool) -> VideoInspection | str:
        try:
            return call(
                inspect_video,
                folder.root / path,
                timeout_s=timeout_s,
                timeout_option="--video-timeout-s",
            )
        except VideoError as error:
            return str(error)

    results = processes.map_in_order(
        try_file, list(keys_of_file), title="Checking", unit="files", children=workers
    )
    for path, result in zip(keys_of_file, results, strict=True):
        if isinstance(result, VideoInspection):
            inspections[path] = result
        else:
            unreadable += [Problem(key, result) for key in keys_of_file[path]]
    return inspections, unreadable
