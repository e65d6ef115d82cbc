"""A folder of videos, read as a dataset: the label, recording and split of each video.

Three layouts are read: a `videos.csv` at the top, `train|val|test/<class>/...`, and
`<class>/...`.
"""

import csv
import dataclasses
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from violence_detection import units
from violence_detection.errors import ConfigError, DatasetError
from violence_detection.system import files
from violence_detection.units import counted

log = logging.getLogger(__name__)

EXTENSIONS = frozenset(
    ".3g2 .3gp .asf .avi .f4v .flv .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg "
    ".mts .mxf .ogv .ts .vob .webm .wmv".split()
)
TABLE = "videos.csv"
TABLE_COLUMNS = ("path", "label", "split", "group", "start_s", "end_s")
JUDGED_COLUMNS = ("judged_by", "judged_at")  # of a label that a reviewer gave
SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Video:
    """A video of a dataset: a file, or a part of a file.

    Attributes:
        path: Relative to the dataset's folder, with `/`.
        group: The recording.
        split: Empty if the dataset gives none.
        start_s, end_s: Of a part, in seconds; None for a whole file.
    """

    path: str
    label: str
    group: str
    split: str = ""
    start_s: float | None = None
    end_s: float | None = None

    @property
    def key(self) -> str:
        """The name in the cache: the path, and `@start-end` for a part of a file."""
        if self.start_s is None:
            return self.path
        return f"{self.path}@{self.start_s:.10g}-{self.end_s:.10g}"


@dataclass(frozen=True)
class VideoFolder:
    """The videos of a folder.

    Attributes:
        grouping: The source of the recordings: `videos.csv`, `--group-pattern`, or `none` (each
            video is its own).
        ungrouped: Number of videos whose recording that source does not name.
        notes: Lines for the user, such as the number of ignored files.
    """

    root: Path
    videos: tuple[Video, ...]
    grouping: str
    ungrouped: int = 0
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        return sorted({video.label for video in self.videos})


def read_folder(root: Path, *, group_pattern: str | None = None) -> VideoFolder:
    """All videos below a folder with their label, recording and given split.

    Args:
        root: The folder.
        group_pattern: Regular expression on the path that names the recording; see
            `match_recordings`.

    Raises:
        ConfigError: If `root` is not a folder, or the pattern is not a regular expression.
        DatasetError: If there are no videos, no classes, or one class only.
    """
    if not root.is_dir():
        reason = "a file" if root.exists() else "it does not exist"
        raise ConfigError(f"VIDEO_DIR must be a folder of videos. Received: {root} ({reason})")
    if not units.is_utf8(str(root.resolve())):
        raise ConfigError(f"VIDEO_DIR must have a path in UTF-8. Received: {root}")
    paths, notes = find_videos(root)
    table = root / TABLE
    if table.is_file():
        videos, ungrouped, more = _from_table(table, paths)
    else:
        videos, more = _from_folders(root, paths)
        ungrouped = len(videos)
    grouping = "videos.csv" if ungrouped < len(videos) else "none"
    if group_pattern is not None:
        videos, ungrouped = _grouped_by(videos, group_pattern)
        grouping = "--group-pattern"
    videos = tuple(sorted(videos, key=lambda video: video.key))
    folder = VideoFolder(root, videos, grouping, ungrouped, tuple(notes + more))
    _check_classes(folder)
    return folder


def find_videos(root: Path) -> tuple[list[str], list[str]]:
    """Relative paths of the videos below a folder, and a note for each kind of ignored files.

    Warns of folders that cannot be listed.
    """
    paths: list[str] = []
    ignored: Counter[str] = Counter()
    visited: set[str] = set()
    unlisted: list[str] = []
    walked = os.walk(root, followlinks=True, onerror=lambda error: unlisted.append(error.filename))
    for folder, subfolders, names in walked:
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder above
            subfolders.clear()
            continue
        visited.add(real)
        ignored["hidden folders"] += sum(name.startswith(".") for name in subfolders)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                ignored["hidden files"] += 1
            elif Path(name).suffix.lower() not in EXTENSIONS:
                ignored["files that are not videos"] += 1
            elif not units.is_utf8(os.path.join(folder, name)):
                ignored["videos whose path is not UTF-8"] += 1
            else:
                paths.append(Path(folder, name).relative_to(root).as_posix())
    if (root / TABLE).is_file():
        ignored["files that are not videos"] -= 1
    if unlisted:
        log.warning(
            f"Ignored, because they cannot be listed: {counted(len(unlisted), 'folder')}, "
            f"e.g. {unlisted[0]}"
        )
    notes = [f"Ignored: {count} {kind}." for kind, count in ignored.items() if count > 0]
    return paths, notes


# -- videos.csv


