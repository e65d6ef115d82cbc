"""The videos that the rows of a videos.csv name."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from violence_detection.datasets.splitting.split_words import split_of_word
from violence_detection.datasets.table_files import table_file
from violence_detection.datasets.table_files.iso_times import iso_time
from violence_detection.datasets.table_files.path_matching import is_absolute, match_paths
from violence_detection.datasets.table_files.table_file import TableFile
from violence_detection.datasets.video_files import FolderFiles
from violence_detection.datasets.videos import Video
from violence_detection.errors import DatasetError, ViolenceDetectionError
from violence_detection.units import counted

_CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)")


@dataclass(frozen=True)
class TableVideos:
    """The videos of a table.

    Attributes:
        videos: In the order of the rows.
        ungrouped: Number of videos whose recording the table does not name.
        notes, warnings: Lines for the user.
    """

    videos: tuple[Video, ...]
    ungrouped: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def videos_of_table(table: TableFile, folder_files: FolderFiles) -> TableVideos:
    """The videos that a table names.

    Args:
        table: The table.
        folder_files: The files below its folder.

    Raises:
        DatasetError: If a cell is invalid, a video is named twice, or none of the videos is there
            and others are.
    """
    paths = [row.get("path", "") for _, row in table.rows]
    matched = match_paths(paths, folder_files.root, (*folder_files.videos, *folder_files.others))
    videos = tuple(
        _video_of_row(row, number, table, matched.paths[row.get("path", "")])
        for number, row in table.rows
    )
    _check_unique(videos, table)
    if folder_files.videos and len(matched.missing) == len(matched.paths):
        raise DatasetError(
            f"{table.path.name} must name videos of its folder. Received: {matched.missing_text}"
        )
    # The recording of a part is its file, if the table names no other.
    ungrouped = sum(
        not (row.get("group", "").strip() or row.get("start_s", "").strip())
        for _, row in table.rows
    )
    notes = [*table.notes]
    # Those without a similar file are absent: they are listed as unreadable.
    warnings = [matched.suggestion and f"In {table.path.name} {matched.missing_text}"]
    notes.append(matched.rewritten_text)
    outside = set(folder_files.videos) - {video.path for video in videos}
    if outside:
        left_out = counted(len(outside), "video")
        notes.append(f"Not in {table.path.name} and left out: {left_out}, e.g. {min(outside)}.")
    notes.append(_unread_columns(table))
    notes.append(meant_columns(table, ("camera", "recorded_at")))
    warnings.append(meant_columns(table, ("split", "group", "start_s", "end_s")))
    warnings.append(unread_times(table))
    return TableVideos(videos, ungrouped, tuple(filter(None, notes)), tuple(filter(None, warnings)))


def _video_of_row(row: Mapping[str, str], number: int, table: TableFile, path: str) -> Video:
    """The video of a row.

    Args:
        row: The cells, by column.
        number: The line that the row ends on.
        table: The table.
        path: The file that its path means.
    """

    def invalid(must: str, received: str) -> DatasetError:
        return DatasetError(
            f"{table.path.name}, line {number}: {must}. Received: {received or 'nothing'}"
        )

    written = row.get("path", "")
    if not path.strip() or is_absolute(path) or ".." in PurePosixPath(path).parts or "\0" in path:
        raise invalid(f"path must be of a file below the folder of {table.path.name}", written)
    label = (row.get("label") or "").strip()
    if not label:
        raise invalid("label must not be empty", label)
    word = (row.get("split") or "").strip()
    split = split_of_word(word)
    if word and not split:
        raise invalid("split must be train, validation or test", word)
    start_s, end_s = (
        seconds_of(row.get(name) or "", name, invalid) for name in ("start_s", "end_s")
    )
    if (start_s is None) != (end_s is None) or (start_s is not None and not start_s < end_s):
        raise invalid(
            "start_s and end_s must be given together, start first", f"{start_s}, {end_s}"
        )
    group = (row.get("group") or "").strip() or path
    camera, recorded_at = camera_and_time(row)
    kind = " ".join((row.get("kind") or "").split())
    return Video(path, label, group, split, start_s, end_s, camera, recorded_at, kind)


def camera_and_time(row: Mapping[str, str]) -> tuple[str, str]:
    """The camera of a row, and when it was recorded, in ISO 8601; each empty if not known.

    Args:
        row: The cells, by column.
    """
    camera = " ".join((row.get("camera") or "").split())
    return camera, iso_time(row.get("recorded_at") or "")


def seconds_of(
    text: str, name: str, invalid: Callable[[str, str], ViolenceDetectionError]
) -> float | None:
    """Seconds of a cell such as `2.5`, `2,5` or `0:01:02.5`; None for an empty one.

    Args:
        text: The cell.
        name: Its column.
        invalid: Makes the error of another text: of what must hold, and the text.
    """
    text = text.strip()
    if not text:
        return None
    try:
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds = clock.groups()
            number = 3600 * int(hours) + 60 * int(minutes) + float(seconds.replace(",", "."))
        else:
            number = float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise invalid(f"{name} must be a number of seconds >= 0", text)
    return number


def _check_unique(videos: Sequence[Video], table: TableFile) -> None:
    counts = Counter(video.key for video in videos)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{table.path.name} must name each video once. Received: {repeated[0]} "
            f"{counts[repeated[0]]} times ({counted(len(repeated), 'video')} repeated)"
        )


def _unread_columns(table: TableFile) -> str:
    read = {*table_file.TABLE_COLUMNS, *table_file.JUDGED_COLUMNS, ""}
    unread = sorted(set(table.columns) - read)
    if not unread:
        return ""
    return f"Columns of {table.path.name} that are not read: {', '.join(unread)}."


def unread_times(table: TableFile) -> str:
    """A warning of times of recording that cannot be read."""
    unread = [
        (number, text)
        for number, row in table.rows
        if (text := (row.get("recorded_at") or "").strip()) and not iso_time(text)
    ]
    if not unread:
        return ""
    return (
        f"In {table.path.name} recorded_at must be a date, or a date and time, in ISO 8601 "
        f"(2024-05-31, 2024-05-31T21:40:00). Not read: {counted(len(unread), 'cell')}, e.g. "
        f"{unread[0][1]!r} in line {unread[0][0]}."
    )


def meant_columns(table: TableFile, names: Sequence[str]) -> str:
    """A line about columns that are not read, and may be meant as one of `names`."""
    meant = {
        column: name
        for column in table.columns
        for name in names
        if name not in table.columns and table_file.may_mean(column, name)
    }
    if not meant:
        return ""
    listed = ", ".join(f"{column} (as {name}?)" for column, name in meant.items())
    line = (
        f"Columns of {table.path.name} that are not read, and may be meant: {listed}; rename them"
    )
    return f"{line} to be read." + (
        " start_s and end_s are in seconds." if "end_s" in names else ""
    )
