"""The rows of an import: paths relative to one folder, which are names of arrays."""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from violence_detection import units
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, VideoError
from violence_detection.features.exchange.imported_file import ImportedFile
from violence_detection.features.extraction.video_worker import check_array_name
from violence_detection.units import counted

_VIEW_NAME = re.compile(r"\.view\d+$")


def relative_rows(first: Path, opened: Sequence[ImportedFile]) -> tuple[Path, list[ManifestEntry]]:
    """The folder of the videos and the rows of all files, their paths relative to it.

    Where paths are not absolute, the first file stands for the folder, so that no video is looked
    for where another could lie.
    """
    rows = [row for file in opened for row in file.rows]
    if opened[0].record:
        return Path(opened[0].record.dataset.dir), rows
    paths = [PurePosixPath(row.path) for row in rows]
    if not all(path.is_absolute() for path in paths):
        return first, rows
    folder = os.path.commonpath([path.parent for path in paths])
    return Path(folder), [
        dataclasses.replace(row, path=path.relative_to(folder).as_posix())
        for row, path in zip(rows, paths, strict=True)
    ]


def check_names(rows: Sequence[ManifestEntry]) -> None:
    """Arrays are named after the paths, below the cache's folder and nowhere else."""
    for row in rows:
        plain = PurePosixPath(row.path)
        sound = row.path and "\0" not in row.path and units.is_utf8(row.path)
        sound = sound and not plain.is_absolute() and ".." not in plain.parts
        if (
            not sound
            or not plain.name
            or plain.as_posix() != row.path
            or _VIEW_NAME.search(row.path)
        ):
            raise CacheError(
                "Paths must be relative, without `..` and without `.viewN` at the end. Received: "
                f"{row.path!r}"
            )
        try:
            check_array_name(row.path, 0)
        except VideoError as error:
            raise CacheError(
                f"A path must be usable as a name. Received: {row.path} ({error})"
            ) from error
    twice = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
    if twice:
        raise CacheError(
            f"Each clip must have a path of its own. Received: {twice[0]} more than once "
            f"({counted(len(twice), 'such path')})"
        )
