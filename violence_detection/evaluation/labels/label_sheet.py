"""Writes all labels of a table that a reviewer filled in, such as label_next.csv."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.datasets.table_files import table_file
from violence_detection.datasets.table_files.video_table import seconds_of
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.evaluation.config import LabelConfig
from violence_detection.evaluation.labels.labelling import LabelResult, LabelStage
from violence_detection.system import progress
from violence_detection.units import counted

log = logging.getLogger(__name__)

NEW_LABEL = "new_label"  # the column that the reviewer fills in
_TIMES = ("start_s", "end_s")
_SETTINGS = (*_TIMES, "group", "split")  # columns that are options for a single label


@dataclass(frozen=True)
class LabelSheetResult:
    """The labels of a table that were written, or would be.

    Attributes:
        labels: A result for each row with a label, in the order of the table.
        left_out: Rows without a label.
        dry_run: Whether nothing was written.
    """

    labels: tuple[LabelResult, ...]
    left_out: int
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "labels": [label.to_json() for label in self.labels],
            "left_out": self.left_out,
            "dry_run": self.dry_run,
        }


class LabelSheetStage:
    """Writes the label of each row of a table; if a row is wrong, of none.

    The columns are `path`, `new_label`, and where needed `start_s`, `end_s`, `group` and `split`;
    others are not read. Rows whose `new_label` is empty are left out.
    """

    def __init__(
        self, run_dir: str, table: Path, config: LabelConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_dir: Folder of the run, or of features; it names the dataset and the classes.
            table: The table, as a spreadsheet saves it.
            config: The reviewer, and the settings of every row that has no own.
            force: Whether labels of other reviewers may be replaced.
        """
        self._run_dir, self._table, self._config, self._force = run_dir, table, config, force

    def prepare(self) -> LabelSheetResult:
        """Checks every row; the result of `run`, with `dry_run`.

        Raises:
            ConfigError, DatasetError, VideoError: As `LabelStage.prepare`, with the line of the
                row; or if the table cannot be read, no row has a label, or two rows give a video
                different ones.
        """
        rows = table_file.read_table(self._table, needed=("path", NEW_LABEL)).rows
        self._rows = {line: cells for line, cells in rows if cells.get(NEW_LABEL, "").strip()}
        if not self._rows:
            raise ConfigError(
                f"A row must have a label in the column {NEW_LABEL}. Received: {self._table} "
                f"({len(rows)} without one)"
            )
        with progress.track("Checking", len(self._rows), "videos") as step:
            labels = tuple(self._results(LabelStage.prepare, step))
        self._check_given_once(labels)
        return LabelSheetResult(labels, len(rows) - len(labels), dry_run=True)

    def run(self) -> LabelSheetResult:
        """Writes the labels, after all rows have been checked.

        Raises:
            ConfigError, DatasetError, VideoError: See `prepare`.
        """
        checked = self.prepare()
        with progress.track("Labelling", len(self._rows), "videos") as step:
            labels = tuple(self._results(LabelStage.run, step))
        return LabelSheetResult(labels, checked.left_out, dry_run=False)

    def _check_given_once(self, labels: Sequence[LabelResult]) -> None:
        """Raises an error if two rows give a video different labels: the last would replace the
        others without a word."""
        first: dict[tuple[str, str], tuple[int, str]] = {}
        for (line, cells), result in zip(self._rows.items(), labels, strict=True):
            # Two files of one name get different names only when they are copied.
            video = (result.video, cells["path"] if result.copied else "")
            line_before, label = first.setdefault(video, (line, result.label))
            if label != result.label:
                raise ConfigError(
                    f"{self._table.name}, line {line}: a video must have one label. Received: "
                    f"{result.video} ({result.label}, and {label} on line {line_before})"
                )

    def _results(
        self, method: Callable[[LabelStage], LabelResult], step: progress.Steps
    ) -> Iterator[LabelResult]:
        """The result of a method of `LabelStage` for each row."""
        for number, (line, cells) in enumerate(self._rows.items()):
            given: dict[str, Any] = {
                name: cells[name].strip() for name in _SETTINGS if cells.get(name, "").strip()
            }
            try:
                times = {
                    name: seconds_of(given[name], name, _invalid)
                    for name in given
                    if name in _TIMES
                }
                config = self._config.with_settings(table=None, **given | times)
                stage = LabelStage(
                    self._run_dir,
                    cells["path"],
                    cells[NEW_LABEL].strip(),
                    config,
                    force=self._force,
                )
                yield method(stage)
            except ViolenceDetectionError as error:
                text = f"{self._table.name}, line {line}: {error}"
                if method is LabelStage.run and number:  # the dataset has changed meanwhile
                    text += f" ({counted(number, 'label')} above it were written)"
                raise type(error)(text) from error
            step()


def _invalid(must: str, received: str) -> ConfigError:
    return ConfigError(f"{must}. Received: {received}")
