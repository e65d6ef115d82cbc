"""The result of an ablation, its JSON and its tables.

Rates are in [0, 1]; an interval is [low, high] at 95% over recordings, or None where it is not
defined.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violence_detection.reports.cross_validation.cross_validation_scores import (
    Estimate,
    ScoreDifference,
)
from violence_detection.units import counted

_NOTHING = "–"


@dataclass(frozen=True)
class VariantScores:
    """The scores of a training on all folds.

    Attributes:
        accuracy, auc: Of the predictions of all folds together.
        recalls: Fraction of the videos of each side that is right: `violent` and `normal`.
        seconds: Seconds of an epoch without validation, the mean over the folds.
        effective: Precision, XLA and number of devices as they took effect, in words.
    """

    accuracy: Estimate
    auc: Estimate
    recalls: Mapping[str, Estimate]
    seconds: float
    effective: str

    def to_json(self) -> dict[str, Any]:
        values = self.accuracy.to_json("accuracy") | self.auc.to_json("auc")
        for name, recall in self.recalls.items():
            values |= recall.to_json(f"recall_{name}")
        return values | {"seconds": self.seconds, "effective": self.effective}


@dataclass(frozen=True)
class AblationRow:
    """A variant of the training.

    Attributes:
        off: What is off, or on instead, in words.
        changed: The settings that differ from the baseline's.
        scores: None while it is not trained, and where it cannot be had.
        difference: Its scores minus those of the baseline; of the cumulative list, minus those of
            the row before.
        note: What the figure does not show.
        missing: Why it cannot be had here; else empty.
    """

    off: str
    changed: Mapping[str, Any]
    scores: VariantScores | None = None
    difference: ScoreDifference | None = None
    note: str = ""
    missing: str = ""

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {"off": self.off, "changed": dict(self.changed)}
        if self.scores:
            values |= self.scores.to_json()
        if self.difference:
            values |= {
                "difference": self.difference.accuracy.value,
                "ci": self.difference.accuracy.ci,
                "auc_difference": self.difference.auc.value,
                "auc_difference_ci": self.difference.auc.ci,
            }
        return values | {"note": self.note, "missing": self.missing}


@dataclass(frozen=True)
class AblationResult:
    """The result of `ablate`.

    Attributes:
        dir: Folder of the study.
        baseline: None while it is not trained.
        rows: The baseline with one option switched.
        cumulative: From all options off to the baseline; empty if it was not asked for.
        folds, repeats: Of each training.
        videos, recordings: How many there are.
        classes: Videos of each class.
        recordings_known: Whether the recording of every video is known.
        thin: The fraction that the normal class was thinned to, as asked for; None for all.
        complete: True if nothing is missing but what cannot be had.
        warnings: A line each.
        table: Path of the table in Markdown.
    """

    dir: str
    baseline: VariantScores | None
    rows: Sequence[AblationRow]
    cumulative: Sequence[AblationRow]
    folds: int
    repeats: int
    videos: int
    recordings: int
    classes: Mapping[str, int]
    recordings_known: bool
    thin: float | None
    complete: bool
    warnings: Sequence[str]
    table: str

    @property
    def missing(self) -> list[AblationRow]:
        """The rows that cannot be had here."""
        return [row for row in self.rows if row.missing]

    def to_json(self) -> dict[str, Any]:
        return {
            "ablation": self.dir,
            "baseline": self.baseline.to_json() if self.baseline else {},
            "rows": [row.to_json() for row in self.rows if not row.missing],
            "cumulative": [row.to_json() for row in self.cumulative],
            "missing": [{"off": row.off, "reason": row.missing} for row in self.missing],
            "folds": self.folds,
            "repeats": self.repeats,
            "videos": self.videos,
            "recordings": self.recordings,
            "classes": dict(self.classes),
            "recordings_known": self.recordings_known,
            **({} if self.thin is None else {"thin": self.thin}),
            "complete": self.complete,
            "warnings": list(self.warnings),
            "table": self.table,
        }


# -- tables

_TITLES = ("off", "accuracy", "difference (95%)", "AUC", "difference (95%)", "recall", "s/epoch")


def cells(result: AblationResult, rows: Sequence[AblationRow]) -> Iterator[list[str]]:
    """The titles and the cells of a table, as text; recall is that of violent and normal videos.

    Args:
        result: Its baseline is the first row of `result.rows`, and none of `result.cumulative`.
        rows: One of its lists.
    """
    yield list(_TITLES)
    if rows is result.rows and result.baseline:
        yield ["none: the baseline", *_score_cells(result.baseline, None)]
    for row in rows:
        if row.missing:
            yield [row.off, "not here", *[""] * (len(_TITLES) - 2)]
        elif row.scores:
            yield [row.off, *_score_cells(row.scores, row.difference)]


def _score_cells(scores: VariantScores, difference: ScoreDifference | None) -> list[str]:
    recalls = " / ".join(_percent(recall.value) for recall in scores.recalls.values())
    return [
        _percent(scores.accuracy.value),
        _points(difference.accuracy, 100, "+.1f") if difference else "",
        _NOTHING if scores.auc.value is None else f"{scores.auc.value:.3f}",
        _points(difference.auc, 1, "+.3f") if difference else "",
        recalls,
        f"{scores.seconds:.2f}",
    ]


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1%}"


def _points(estimate: Estimate, scale: float, form: str) -> str:
    """`-1.2 (-2.5 to +0.4)`."""
    if estimate.value is None:
        return _NOTHING
    text = f"{scale * estimate.value:{form}}"
    if estimate.ci is None:
        return text
    low, high = estimate.ci
    return f"{text} ({scale * low:{form}} to {scale * high:{form}})"


def markdown(result: AblationResult) -> str:
    """Both tables, for a page of documentation."""
    classes = ", ".join(f"{count} {name}" for name, count in result.classes.items())
    text = (
        f"{result.videos} videos ({classes}) of {result.recordings} recordings, {result.folds} "
        f"grouped folds, {counted(result.repeats, 'draw')} of them. Recall: of violent / of normal "
        "videos.\n\n"
    )
    for title, rows in (
        ("One option off", result.rows),
        ("One after the other", result.cumulative),
    ):
        if not rows:
            continue
        lines = list(cells(result, rows))
        text += f"{title}:\n\n| {' | '.join(lines[0])} |\n|{'---|' * len(lines[0])}\n"
        text += "".join(f"| {' | '.join(line)} |\n" for line in lines[1:]) + "\n"
    notes = [
        f"{row.off}: {row.missing or row.note}" for row in result.rows if row.missing or row.note
    ]
    return text + "".join(f"- {note}.\n" for note in notes)
