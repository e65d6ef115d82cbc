"""A table of runs, cross-validations and studies: records, console text and HTML page."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from violence_detection.reports import console, html
from violence_detection.system import files
from violence_detection.units import counted

_GAP = 2  # columns between cells
_FEWEST = 8  # characters of a text that is cut
_MOST_NAME, _MOST_CELL = 32, 24  # characters
_KEPT_NEED = 6  # a column of this need or more is never left out
_CUT_RATHER = 6  # characters that a text loses rather than that a column is left out
_DIGITS = re.compile(r"-[0-9a-f]{8}$")  # of the folder's path, in the name of a dataset


@dataclass(frozen=True)
class RunRow:
    """A run, a cross-validation or a study.

    Attributes:
        name: Its folder, relative to that of the table.
        kind: `run`, `cross-validation`, `search`, `datasets`, `learning curve`, `ablation` or
            `federation`.
        date: When its results were written, or else its record; ISO 8601, local time.
        state: `finished`, or `unfinished`: in progress or interrupted.
        dataset, backbone, stream, head: What was trained on and how; empty where it is not known.
        scored_on: `validation`, `folds` or `other datasets`; empty without a score.
        accuracy, auc: In [0, 1]; None where there is no score.
        accuracy_ci, auc_ci: [low, high] at 95%.
        threshold: Of a run.
        epochs: That were run.
        warnings: A line each.
    """

    name: str
    kind: str
    date: str
    state: str
    dataset: str = ""
    backbone: str = ""
    stream: str = ""
    head: str = ""
    scored_on: str = ""
    accuracy: float | None = None
    accuracy_ci: Sequence[float] | None = None
    auc: float | None = None
    auc_ci: Sequence[float] | None = None
    threshold: float | None = None
    epochs: int | None = None
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def short_dataset(self) -> str:
        """The name of the dataset without the digits of its folder's path."""
        return _DIGITS.sub("", self.dataset)

    def to_json(self) -> dict[str, Any]:
        """The values that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None} | {
            "auc": self.auc,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class RunTable:
    """The runs and studies below a folder.

    Attributes:
        folder: Its path.
        rows: In the order of the table.
        unreadable: Path and reason of each folder that looks like one and cannot be read.
        html: Path of the page; empty if none was asked for.
    """

    folder: str
    rows: Sequence[RunRow]
    unreadable: Sequence[tuple[str, str]]
    html: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "runs": [row.to_json() for row in self.rows],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "html": self.html,
        }


def sort_rows(rows: Sequence[RunRow], by: str) -> list[RunRow]:
    """The rows by `auc`, `accuracy`, `date` or `name`: the best, the newest or the first name on
    top, and those without a value last."""
    by_name = sorted(rows, key=lambda row: row.name)
    if by == "name":
        return by_name
    if by == "date":
        return sorted(by_name, key=lambda row: row.date, reverse=True)

    def key(row: RunRow) -> float:
        value = getattr(row, by)
        return -1.0 if value is None else value

    return sorted(by_name, key=key, reverse=True)


# -- console


@dataclass(frozen=True)
class _Column:
    """A column of the console's table; a higher `need` stays longer where it is narrow."""

    title: str
    need: int
    text: Callable[[RunRow], str]
    is_number: bool = False


def _score(row: RunRow) -> str:
    return console.format_auc(row.auc) if row.auc is not None else ""


def _threshold(row: RunRow) -> str:
    return "" if row.threshold is None else f"{row.threshold:.2f}"


def _accuracy(row: RunRow) -> str:
    return "" if row.accuracy is None else f"{row.accuracy:.1%}"


_COLUMNS = (
    _Column("name", 9, lambda row: row.name),
    _Column("kind", 4, lambda row: row.kind if row.state == "finished" else f"{row.kind} …"),
    _Column("date", 5, lambda row: row.date[:10]),
    _Column("dataset", 3, lambda row: row.short_dataset),
    _Column("stream", 2, lambda row: row.stream),
    _Column("head", 1, lambda row: row.head),
    _Column("accuracy", 0, _accuracy, is_number=True),
    _Column("AUC", 8, _score, is_number=True),
    _Column("95%", 7, lambda row: _span(row.auc_ci)),
    _Column("thr.", 6, _threshold, is_number=True),
    _Column("!", 6, lambda row: str(len(row.warnings) or ""), is_number=True),
)


def _span(interval: Sequence[float] | None) -> str:
    return f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else ""


def table_lines(rows: Sequence[RunRow], width: int) -> list[str]:
    """The table as lines of at most `width` characters, from 40 on.

    Columns that do not fit are left out, the least needed first; a name that is too long is cut
    in the middle.

    Args:
        rows: At least one.
        width: Characters.
    """
    columns = [column for column in _COLUMNS if any(map(column.text, rows))]
    while True:
        widths = [
            min(
                max(len(column.title), *(len(column.text(row)) for row in rows)),
                _MOST_NAME if column.title == "name" else _MOST_CELL,
            )
            for column in columns
        ]
        excess = sum(widths) + _GAP * (len(columns) - 1) - width
        if excess <= 0 or len(columns) == 1:
            break
        widest = max(range(len(columns)), key=lambda number: widths[number])
        if excess <= _CUT_RATHER and widths[widest] - excess >= _FEWEST:
            widths[widest] -= excess
            break
        least = min(columns, key=lambda column: column.need)
        if least.need >= _KEPT_NEED:  # the name gives way
            widths[0] = max(_FEWEST, widths[0] - excess)
            break
        columns.remove(least)
    cells = [[column.title for column in columns]]
    cells += [[column.text(row) for column in columns] for row in rows]
    return [
        (" " * _GAP)
        .join(
            _cut(text, size).rjust(size) if column.is_number else _cut(text, size).ljust(size)
            for text, size, column in zip(line, widths, columns, strict=True)
        )
        .rstrip()
        for line in cells
    ]


def _cut(text: str, size: int) -> str:
    """`long_na…e_of_run`: the end often tells names apart."""
    if len(text) <= size:
        return text
    tail = (size - 1) // 2
    return text[: size - 1 - tail] + "…" + text[len(text) - tail :]


# -- page


def write_page(path: Path, table: RunTable) -> None:
    """Writes a page that needs no network, no script and no other file.

    Raises:
        ViolenceDetectionError: If it cannot be written.
    """
    page = html.render_template(
        "run_table.html.j2",
        title="Violence detection: runs",
        table=table,
        count=counted(len(table.rows), "row"),
    )
    files.write_text(path, page)
