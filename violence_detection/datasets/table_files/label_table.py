"""The labels of a dataset for editing: its videos.csv, and the history of their changes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection.datasets import video_files, video_folder
from violence_detection.datasets.table_files import table_file, video_table
from violence_detection.datasets.table_files.table_file import TableFile
from violence_detection.datasets.videos import Video
from violence_detection.system import files

_HISTORY_COLUMNS = (
    *("path", "start_s", "end_s", "from_label", "from_judged_by", "from_judged_at"),
    *("to_label", "judged_by", "judged_at"),
)


@dataclass(frozen=True)
class LabelRow:
    """A row of videos.csv.

    Attributes:
        cells: By column, as they are in the file.
        video: The video that they name.
    """

    cells: dict[str, str]
    video: Video


@dataclass
class LabelTable:
    """The rows of a dataset's videos.csv; those of class folders for a dataset without one.

    Attributes:
        is_new: Whether the file does not exist yet.
        file: The file as it was read, whose separator is kept; None for a new one.
    """

    path: Path
    columns: list[str]
    rows: list[LabelRow]
    is_new: bool
    file: TableFile | None = None

    @classmethod
    def of_dataset(
        cls, root: Path, recordings: Mapping[str, str], frames_fps: float | None = None
    ) -> Self:
        """The table of a dataset.

        Args:
            root: The folder of the dataset.
            recordings: The recording of each video, by path; used if there is no videos.csv.
            frames_fps: See `video_folder.read_folder`.

        Raises:
            DatasetError: If it cannot be read.
        """
        path = table_file.find_table(root)
        if path:
            table = table_file.read_table(path)
            folder_files = video_files.find_files(root, frames_fps)
            videos = video_table.videos_of_table(table, folder_files).videos
            rows = [
                LabelRow(cells, video) for (_, cells), video in zip(table.rows, videos, strict=True)
            ]
            return cls(path, list(table.columns), rows, is_new=False, file=table)
        rows = []
        for video in video_folder.read_folder(root, frames_fps=frames_fps).videos:
            group = recordings.get(video.path, video.path)
            # Empty for a video that is its own recording: a name would read as a known recording.
            cells = {"group": "" if group == video.path else group, "split": video.split}
            rows.append(LabelRow({"path": video.path, "label": video.label, **cells}, video))
        return cls(root / table_file.TABLE, ["path", "label"], rows, is_new=True)

    def row_of(self, key: str) -> LabelRow | None:
        """The row of a video, or of a part of one, by its key."""
        return next((row for row in self.rows if row.video.key == key), None)

    def rows_of_file(self, path: str) -> list[LabelRow]:
        """The rows of a file and of its parts."""
        return [row for row in self.rows if row.video.path == path]

    def conflicts_of(self, video: Video) -> list[str]:
        """Rows that overlap a part of a file and have another label, as `key (label)`."""
        start, end = video.span_s
        return [
            f"{row.video.key} ({row.video.label})"
            for row in self.rows_of_file(video.path)
            if row.video.key != video.key
            and row.video.label != video.label
            and row.video.span_s[0] < end
            and start < row.video.span_s[1]
        ]

    def write_row(self, row: LabelRow | None, cells: dict[str, str]) -> None:
        """Writes a row to videos.csv, and the change to the history.

        Args:
            row: The row that is replaced; None adds a row.
            cells: The new cells.
        """
        # The history first: a kill in between must not lose the label before.
        self._write_history(row.cells if row else {}, cells)
        if row is None:
            self.rows.append(LabelRow(cells, Video(cells["path"], cells["label"], "")))
        else:
            self.rows[self.rows.index(row)] = dataclasses.replace(row, cells=cells)
        self._write_rows()

    def remove_row(self, row: LabelRow, *, by: str, at: str) -> None:
        """Removes a row from videos.csv, and writes that to the history.

        Args:
            by: Who removes it.
            at: The time, UTC.
        """
        gone = row.cells | {"label": "", "judged_by": by, "judged_at": at}
        self._write_history(row.cells, gone)
        self.rows.remove(row)
        self._write_rows()

    def _write_rows(self) -> None:
        order = (*table_file.TABLE_COLUMNS, *table_file.JUDGED_COLUMNS)
        needed = [name for name in order if any(row.cells.get(name) for row in self.rows)]
        self.columns += [name for name in needed if name not in self.columns]
        cells = [row.cells for row in self.rows]
        if self.file:
            table_file.write_table(self.file, self.columns, cells)
        else:
            files.write_csv(self.path, self.columns, cells)

    def _write_history(self, before: dict[str, str], after: dict[str, str]) -> None:
        path = self.path.with_name(video_files.LABEL_HISTORY)
        rows: list[dict[str, Any]] = []
        if path.is_file():
            rows = list(files.read_own_csv(path, _HISTORY_COLUMNS))
        change = {name: after.get(name, "") for name in ("path", "start_s", "end_s")}
        change |= {
            f"from_{name}": before.get(name, "") for name in ("label", *table_file.JUDGED_COLUMNS)
        }
        change |= {name: after[name] for name in table_file.JUDGED_COLUMNS}
        files.write_csv(path, _HISTORY_COLUMNS, [*rows, change | {"to_label": after["label"]}])
