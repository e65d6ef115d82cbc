"""Console text that several commands share; it imports no NumPy."""

import itertools
import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from violence_detection.metrics.sample_size import FEW_RECORDINGS, FEW_VIDEOS
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.models.run_scores import SplitScores

NONE = "none: videos of one class only"
ROUGH = "few recordings: a rough guess"
LEAK_KINDS = {
    "recordings": "recording",
    "identical": "identical file",
    "near_duplicates": "near-duplicate",
}
_LABEL = 12  # columns of a line's label
_PROGRAM = "violence-detection "
_ROW = re.compile(rf" {{{_LABEL}}}.*\S {{2,}}\S")  # of a table
_LAST_CELL = re.compile(r"(?:(.*\S)  +)?(\s*\S.*)")
_COLOURS = {"warning": "yellow", "caution": "yellow", "problems": "red", "failed": "red"}
_GOOD = ("No problems found.",)


def format_table(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """A line for each value; the values of a nested dict are indented. A list is one line: its
    values, or of each dict the values joined by colons."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", *format_table(value, indent + "  ")]
        elif isinstance(value, list):
            items = [
                ": ".join(map(str, item.values())) if isinstance(item, dict) else str(item)
                for item in value
            ]
            separator = "; " if any(isinstance(item, dict) for item in value) else ", "
            lines.append(f"{indent + name:28s} {separator.join(items)}")
        else:
            lines.append(f"{indent + name:28s} {value}")
    return lines


def format_extraction_plan(plan: dict[str, Any]) -> list[str]:
    """The table of a dry run with feature extraction. The folder of the features has no name before
    the weights are downloaded, because the name holds their digest."""
    if plan.get("features") == "":
        plan = plan | {"features": "not known before the weights are downloaded"}
    return format_table(plan)


def failure_lines(
    failures: Sequence[tuple[str, str]],
    most: int = 20,
    whole: str = "manifest.csv",
    label: str = "failed",
) -> list[str]:
    """The first failures, and the name of the file that lists all.

    Args:
        failures: Path and reason of each.
        most: Number of failures that are shown.
        whole: Name of the file.
        label: First word of each line.
    """
    lines = [f"{label:12s}{path}: {reason}" for path, reason in failures[:most]]
    if len(failures) > most:
        lines.append(f"{label:12s}and {len(failures) - most} more, listed in {whole}")
    return lines


def class_threshold_lines(own: Mapping[str, float]) -> list[str]:
    """A line for each class with a threshold of its own, below that of violence."""
    return [f"            {name} from {value:g} on" for name, value in own.items()]


def threshold_lines(
    threshold: float, reason: str, point: ChosenOperatingPoint | None = None
) -> list[str]:
    """The threshold, how it was chosen, and the rates that it reaches.

    Args:
        threshold: An alarm is raised at or above it.
        reason: The reason for it, in words.
        point: The rates; None for runs of older versions, which do not record them.
    """
    first = f"threshold   {threshold:.3f} ({reason})"
    if point is None:
        return [first]
    if point.interval:
        first = f"{first[:-1]}; 95%: {format_interval(point.interval, '.3f')})"
    labels = {
        "recall": ("recall", "none, no violent videos"),
        "false_positive_rate": ("false positive rate", "none, no normal videos"),
        "balanced_accuracy": ("balanced accuracy", "none, videos of one class only"),
        "f1": ("F1", "none, no violent videos and no alarms"),
    }
    labels = {name: words for name, words in labels.items() if name in point.achieved_ci}
    where = f"on {point.chosen_on}, {counted(point.videos, 'video')} of "
    where += counted(point.recordings, "recording")
    if point.videos < 2 * FEW_VIDEOS:
        return [first, f"            {where}: too few for a rate"]
    if point.recordings < FEW_RECORDINGS:
        where += f" ({ROUGH})"
    rates = []
    for name, (label, undefined) in labels.items():
        interval, form = point.achieved_ci[name], ".3f" if name == "f1" else ".1%"
        text = undefined
        if interval:
            text = format_number(point.achieved[name], interval, form)
        rates.append(f"{label} {text}")
    return [first, f"            {where}: {'; '.join(rates)}"]


def format_fraction(
    part: int,
    whole: int,
    interval: Sequence[float] | None = None,
    *,
    what: str = "",
    none: str = "none",
) -> str:
    """`17 of 18 violent videos, 94.4% (95%: 74.2% to 99.0%)`.

    Args:
        part, whole: Numbers of videos; fewer than ten get no percentage.
        interval: [low, high] at 95%.
        what: The videos that are counted, in words.
        none: The text if there are none.
    """
    if not whole:
        return none
    text = f"{part} of {whole} {what}".rstrip()
    if whole >= FEW_VIDEOS:
        text += f", {part / whole:.1%}"
        if interval:
            text += f" (95%: {format_interval(interval, '.1%')})"
    return text


def format_scores(scores: "SplitScores") -> str:
    """`30 of 35 videos right, 85.7% (95%: 70.6% to 93.7%), AUC 0.970 (95%: 0.912 to 1.000)`; a run
    of an older version has no intervals. A few videos have no AUC, and a few recordings a caveat.
    """
    if scores.videos is None or scores.recordings is None:
        return f"accuracy {scores.accuracy:.1%}, AUC {format_auc(scores.auc)}"
    right = round(scores.accuracy * scores.videos)
    text = format_fraction(right, scores.videos, scores.accuracy_ci, what="videos right")
    if scores.videos < FEW_VIDEOS:
        return f"{text}: so few say nothing yet"
    auc = "none" if scores.auc is None else format_number(scores.auc, scores.auc_ci)
    text += f", AUC {auc}"
    if scores.recordings < FEW_RECORDINGS:
        text += f"; {counted(scores.recordings, 'recording')} are few: a rough guess"
    return text


def format_number(value: float, interval: Sequence[float] | None = None, form: str = ".3f") -> str:
    """`0.901 (95%: 0.801 to 0.998)`. A bootstrap of a perfect score has no width, which would read
    as certainty: it is left out."""
    if interval is None or interval[0] == interval[1]:
        return f"{value:{form}}"
    return f"{value:{form}} (95%: {format_interval(interval, form)})"


def colour_lines(lines: Sequence[str]) -> list[str]:
    """Lines with the labels of warnings and problems in colour, unless `NO_COLOR` is set
    (https://no-color.org). `click.echo` leaves colours out where it does not write to a terminal.
    """
    if os.environ.get("NO_COLOR"):
        return list(lines)
    coloured = []
    for line in lines:
        label = line[:_LABEL].rstrip()
        if label in _COLOURS:
            line = click.style(label, fg=_COLOURS[label], bold=True) + line[len(label) :]
        elif line in _GOOD:
            line = click.style(line, fg="green", bold=True)
        coloured.append(line)
    return coloured


def wrap_lines(lines: Sequence[str], columns: int) -> list[str]:
    """Lines broken between words to a width; what follows stands under the text, not under the
    label. A command of this program is broken as a shell takes it.

    Args:
        lines: Each begins with a label of up to 11 characters and spaces up to column 12, or is a
            sentence, or a row of a table, whose last cell may go below it and is broken there.
        columns: The width, of 40 or more.
    """
    if columns < 40:
        return list(lines)
    wrapped = []
    for line in _fitting_tables(lines, columns):
        label, text = line[:_LABEL], line[_LABEL:]
        indent = len(line) - len(line.lstrip())
        has_label = label.strip() and label.endswith(" ") and not text.startswith(" ")
        is_sentence = not indent and "  " not in line
        if len(line) <= columns:
            wrapped.append(line)
        elif label.startswith("next") and text.startswith(_PROGRAM):
            wrapped += wrap_command(text, columns, label, " " * _LABEL)
        elif is_sentence:
            wrapped += _wrap(line, columns, later="  " if line.startswith("- ") else "")
        elif has_label or indent == _LABEL:
            wrapped += _wrap(text, columns, label, " " * _LABEL)
        elif indent > _LABEL and not _ROW.match(line):
            wrapped += _wrap(line.strip(), columns, " " * indent, " " * indent)
        else:  # of a row, the last cell goes below the others
            cells, last = _LAST_CELL.fullmatch(line).groups()
            below = " " * _LABEL
            wrapped += [cells, *_wrap(last, columns, below, below)] if cells else [line]
    return wrapped


def _wrap(text: str, columns: int, first: str = "", later: str = "") -> list[str]:
    """A text broken at spaces, with these beginnings of lines."""
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fitting_tables(lines: Sequence[str], columns: int) -> Iterator[str]:
    """The lines; a table that is too wide is moved to the left as far as needed."""
    for is_table, block in itertools.groupby(lines, lambda line: bool(_ROW.match(line))):
        rows = list(block)
        excess = max(map(len, rows)) - columns
        moves = is_table and len(rows) > 1 and 0 < excess <= _LABEL
        yield from (row[excess:] for row in rows) if moves else rows


def wrap_command(text: str, columns: int, first: str = "", later: str = "") -> list[str]:
    """A command as lines that a shell takes together: `\\` at the end of all but the last.

    Args:
        text: The command, of quoted words.
        columns: The width, which a longer word exceeds.
        first, later: Beginnings of the first line and of the others.
    """
    lines, words = [first], _units(shlex.split(text), columns - len(f"{later} \\"))
    for number, word in enumerate(words):
        end = " \\" if number < len(words) - 1 else ""
        is_begun = lines[-1] not in (first, later)
        if is_begun and len(f"{lines[-1]} {word}{end}") > columns:
            lines[-1] += " \\"
            lines.append(later)
            is_begun = False
        lines[-1] += f" {word}" if is_begun else word
    return lines


def _units(words: Sequence[str], columns: int) -> list[str]:
    """Quoted words; an option stays with its value, where both fit a line."""
    units: list[str] = []
    for word in map(shlex.quote, words):
        last = units[-1] if units else ""
        is_value = last.startswith("--") and " " not in last and not word.startswith("-")
        if is_value and len(f"{last} {word}") <= columns:
            units[-1] = f"{last} {word}"
        else:
            units.append(word)
    return units


def format_per_hour(value: float) -> str:
    """A rate without an exponent: `0.48`, `12`, `6,640`."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table as lines; the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "            "
        + "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def fit_columns(rows: Sequence[Sequence[str]], left_out: Sequence[int], columns: int) -> list[str]:
    """The table of `align_columns` for a terminal; it loses columns until it fits.

    Args:
        rows: The cells.
        left_out: Numbers of the columns that can be missed, the least needed first.
        columns: The width of the terminal.
    """
    shown = list(range(len(rows[0])))
    for number in (None, *left_out):
        if number is not None:
            shown.remove(number)
        lines = align_columns([[row[number] for number in shown] for row in rows])
        if max(map(len, lines)) - _LABEL <= columns:  # `wrap_lines` moves it to the left
            break
    return lines


def list_names(names: Sequence[str], most: int = 6) -> str:
    """`a, b, c`; of many names the first ones and the number of the others."""
    hidden = len(names) - most
    return ", ".join(names[:most]) + (f" and {hidden} more" if hidden > 0 else "")


def format_interval(interval: Sequence[float] | None, form: str) -> str:
    """`71.0% to 84.0%`; `none` for None."""
    if interval is None:
        return "none"
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def format_auc(value: float | None) -> str:
    """An area under the curve; `none` for videos of one class only."""
    return "none" if value is None else f"{value:.3f}"


def mapping_lines(class_mapping: Mapping[str, str]) -> list[str]:
    """The labels of the videos that the run knows under another name."""
    pairs = [f"{label} is mapped to {name}" for label, name in class_mapping.items()]
    return [f"classes     {', '.join(pairs)}"] if pairs else []


def calibration_text(error: float) -> str:
    """`probabilities are 6 points off on average: of 100 videos given 70%, about 64 to 76 are
    violent`.

    Args:
        error: The expected calibration error, in [0, 1].
    """
    points = round(100 * error)
    if not points:
        return "probabilities are less than half a point off on average"
    low, high = max(70 - points, 0), min(70 + points, 100)
    return (
        f"probabilities are {counted(points, 'point')} off on average: of 100 videos given 70%, "
        f"about {low} to {high} are violent"
    )


def leaks_text(counts: Mapping[str, int], leaks: Sequence[str]) -> str:
    """`2 recordings and 1 near-duplicate, e.g. recording A`.

    Args:
        counts: The number of leaks by kind; see `EvaluationResult.leak_counts`.
        leaks: A line for each leak.
    """
    parts = [counted(counts[name], kind) for name, kind in LEAK_KINDS.items() if counts[name]]
    *before, last = parts
    listed = " and ".join(filter(None, (", ".join(before), last)))
    return f"{listed}, e.g. {leaks[0]}"