def read_video_table(table: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a videos.csv, each with its line number; at least one.

    Raises:
        DatasetError: If the file is not such a table.
    """
    try:
        rows = files.read_csv_lines(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"videos.csv must be a table in UTF-8. Received: {table} ({error})"
        ) from error
    if not rows:
        raise DatasetError(
            f"videos.csv must have a row for each video. Received: {table} (no rows)"
        )
    columns = rows[0][1]
    for column in TABLE_COLUMNS[:2]:
        if column not in columns:
            raise DatasetError(
                "videos.csv must have the columns path,label[,split][,group][,start_s,end_s]. "
                f"Received: {','.join(columns)}"
            )
    return rows


def _from_table(table: Path, paths: Sequence[str]) -> tuple[list[Video], int, list[str]]:
    """The videos of a table, the number of videos without a recording, and notes."""
    rows = read_video_table(table)
    # The recording of a part is its file, if the table names no other.
    ungrouped = sum(
        not (row.get("group", "").strip() or row.get("start_s", "").strip()) for _, row in rows
    )
    videos = [row_to_video(row, number, table) for number, row in rows]
    _check_unique(videos, table)
    notes = []
    outside = set(paths) - {video.path for video in videos}
    if outside:
        notes.append(f"Not in videos.csv and left out: {len(outside)} videos, e.g. {min(outside)}.")
    unknown = set(rows[0][1]) - set(TABLE_COLUMNS) - set(JUDGED_COLUMNS)
    if unknown:
        notes.append(f"Columns of videos.csv that are not read: {', '.join(sorted(unknown))}.")
    return videos, ungrouped, notes


def row_to_video(row: dict[str, str], number: int, table: Path) -> Video:
    """The video of a row of a videos.csv.

    Args:
        row: The cells, by column.
        number: The line that the row ends on.
        table: The file.

    Raises:
        DatasetError: If a cell is invalid.
    """

    def invalid(must: str, received: str) -> DatasetError:
        return DatasetError(
            f"{table.name}, line {number}: {must}. Received: {received or 'nothing'}"
        )

    path = row.get("path", "").strip()
    plain = PurePosixPath(path)
    if plain.is_absolute() and plain.is_relative_to(table.parent.absolute().as_posix()):
        plain = plain.relative_to(table.parent.absolute().as_posix())
    if not path or plain.is_absolute() or ".." in plain.parts or "\0" in path:
        raise invalid("path must be of a file below the folder of videos.csv", path)
    label = row["label"].strip() if row.get("label") else ""
    if not label:
        raise invalid("label must not be empty", label)
    split = row.get("split", "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        raise invalid("split must be train, validation or test", split)
    start_s, end_s = (_seconds(row.get(name, ""), name, invalid) for name in ("start_s", "end_s"))
    if (start_s is None) != (end_s is None) or (start_s is not None and not start_s < end_s):
        raise invalid(
            "start_s and end_s must be given together, start first", f"{start_s}, {end_s}"
        )
    group = row.get("group", "").strip() or plain.as_posix()
    split = SPLIT_NAMES.get(split.lower(), "")
    return Video(plain.as_posix(), label, group, split, start_s, end_s)


def _seconds(text: str, name: str, invalid: Callable[[str, str], DatasetError]) -> float | None:
    if not text.strip():
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise invalid(f"{name} must be a number of seconds >= 0", text)
    return seconds


def _check_unique(videos: Sequence[Video], table: Path) -> None:
    counts = Counter(video.key for video in videos)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{table.name} must name each video once. Received: {repeated[0]} "
            f"{counts[repeated[0]]} times ({counted(len(repeated), 'video')} repeated)"
        )


# -- folders


def _from_folders(root: Path, paths: Sequence[str]) -> tuple[list[Video], list[str]]:
    if not paths:
        raise DatasetError(
            f"VIDEO_DIR must hold videos ({' '.join(sorted(EXTENSIONS))}). Received: {root} (none)"
        )
    inside = [path for path in paths if "/" in path]
    if not inside:
        raise DatasetError(
            "Videos must lie in class folders, or in a tree with a videos.csv. Received: "
            f"{root} ({len(paths)} videos without a class folder)"
        )
    tops = sorted({path.split("/")[0] for path in inside})
    splits = [top for top in tops if top.lower() in SPLIT_NAMES]
    if splits and len(splits) < len(tops):
        others = ", ".join(sorted(set(tops) - set(splits)))
        raise DatasetError(
            "The folders must all be splits (train, validation, test) or all be classes. "
            f"Received: {', '.join(splits)} and {others}"
        )
    depth = 1 if splits else 0
    videos = [_video_at(path, depth) for path in inside if path.count("/") > depth]
    notes = []
    if len(videos) < len(paths):
        notes.append(f"Left out, in no class folder: {len(paths) - len(videos)} videos.")
    if not videos:
        raise DatasetError(
            f"Splits must hold class folders. Received: {root} "
            f"({len(paths)} videos outside of them)"
        )
    return videos, notes


def _video_at(path: str, depth: int) -> Video:
    first, *_ = names = path.split("/")
    split = SPLIT_NAMES[first.lower()] if depth else ""
    return Video(path, label=names[depth], group=path, split=split)


def match_recordings(pattern: str, paths: Sequence[str]) -> list[str | None]:
    """The recording that a pattern finds in each path: its first group, or the whole match.

    Raises:
        ConfigError: If it is not a regular expression, or matches no path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"--group-pattern must be a regular expression. Received: {pattern} ({error})"
        ) from error
    matches = [expression.search(path) for path in paths]
    names = [match and match[1 if expression.groups else 0] for match in matches]
    if not any(names):
        raise ConfigError(
            "--group-pattern must match the videos' paths. Received: "
            f"{pattern} (matches none of {len(paths)}, e.g. {paths[0]})"
        )
    return [name or None for name in names]


def _grouped_by(videos: Sequence[Video], pattern: str) -> tuple[list[Video], int]:
    """The videos with the recordings that a pattern finds, and the number without any."""
    names = match_recordings(pattern, [video.path for video in videos])
    pairs = list(zip(videos, names, strict=True))
    ungrouped = sum(
        not name and video.group == video.path and video.start_s is None for video, name in pairs
    )
    grouped = [dataclasses.replace(video, group=name or video.group) for video, name in pairs]
    return grouped, ungrouped


def _check_classes(folder: VideoFolder) -> None:
    if len(folder.labels) < 2:
        raise DatasetError(
            f"There must be two classes or more. Received: {folder.root} "
            f"(one class, {folder.labels[0]}, {len(folder.videos)} videos)"
        )
