"""The HTML report of an evaluation: a summary in plain words first, then every metric."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.metrics.intervals import wilson_interval
from violence_detection.reports import html
from violence_detection.reports.evaluation_result import EvaluationResult
from violence_detection.reports.findings import evaluation_findings, overall_verdict, video_counts
from violence_detection.system import files

_MOST_RECORDINGS = 12  # with errors, that are listed
_CAPTIONS = {
    "roc": "ROC curve: fraction of violent videos found against fraction of normal videos flagged, "
    "for every threshold.",
    "precision_recall": "Precision-recall curve: fraction of alarms that are right against "
    "fraction of violent videos found.",
    "confusion": "Confusion matrix: actual classes (rows) and predicted classes (columns).",
    "score_histogram": "Probability of violence of the normal and the violent videos.",
    "reliability": "Reliability: fraction of violent videos among videos of similar probability.",
    "history": "Loss and validation scores of each training epoch.",
}
BASELINES = {
    "model": "at its own threshold",
    "linear": "logistic regression on the same features, without their order in time",
    "metadata": "the file alone: bytes, length, frames/s, frame size",
    "mean_picture": "the background alone: the mean image at 16 x 16 pixels",
    "motion_energy": "the amount of motion alone",
    "majority": "always the commonest class",
}
_BREAKDOWNS = {
    "recording": "Recording",
    "resolution": "Shorter side of the frame",
    "brightness": "Brightness (mean grey level, 0 to 255)",
    "duration": "Duration",
}
_CONDITION_KEYS = {"name", "accuracy", "accuracy_ci", "auc"}


@dataclass(frozen=True)
class Measure:
    """A row of the table of metrics; `interval` is [low, high] or None."""

    name: str
    value: float | None
    interval: Sequence[float] | None
    interval_kind: str
    meaning: str


def write_report(
    path: Path,
    result: EvaluationResult,
    *,
    figures: Mapping[str, Path],
    mistakes: Mapping[str, Any],
    settings: Mapping[str, Any],
    robustness: Mapping[str, Any] | None = None,
) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: Of the evaluation.
        figures: PNG files by name, in the order of the page.
        mistakes: The worst mistakes; see `contact_sheet.build_contact_sheet`.
        settings: Settings and versions of the training, nested; each dict in it becomes a table.
        robustness: See `read_robustness`.

    Raises:
        ConfigError: If a figure cannot be read.
        ViolenceDetectionError: If the page cannot be written.
    """
    findings = list(evaluation_findings(result))
    page = html.render_template(
        "report.html.j2",
        title=f"Violence detection: {result.split} report",
        metrics=result,
        counts=video_counts(result),
        footage=result.normal_footage,
        findings=findings,
        verdict=overall_verdict(findings),
        worst=mistakes,
        baselines=_baseline_rows(result),
        point=result.operating_point,
        measures=list(_measures(result)),
        classes=list(_class_rows(result)),
        figures=[
            {
                "caption": _CAPTIONS.get(name, name.replace("_", " ").capitalize()),
                "source": html.embed_png(figure),
            }
            for name, figure in figures.items()
        ],
        breakdowns=_breakdowns(result.errors_by),
        robustness=robustness,
        tables=html.settings_tables(settings),
    )
    files.write_text(path, page)


def read_robustness(folder: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """Reads robustness.json of an evaluation, if it is of the same model and videos.

    Args:
        folder: Of the evaluation.
        identity: Digests of the model and the videos.

    Returns:
        `clean` and `conditions`, each with name, accuracy, accuracy_ci and auc, and
        `mean_accuracy`; None if the file is missing, incomplete, or of something else.
    """
    try:
        study = json.loads((folder / "robustness.json").read_text(encoding="utf-8"))
        rows = [study["clean"], *study["conditions"]]
        complete = all(row.keys() >= _CONDITION_KEYS for row in rows[1:])
        same = all(study.get(name, value) == value for name, value in identity.items())
        study["mean_accuracy"] = float(study["mean_accuracy"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return study if complete and same else None


def _baseline_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    """A row for the model and for each baseline; empty without baselines."""
    if not result.baselines:
        return []
    names = ("accuracy", "accuracy_ci", "auc", "auc_ci")
    model = {name: getattr(result, name) for name in names}
    return [
        {"name": name, "meaning": BASELINES.get(name, ""), **scores}
        for name, scores in {"model": model, **result.baselines}.items()
    ]


def _breakdowns(errors_by: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict]:
    """Tables of errors; of the recordings only the worst, and only those with errors."""
    tables = []
    for name, title in _BREAKDOWNS.items():
        rows, rest = errors_by.get(name, []), ""
        if name == "recording":
            shown = [row for row in rows if row["errors"]][:_MOST_RECORDINGS]
            without = sum(not row["errors"] for row in rows)
            hidden = len(rows) - without - len(shown)
            rest = f"{without} of {len(rows)} recordings have no error"
            rest += f"; {hidden} more have errors: see metrics.json." if hidden else "."
            rows = shown
        if rows or rest:
            tables.append({"title": title, "rows": rows, "rest": rest})
    return tables


def _measures(result: EvaluationResult) -> Iterator[Measure]:
    counts = video_counts(result)
    bootstrap, wilson = "recordings", "Wilson"

    def row(name: str, key: str, meaning: str, interval=None, kind="") -> Measure:
        value = None if key in result.undefined else getattr(result, key)
        return Measure(name, value, interval, kind, meaning)

    right = "fraction of right predictions"
    yield row("Accuracy", "accuracy", right, result.accuracy_ci, bootstrap)
    yield row("Accuracy", "accuracy", right, result.accuracy_ci_wilson, wilson)
    commonest = "always predicting the commonest class"
    yield row("Baseline accuracy", "baseline_accuracy", commonest)
    yield row("Balanced accuracy", "balanced_accuracy", "mean recall of the classes")
    area = "fraction of pairs in which the violent video has the higher probability"
    yield row("ROC AUC", "auc", area, result.auc_ci, bootstrap)
    yield row("ROC AUC", "auc", area, result.auc_ci_delong, "DeLong")
    yield row("Average precision", "average_precision", "area under the precision-recall curve")
    gap = "expected gap between probability and fraction of violent videos"
    yield row("Calibration error", "calibration_error", gap)
    yield row("Precision", "precision", "fraction of alarms that are right")
    found = _wilson(counts["found"], counts["violent"])
    yield row("Recall", "recall", "fraction of violent videos found", found, wilson)
    yield row("F1", "f1", "harmonic mean of precision and recall")
    flagged = _wilson(counts["flagged"], counts["normal"])
    normal = "fraction of normal videos flagged"
    yield row("False-alarm rate", "false_alarm_rate", normal, flagged, wilson)


def _class_rows(result: EvaluationResult) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(result.classes):
        counts = result.confusion[index]
        yield {
            "name": name,
            "index": index,
            "counts": counts,
            "videos": sum(counts),
            "recall": result.recall_per_class[name] if sum(counts) else None,
            "interval": _wilson(counts[index], sum(counts)),
        }


def _wilson(correct: int, total: int) -> list[float] | None:
    """None for no videos: [0, 0] would read as certainty."""
    return wilson_interval(correct, total) if total else None
