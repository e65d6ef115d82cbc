"""The HTML report of a cross-validation: found, missed and flagged videos first, then folds,
baselines, mistakes, and random folds where they were asked for."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from violence_detection import units
from violence_detection.datasets.class_names import UNUSUAL, is_one_class
from violence_detection.datasets.config import BY_CAMERA, BY_TIME, ONE_RECORDING
from violence_detection.reports import html
from violence_detection.reports.class_scores import (
    KIND_TITLES,
    MANY_CLASSES,
    anecdote_sentences,
)
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
    FoldRow,
    PooledResult,
    ProtocolResult,
)
from violence_detection.reports.cross_validation.cross_validation_scores import (
    Estimate,
    ScoreDifference,
)
from violence_detection.reports.evaluation import evaluation_tables
from violence_detection.reports.evaluation.evaluation_result import ErrorRow
from violence_detection.reports.evaluation.evaluation_tables import BASELINES
from violence_detection.reports.evaluation.findings import FEW_RECORDINGS, Finding, overall_verdict
from violence_detection.reports.evaluation.mistakes import ONE_CLASS_SCORE, SCORE, MistakeSheet
from violence_detection.system import files
from violence_detection.units import counted

_WORST_FOLDS = 3  # whose recordings are listed
_MAX_ERRORS = 12  # recordings with errors that are listed
_WIDE = 0.2  # an interval of accuracy, or a range over folds, that is wide
_MEANINGS = {**BASELINES, "majority": "always the larger class of all folds together"}
_CAPTIONS = {
    "roc": "ROC curve: fraction of violent videos found against fraction of normal videos flagged, "
    "for every threshold.",
    "precision_recall": "Precision-recall curve: fraction of alarms that are right against "
    "fraction of violent videos found.",
    "reliability": "Reliability: fraction of violent videos among videos of similar probability.",
    "confusion": "Confusion matrix: actual classes (rows) and predicted classes (columns), each "
    "fold at its own threshold.",
}


@dataclass(frozen=True)
class VideoDiagnostics:
    """Errors of single videos for the report, from the predictions of the first repeat.

    Attributes:
        mistakes: The most confident misses and false alarms.
        thresholds: The threshold of the fold that held a video out, by the video's path.
        errors_by_recording: The most errors first.
        figures: PNG files by name, in the order of the page.
        errors_by: By further conditions; see `error_analysis.errors_by_condition`.
        errors_left_out: A line for what these lack, with the reason.
    """

    mistakes: MistakeSheet
    thresholds: Mapping[str, float]
    errors_by_recording: Sequence[ErrorRow]
    figures: Mapping[str, Path]
    errors_by: Mapping[str, Sequence[ErrorRow]] = field(default_factory=dict)
    errors_left_out: Sequence[str] = ()


def write_report(
    path: Path,
    result: CrossValidationResult,
    *,
    diagnostics: VideoDiagnostics,
    settings: Mapping[str, Any],
) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: A finished cross-validation.
        diagnostics: The mistakes, errors and figures of the first protocol.
        settings: Settings and versions, nested; each dict in it becomes a table.

    Raises:
        ConfigError: If a figure cannot be read.
        ViolenceDetectionError: If the page cannot be written.
    """
    first, *others = result.protocols
    findings = list(_findings(result))
    with_errors = [row for row in diagnostics.errors_by_recording if row.errors]
    page = html.render_template(
        "cross_validation_report.html.j2",
        title=f"Violence detection: cross-validation {path.parent.name}",
        name=path.parent.name,
        result=result,
        grouped=first.grouped,
        model=first.pooled.model,
        scores=list(_scores(first.pooled)),
        findings=findings,
        verdict=overall_verdict(findings),
        random=[_random_text(protocol.pooled) for protocol in others],
        protocols=[
            _protocol(protocol, result.folds_of(protocol), result.kind_of_folds)
            for protocol in result.protocols
        ],
        worst_folds=_worst_folds(result.folds_of(first)),
        class_report=first.class_report,
        confusion_kinds=KIND_TITLES,
        anecdotes=anecdote_sentences(first.class_report.anecdotes) if first.class_report else [],
        mistakes=diagnostics.mistakes,
        command=lambda row: row.label_command(
            units.shown_path(result.features, is_kept=True),
            "" if row.predicted == UNUSUAL else None,
        ),
        score_name=ONE_CLASS_SCORE if is_one_class(result.classes) else SCORE,
        distance=lambda row: _distance(row.probability, diagnostics.thresholds[row.path]),
        errors=with_errors[:_MAX_ERRORS],
        more_errors=max(0, len(with_errors) - _MAX_ERRORS),
        without_errors=len(diagnostics.errors_by_recording) - len(with_errors),
        breakdowns=evaluation_tables.breakdowns(diagnostics.errors_by),
        errors_left_out=diagnostics.errors_left_out,
        figures=[
            {
                "caption": _CAPTIONS[name],
                "source": html.embed_png(figure),
                "is_wide": name == "confusion" and len(result.classes) > MANY_CLASSES,
            }
            for name, figure in diagnostics.figures.items()
        ],
        tables=html.settings_tables(settings),
    )
    files.write_text(path, page)


# -- the summary


@dataclass(frozen=True)
class _Score:
    """A row of the summary, and a tile if it has a lead."""

    name: str
    meaning: str
    estimate: Estimate
    lead: str = ""
    kind: str = ""


