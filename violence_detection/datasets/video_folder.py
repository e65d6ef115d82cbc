"""A folder of videos, read as a dataset: the label, recording and split of each video.

Three layouts are read: a `videos.csv` at the top, `train|val|test/<class>/...`, and
`<class>/...`.
"""

import contextlib
import dataclasses
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from violence_detection import units
from violence_detection.datasets import class_names, video_files
from violence_detection.datasets.annotations import clip_cutting, ucf_crime
from violence_detection.datasets.splitting.split_words import split_of_word
from violence_detection.datasets.table_files import table_file, video_table
from violence_detection.datasets.video_files import FolderFiles, UnreadFile
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.units import counted
from violence_detection.video.frame_series import without_rate

CUT = "--clip-s"  # the grouping of clips that are of the recording of their file


@dataclass(frozen=True)
class VideoFolder:
    """The videos of a folder.

    Attributes:
        grouping: The source of the recordings: `videos.csv`, `--group-pattern`, `--clip-s` (the
            file that a clip is cut from), or `none` (each video is its own).
        ungrouped: Number of videos whose recording that source does not name.
        notes: Lines for the user, such as the number of ignored files.
        warnings: Lines about what is most likely not meant.
        unread: Files in class folders that may be videos, and are not read.
    """

    root: Path
    videos: tuple[Video, ...]
    grouping: str
    ungrouped: int = 0
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unread: tuple[UnreadFile, ...] = ()

    @property
    def labels(self) -> list[str]:
        return sorted({video.label for video in self.videos})

    @property
    def recordings_warning(self) -> str:
        """A warning of videos whose recording is not known; empty if all are."""
        if self.grouping == "none":
            return (
                "Recordings are not known, so each video counts as its own: clips of one recording "
                "may be on both sides of the split. Name them in videos.csv or by --group-pattern."
            )
        if self.ungrouped and self.grouping == CUT:
            return (
                f"{counted(self.ungrouped, 'video')} without a cut: each counts as a recording, as "
                "every file does. Where several files are of one recording, name it in videos.csv "
                "or by --group-pattern."
            )
        if self.ungrouped:
            return (
                f"The recording of {counted(self.ungrouped, 'video')} is not known "
                f"({self.grouping}), so each of them counts as its own: clips of one may be on "
                "both sides of the split."
            )
        return ""


def read_folder(
    root: Path,
    *,
    group_pattern: str | None = None,
    clip_s: float | None = None,
    frames_fps: float | None = None,
) -> VideoFolder:
    """All videos below a folder with their label, recording and given split.

    Args:
        root: The folder.
        group_pattern: Regular expression on the path that names the recording; see
            `names_in_paths`.
        clip_s: Long videos are cut into clips of so many seconds, see `clip_cutting`; None leaves
            them whole.
        frames_fps: The rate at which numbered pictures are read as videos; None does not.

    Raises:
        ConfigError: If `root` is not a folder, or the pattern is not a regular expression.
        DatasetError: If there are no videos, no classes, or one class only that is not recognised
            as the normal one.
    """
    if not root.is_dir():
        reason = "a file" if root.exists() else "it does not exist"
        raise ConfigError(f"VIDEO_DIR must be a folder of videos. Received: {root} ({reason})")
    if not units.is_utf8(str(root.resolve())):
        raise ConfigError(f"VIDEO_DIR must have a path in UTF-8. Received: {root}")
    folder_files = video_files.find_files(root, frames_fps)
    table = table_file.find_table(root)
    if table:
        listed = video_table.videos_of_table(table_file.read_table(table), folder_files)
        videos, ungrouped, unread = list(listed.videos), listed.ungrouped, []
        notes, warnings = list(listed.notes), list(listed.warnings)
        found_notes = folder_files.notes({table.name, *(video.path for video in videos)})
    else:
        videos, notes, unread = _from_folders(folder_files)
        videos, joined_classes = _with_one_normal_class(videos)
        notes += joined_classes
        ungrouped = len(videos)
        warnings = [*_unread_warnings(unread), *_nested_class_warnings(videos)]
        found_notes = folder_files.notes()
    other_tables = table_file.other_tables(root, table, but=(video_files.LABEL_HISTORY,))
    if other_tables:
        notes.append(f"Not read, because they are not videos.csv: {', '.join(other_tables)}.")
    grouping = "videos.csv" if ungrouped < len(videos) else "none"
    if group_pattern is not None:
        videos, ungrouped = _grouped_by(videos, group_pattern)
        grouping = "--group-pattern"
    videos, joined = _with_one_spelling(videos)
    if clip_s is not None:
        files, videos = len(videos), clip_cutting.cut_videos(videos, root, clip_s)
        if len(videos) > files:
            whole = sum(video.start_s is None for video in videos)
            cut = f"{counted(files - whole, 'video')}, {counted(len(videos) - whole, 'clip')}"
            notes.append(f"Cut into clips of {clip_s:g} s: {cut}.")
            if (
                grouping == "none"
            ):  # as a part in videos.csv, a clip is of the recording of its file
                grouping, ungrouped = CUT, whole
    folder = VideoFolder(
        root,
        tuple(sorted(videos, key=lambda video: video.key)),
        grouping,
        ungrouped,
        (*found_notes, *notes, *joined),
        tuple(warnings),
        tuple(unread),
    )
    return _with_checked_classes(folder)


