"""Rows of the tables of an evaluation's report.

`evaluation_report` hands them to `templates/report.html.j2`, whose `nav` has a link to each table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import FEW_VIDEOS, widest_interval
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.reports import html
from violence_detection.reports.evaluation.evaluation_result import ErrorRow, EvaluationResult

_MAX_RECORDINGS = 12  # with errors, that are listed
BASELINES = {
    "model": "at its own threshold",
    "linear": "logistic regression on the same features, without their order in time",
    "knn": "the 5 nearest training videos, by the same statistics",
    "metadata": "the file alone: bytes, length, frames/s, frame size",
    "mean_picture": "the background alone: the mean image at 16 x 16 pixels",
    "motion_energy": "the amount of motion alone",
    "majority": "always the larger class of the training videos",
}
_BREAKDOWNS = {
    "recording": "Recording",
    "kind": "Kind, as videos.csv or the folder names it",
    "camera": "Camera",
    "hour": "Hour of day, on the camera's clock",
    "motion": "Amount of motion: mean change of the image, in thirds of the videos",
    "resolution": "Resolution: shorter side of the frame",
    "brightness": "Brightness (mean grey level, 0 to 255)",
    "duration": "Duration",
}
_UNDEFINED = {
    "recall": "none: no violent videos",
    "false_positive_rate": "none: no normal videos",
    "precision": "none: no alarms",
    "f1": "none: no violent videos and no alarms",
    "balanced_accuracy": "none: videos of one class only",
}


@dataclass(frozen=True)
class Measure:
    """A row of the table of metrics; `interval` is [low, high] or None, and `undefined` the text
    where there is no value."""

    name: str
    value: float | None
    interval: Sequence[float] | None
    interval_kind: str
    meaning: str
    undefined: str = "none"


def baseline_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    """A row for the model and for each baseline; empty without baselines."""
    if not result.baselines:
        return []
    return [
        {
            "name": name,
            "meaning": BASELINES.get(name, ""),
            "count": _few(scores.accuracy, result.videos),
            "accuracy": scores.accuracy,
            # The same as in the terminal: no mistake is not certainty.
            "accuracy_ci": widest_interval(
                scores.accuracy_ci,
                wilson_interval(round(scores.accuracy * result.videos), result.videos),
            ),
            "auc": scores.auc,
            "auc_ci": scores.auc_ci,
        }
        for name, scores in {"model": result, **result.baselines}.items()
    ]


def _few(rate: float, videos: int) -> str:
    """`1 of 2` for fewer than ten videos; else empty."""
    return f"{round(rate * videos)} of {videos}" if videos < FEW_VIDEOS else ""


def achieved_rows(point: ChosenOperatingPoint | None) -> Iterator[dict[str, Any]]:
    """The rates of the chosen threshold; none for fewer than 20 videos. A rate without an interval
    has no videos to count."""
    if point is None or point.videos < 2 * FEW_VIDEOS:
        return
    for name, value in point.achieved.items():
        interval = point.achieved_ci.get(name)
        known = interval is not None or name not in _UNDEFINED
        yield {
            "name": name.replace("_", " "),
            "value": html.format_number(value) if known else _UNDEFINED[name],
            "interval": interval,
        }


def breakdowns(errors_by: Mapping[str, Sequence[ErrorRow]]) -> list[dict[str, Any]]:
    """Tables of errors; of the recordings only the worst, and only those with errors."""
    tables = []
    for name, title in _BREAKDOWNS.items():
        rows, rest = errors_by.get(name, []), ""
        if name == "recording" and rows:
            shown = [row for row in rows if row.errors][:_MAX_RECORDINGS]
            without = sum(not row.errors for row in rows)
            hidden = len(rows) - without - len(shown)
            rest = f"{without} of {len(rows)} recordings have no error"
            rest += f"; {hidden} more have errors: see metrics.json." if hidden else "."
            rows = shown
        if rows or rest:
            kind = "Recording" if name == "recording" else ""
            tables.append({"title": title, "kind": kind, "rows": rows, "rest": rest})
    return tables


def measures(result: EvaluationResult) -> Iterator[Measure]:
    counts, rates_ci = result.counts, result.rates_ci
    bootstrap, wilson = "recordings", "Wilson"
    no_violent, no_normal = "none: no violent videos", "none: no normal videos"
    one_class = "none: videos of one class only"

    def row(
        name: str, key: str, meaning: str, interval=None, kind="", undefined: str = one_class
    ) -> Measure:
        value = None if key in result.undefined else getattr(result, key)
        if interval and interval[0] == interval[1]:
            interval = None
        return Measure(name, value, None if value is None else interval, kind, meaning, undefined)

    right = "fraction of right predictions"
    yield row("Accuracy", "accuracy", right, result.accuracy_ci, bootstrap)
    yield row("Accuracy", "accuracy", right, result.accuracy_ci_wilson, wilson)
    majority = "always the larger class of the training videos"
    yield row("Majority baseline", "baseline_accuracy", majority)
    mean = "mean recall of the classes"
    balanced_ci = rates_ci.get("balanced_accuracy")
    yield row("Balanced accuracy", "balanced_accuracy", mean, balanced_ci, bootstrap)
    area = "fraction of pairs in which the violent video has the higher probability"
    yield row("ROC AUC", "auc", area, result.auc_ci, bootstrap)
    yield row("ROC AUC", "auc", area, result.auc_ci_delong, "DeLong")
    yield row("Average precision", "average_precision", "area under the precision-recall curve")
    gap = "expected gap between probability and fraction of violent videos"
    yield row("Calibration error", "calibration_error", gap)
    squared = "mean squared gap between probability and label: 0 is perfect, 0.25 is 50% always"
    yield row("Brier score", "brier_score", squared)
    right = "fraction of alarms that are right"
    yield row(
        "Precision", "precision", right, rates_ci.get("precision"), bootstrap, "none: no alarms"
    )
    recall_ci = _wilson(counts.found, counts.violent)
    text = "fraction of violent videos found"
    if rates_ci.get("recall"):
        yield row("Recall", "recall", text, rates_ci["recall"], bootstrap, no_violent)
    yield row("Recall", "recall", text, recall_ci, wilson, no_violent)
    text = "harmonic mean of precision and recall"
    yield row("F1", "f1", text, rates_ci.get("f1"), bootstrap, no_violent)
    flagged = _wilson(counts.flagged, counts.normal)
    text = "fraction of normal videos flagged"
    if rates_ci.get("false_alarm_rate"):
        interval = rates_ci["false_alarm_rate"]
        yield row("False-alarm rate", "false_alarm_rate", text, interval, bootstrap, no_normal)
    yield row("False-alarm rate", "false_alarm_rate", text, flagged, wilson, no_normal)


def class_rows(result: EvaluationResult) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(result.classes):
        counts = result.confusion[index]
        yield {
            "name": name,
            "index": index,
            "counts": counts,
            "videos": sum(counts),
            "recall": result.recall_per_class[name] if sum(counts) else None,
            "interval": result.recall_ci_per_class[name],
        }


def _wilson(correct: int, total: int) -> list[float] | None:
    """Wilson's interval; None for no videos, because [0, 0] would read as certainty."""
    return wilson_interval(correct, total) if total else None