def _scores(pooled: PooledResult) -> Iterator[_Score]:
    model = pooled.model
    recall = model.recall
    missed = Estimate(
        None if recall.value is None else 1 - recall.value,
        recall.ci and [1 - end for end in reversed(recall.ci)],
    )
    yield _Score(
        "Found",
        "recall: fraction of the violent videos with an alarm",
        recall,
        "Of 100 violent videos it finds",
        "finds",
    )
    yield _Score(
        "Missed",
        "fraction of the violent videos without an alarm",
        missed,
        "Of 100 violent videos it misses",
        "misses",
    )
    yield _Score(
        "False alarms",
        "false positive rate: fraction of the normal videos with an alarm",
        model.false_positive_rate,
        "Of 100 normal videos it flags",
        "alarms",
    )
    yield _Score("Accuracy", "fraction of right predictions", model.accuracy)
    area = "fraction of pairs in which the violent video has the higher probability"
    yield _Score("AUC", area, model.auc)


def _random_text(pooled: PooledResult) -> str:
    """The accuracy on random folds beside that on grouped folds, in a sentence."""
    difference, accuracy = pooled.over_grouped.accuracy, pooled.model.accuracy.value
    points = _points(difference)
    if difference.sign > 0:
        return (
            f"With random folds it would seem right for {html.of_100(accuracy)} of 100 videos: "
            f"too good, by {points}, because clips of one recording are in training and test folds."
        )
    return (
        f"With random folds it is right for {html.of_100(accuracy)} of 100 videos: no clear "
        f"difference to the grouped folds, {points}."
    )


def _points(difference: Estimate) -> str:
    """`+7.3 points (95%: +2.0 to +12.1)`."""
    low, high = difference.ci
    return f"{100 * difference.value:+.1f} points (95%: {100 * low:+.1f} to {100 * high:+.1f})"


# -- findings


def _findings(result: CrossValidationResult) -> Iterator[Finding]:
    first, *others = result.protocols
    pooled = first.pooled
    yield _finding_on_size(result)
    if pooled.over_linear:
        yield _finding_on_linear(pooled.over_linear)
    low, high = pooled.model.accuracy.ci
    wide = high - low > _WIDE
    yield Finding(
        "care" if wide else "good",
        f"On other videos of such recordings, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)} right predictions of 100"
        f"{', which is a wide range' if wide else ''}.",
    )
    if first.grouped and result.recordings_known and result.by != ONE_RECORDING:
        yield _finding_on_spread(result.folds_of(first), by=result.by)
    if pooled.clean:
        yield Finding("good", "In every fold, no recording was used in training and in the test.")
    elif first.grouped and result.recordings_known:
        yield Finding("bad", "Some videos are in two folds. The numbers are too good.")
    for line in pooled.warnings:
        yield Finding("care" if first.grouped else "bad", line)
    for protocol in others:
        for line in protocol.pooled.warnings:
            yield Finding("note", f"Random folds: {line}")


def _finding_on_size(result: CrossValidationResult) -> Finding:
    recordings = counted(result.recordings, "recording")
    if not result.recordings_known:
        recordings = "recordings that are not all known"
    few = result.recordings_known and result.recordings < FEW_RECORDINGS
    return Finding(
        "care" if few else "good",
        f"Tested on {counted(result.videos, 'video')} from {recordings}."
        + (" That is few: every number here is a rough guess." if few else ""),
    )


def _finding_on_linear(difference: ScoreDifference) -> Finding:
    """The comparison with logistic regression, which does not know the order of the frames."""
    points = _points(difference.accuracy)
    if difference.accuracy.sign > 0:
        return Finding("good", f"Its accuracy is above that of the linear baseline by {points}.")
    if difference.accuracy.sign < 0:
        return Finding(
            "care", f"The linear baseline is better: the difference in accuracy is {points}."
        )
    return Finding(
        "care",
        f"There is no clear difference to the linear baseline: its accuracy differs by {points}. A "
        "simple classifier on the same features does as well.",
    )


def _finding_on_spread(rows: Sequence[FoldRow], *, by: str) -> Finding:
    """The range over folds, each of which has recordings that its model has never seen. It is no
    forecast: a fold has several recordings, whose mean varies less than that of a single one."""
    accuracies = [row.model.accuracy for row in rows]
    low, high = min(accuracies), max(accuracies)
    wide = high - low > _WIDE
    kind = "cameras" if by == BY_CAMERA else "recordings"
    unseen = {BY_TIME: "a later time", BY_CAMERA: "a single new camera"}.get(by, "a new camera")
    return Finding(
        "care" if wide else "note",
        f"In the worst fold {html.of_100(low)} of 100 predictions were right, in the best "
        f"{html.of_100(high)}. Each fold has several {kind} that are new to its model; results on "
        f"{unseen} may lie outside this range.",
    )


# -- the tables


def _protocol(
    protocol: ProtocolResult, rows: Sequence[FoldRow], kind_of_folds: str
) -> dict[str, Any]:
    return {
        "title": kind_of_folds.capitalize() if protocol.grouped else "Random folds",
        "note": protocol.note[0].upper() + protocol.note[1:],
        "rows": [
            {
                "name": name,
                "meaning": _MEANINGS.get(name, ""),
                "accuracy": scores.accuracy.value,
                "accuracy_ci": scores.accuracy.ci,
                "auc": scores.auc.value,
                "auc_ci": scores.auc.ci,
            }
            for name, scores in protocol.pooled.scores.items()
        ],
        "folds": rows,
        "accuracy": protocol.model.accuracy,
        "auc": protocol.model.auc,
    }


def _worst_folds(rows: Sequence[FoldRow]) -> list[FoldRow]:
    """The folds with the lowest accuracy; at most half of them."""
    return sorted(rows, key=lambda row: row.model.accuracy)[: min(_WORST_FOLDS, len(rows) // 2)]


def _distance(probability: float, threshold: float) -> str:
    side = "above" if probability >= threshold else "below"
    return f"{abs(probability - threshold):.2f} {side} the threshold of its fold"