# -- folders


def _from_folders(folder_files: FolderFiles) -> tuple[list[Video], list[str], list[UnreadFile]]:
    """The videos of class folders, notes, and what in these folders is not read."""
    root, paths = folder_files.root, folder_files.videos
    if not paths:
        raise DatasetError(_no_videos_text(folder_files))
    inside = [path for path in paths if "/" in path]
    if not inside:
        raise DatasetError(
            "Videos must lie in class folders, or in a tree with a videos.csv. Received: "
            f"{root} ({counted(len(paths), 'video')} without a class folder). Move them into "
            "folders such as violent/ and nonviolent/, or list them in videos.csv (path,label)"
        )
    tops = sorted({path.split("/")[0] for path in inside})
    splits = [top for top in tops if split_of_word(top)]
    if splits and len(splits) < len(tops):
        others = ", ".join(sorted(set(tops) - set(splits)))
        raise DatasetError(
            "The folders must all be splits (train, validation, test) or all be classes. "
            f"Received: {', '.join(splits)} and {others}"
        )
    depth = 1 if splits else 0
    videos = [_video_at(path, depth) for path in inside if _label_at(path, depth)]
    notes = []
    if len(videos) < len(paths):
        outside = sorted({*paths} - {video.path for video in videos})
        notes.append(
            f"Left out, in no class folder: {counted(len(outside), 'video')}, e.g. {outside[0]}."
        )
    if not videos:
        raise DatasetError(
            f"Splits must hold class folders. Received: {root} "
            f"({len(paths)} videos outside of them)"
        )
    label_of = {
        path: label
        for path in folder_files.others
        if (label := _label_at(path, depth)) and (not depth or split_of_word(path.split("/")[0]))
    }
    unread = video_files.unread_files(folder_files, label_of)
    for path in paths:
        folder = without_rate(path)
        if folder != path and folder.count("/") == depth:
            reason = "its pictures lie in the class folder itself; give each video its own folder"
            unread.append(UnreadFile(folder, folder.split("/")[-1], reason, "frames"))
    return videos, notes, unread


def _no_videos_text(folder_files: FolderFiles) -> str:
    """The error of a folder without videos, with what lies in it instead."""
    if frames := video_files.frame_videos(folder_files):
        path, pictures = next(iter(frames.items()))
        return (
            "--frames-fps must give the rate of videos that are kept as numbered pictures. "
            f"Received: {folder_files.root} ({counted(len(frames), 'video')}, e.g. {path} of "
            f"{len(pictures)} pictures, and no --frames-fps)"
        )
    inside = "none"
    if folder_files.others:
        inside += f"; {video_files.listed_endings(folder_files.others)}"
    return (
        "VIDEO_DIR must hold videos in class folders, such as violent/a.mp4 and nonviolent/b.mp4. "
        f"Received: {folder_files.root} ({inside}). `extract-features --help` lists the endings of "
        "videos"
    )


def _unread_warnings(unread: Sequence[UnreadFile]) -> list[str]:
    """A line for each kind of files in class folders that are passed over and may be videos."""
    by_kind = defaultdict(list)
    for file in unread:
        by_kind[file.kind].append(file)
    lines = []
    for kind, group in sorted(by_kind.items()):
        classes = ", ".join(sorted({file.label for file in group}))
        what = _counted_kind(kind, len(group))
        lines.append(
            f"Passed over in the class folders, and may be videos: {what} ({classes}), e.g. "
            f"{group[0].path}: {group[0].reason}."
        )
    return lines


def _nested_class_warnings(videos: Sequence[Video]) -> list[str]:
    """A warning where every class folder holds the same folders, as in `1/fight`, `2/fight`."""
    inner = defaultdict(set)
    for video in videos:
        rest = video.path.partition(f"{video.label}/")[2] if video.label else ""
        inner[video.label].add(rest.partition("/")[0] if "/" in rest else "")
    names = set.intersection(*inner.values()) - {""}
    if len(names) < 2 or any(inside - names for inside in inner.values()):
        return []
    return [
        f"Every class folder ({', '.join(sorted(inner))}) holds {' and '.join(sorted(names))}: the "
        "label is the outer folder. If the inner one is meant, name it in videos.csv, or make "
        "it the outer one."
    ]


def _video_at(path: str, depth: int) -> Video:
    split = split_of_word(path.split("/")[0]) if depth else ""
    return Video(path, label=_label_at(path, depth), group=path, split=split)


def _label_at(path: str, depth: int) -> str:
    """The class folder of a path, below `depth` folders; empty for a file outside of them."""
    *folders, _ = path.split("/")
    if len(folders) > depth and ucf_crime.is_part(folders[depth]):
        depth += 1
    return folders[depth] if len(folders) > depth else ""


def _with_one_normal_class(videos: Sequence[Video]) -> tuple[list[Video], list[str]]:
    """The videos with one label for the several normal folders of UCF-Crime, and a note."""
    names = ucf_crime.normal_folders({video.label for video in videos})
    if not names:
        return list(videos), []
    joined = [
        dataclasses.replace(video, label=ucf_crime.NORMAL) if video.label in names else video
        for video in videos
    ]
    return joined, [f"One class, {ucf_crime.NORMAL}: the videos of {' and '.join(names)}."]


# -- recordings


def names_in_paths(
    pattern: str, paths: Sequence[str], option: str = "--group-pattern"
) -> list[str | None]:
    """The name that a pattern finds in each path: its first group, or the whole match.

    Args:
        pattern: Regular expression.
        paths: The videos' paths.
        option: The option that gives the pattern, for messages.

    Raises:
        ConfigError: If it is not a regular expression, or matches no path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"{option} must be a regular expression. Received: {pattern} ({error})"
        ) from error
    matches = [expression.search(path) for path in paths]
    names = [match and match[1 if expression.groups else 0] for match in matches]
    if not any(names):
        raise ConfigError(
            f"{option} must match the videos' paths. Received: {pattern} "
            f"(matches none of {len(paths)}, e.g. {paths[0]})"
        )
    return [name or None for name in names]


def _grouped_by(videos: Sequence[Video], pattern: str) -> tuple[list[Video], int]:
    """The videos with the recordings that a pattern finds, and the number without any."""
    names = names_in_paths(pattern, [without_rate(video.path) for video in videos])
    pairs = list(zip(videos, names, strict=True))
    ungrouped = sum(
        not name and video.group == video.path and video.start_s is None for video, name in pairs
    )
    grouped = [dataclasses.replace(video, group=name or video.group) for video, name in pairs]
    return grouped, ungrouped


def _with_one_spelling(videos: Sequence[Video]) -> tuple[list[Video], list[str]]:
    """The videos with one name for recordings that differ by case or blanks alone, and a note."""
    counts = Counter(video.group for video in videos if video.group != video.path)
    spellings = defaultdict(list)
    for group in counts:
        plain = "".join(unicodedata.normalize("NFKC", group).casefold().split())
        spellings[plain].append(group)
    same = [sorted(names, key=lambda name: (-counts[name], name)) for names in spellings.values()]
    several = sorted(names for names in same if len(names) > 1)
    if not several:
        return list(videos), []
    name_of = {name: names[0] for names in several for name in names}
    joined = [
        dataclasses.replace(video, group=name_of[video.group]) if video.group in name_of else video
        for video in videos
    ]
    first = " and ".join(several[0])
    return joined, [
        "Recordings that differ by case or blanks alone count as one: "
        f"{counted(len(several), 'recording')}, e.g. {first}."
    ]


def _with_checked_classes(folder: VideoFolder) -> VideoFolder:
    """The folder, once there are two classes or more, each of one spelling; or the normal class
    alone, with a note on what can be learned from it.

    Raises:
        DatasetError: If not.
    """
    if len(folder.labels) < 2:
        label, count = folder.labels[0], len(folder.videos)
        with contextlib.suppress(ConfigError):
            if not folder.unread and not _inner_folders(folder):
                class_names.normal_class([label])
                note = (
                    f"There are normal videos alone ({label}): train --one-class learns from them."
                )
                return dataclasses.replace(folder, notes=(*folder.notes, note))
        hint = "".join(f"; {text}" for text in _unread_by_class(folder.unread, label))
        inner = _inner_folders(folder)
        if inner:
            hint += f"; is {folder.root / label} meant, which holds {', '.join(inner)}?"
        raise DatasetError(
            "There must be two classes or more, or one that is called normal. Received: "
            f"{folder.root} (one class, {label}, {counted(count, 'video')}{hint})"
        )
    class_names.check_spellings(folder.labels)
    return folder


def _counted_kind(kind: str, count: int) -> str:
    """The number of files of an `UnreadFile.kind`, in words."""
    if kind == "frames":
        return f"{counted(count, 'video')} of numbered pictures"
    return f"{count} {kind}" if kind.startswith(".") else f"{count} without an ending"


def _unread_by_class(unread: Collection[UnreadFile], label: str) -> list[str]:
    """`violent holds 6 .xyz, which are not read`, for each class but `label`."""
    by_class: Mapping[str, Counter[str]] = defaultdict(Counter)
    for file in unread:
        if file.label != label:
            by_class[file.label][file.kind] += 1
    texts = [
        f"{name} holds {', '.join(_counted_kind(*item) for item in kinds.most_common())}, not read"
        for name, kinds in sorted(by_class.items())
    ]
    pictures = [file for file in unread if file.kind == "frames" and file.label != label]
    return texts + [f"{file.path}: {file.reason}" for file in pictures[:1]]


def _inner_folders(folder: VideoFolder) -> list[str]:
    """The folders in the only class folder, where they may be splits or classes."""
    parts = [video.path.split("/") for video in folder.videos]
    if not all(len(names) > 2 and names[0] == folder.labels[0] for names in parts):
        return []
    inner = sorted({names[1] for names in parts})
    return inner if 1 < len(inner) < 10 else []
