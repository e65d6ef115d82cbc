"""One HTML page about a run on a split: plain words first, then everything measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.reports import html
from violence_detection.reports.findings import evaluation_findings, overall_verdict, video_counts
from violence_detection.system import files

_MOST_RECORDINGS = 12  # with errors, that are listed
_REQUIRED = (
    *("run", "split", "videos", "recordings", "grouped", "clean", "leaks"),
    *("accuracy", "accuracy_ci", "accuracy_ci_wilson", "auc", "auc_ci"),
    "auc_ci_delong",
    *("average_precision", "balanced_accuracy", "precision", "recall", "f1"),
    *("false_alarm_rate", "recall_per_class", "confusion", "classes", "normal_class"),
    *("threshold", "threshold_reason", "baseline_accuracy", "undefined"),
    *("calibration_error", "baselines", "baselines_left_out", "baseline_videos"),
    *("errors_by", "errors_left_out"),
)
_CAPTIONS = {
    "roc": "ROC curve: violent videos found, at each price in false alarms.",
    "precision_recall": "Precision and recall: right alarms, the more is found.",
    "confusion": "Confusion matrix: what each class is taken for.",
    "score_histogram": "Probabilities given to normal and to violent videos.",
    "reliability": "Of videos given about the same probability, how many are violent.",
    "history": "Training, epoch by epoch.",
}
BASELINES = {
    "model": "at its own threshold",
    "linear": "logistic regression on the same features, without their order",
    "metadata": "the container alone: bytes, length, frames/s, size of the picture",
    "mean_picture": "the background alone: the mean picture at 16 x 16 pixels",
    "motion_energy": "how much moves, and nothing else",
    "majority": "always the commonest class",
}
_BREAKDOWNS = {
    "recording": "Recording",
    "resolution": "Shorter side of the picture",
    "brightness": "Brightness (mean grey level, of 255)",
    "duration": "Duration",
}
_CONDITION_KEYS = {"name", "accuracy", "accuracy_ci", "auc"}


@dataclass(frozen=True)
class Measure:
    """One row of the table of metrics; `interval` is [low, high] or None."""

    name: str
    value: float | None
    interval: Sequence[float] | None
    interval_kind: str
    meaning: str


def write_report(
    path: Path,
    *,
    metrics: Mapping[str, Any],
    figures: Mapping[str, Path],
    worst: Mapping[str, Any],
    run: Mapping[str, Any],
    robustness: Mapping[str, Any] | None = None,
) -> None:
    """Write a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        metrics: What `evaluate` measured: run, split, videos, recordings, grouped,
            clean, leaks, accuracy with accuracy_ci and accuracy_ci_wilson, auc with
            auc_ci (both may be None), the other rates, confusion, classes, threshold,
            baselines, errors_by. What else may be there, and is shown where it is:
            operating_point, normal_footage, leak_counts.
        figures: PNG files by name, in the order of the page.
        worst: The surest mistakes with their frames; see `scrutiny.worst`.
        run: Settings and versions, nested; each dict in it becomes a table.
        robustness: See `read_robustness`.

    Raises:
        ConfigError: If `metrics` lacks a key, or a figure cannot be read.
        ViolenceDetectionError: If the page cannot be written.
    """
    missing = ", ".join(name for name in _REQUIRED if name not in metrics)
    if missing:
        raise ConfigError(f"`metrics` must hold {missing}. Received: {list(metrics)}")
    findings = list(evaluation_findings(metrics))
    page = html.render_template(
        "report.html.j2",
        title=f"Violence detection: {metrics['split']} report",
        metrics=metrics,
        counts=video_counts(metrics),
        footage=metrics.get("normal_footage"),
        findings=findings,
        verdict=overall_verdict(findings),
        worst=worst,
        beside=_baseline_rows(metrics),
        point=_operating_point(metrics.get("operating_point")),
        measures=list(_measures(metrics)),
        classes=list(_class_rows(metrics)),
        figures=[
            {
                "caption": _CAPTIONS.get(name, name.replace("_", " ").capitalize()),
                "source": html.embed_png(figure),
            }
            for name, figure in figures.items()
        ],
        breakdowns=_breakdowns(metrics["errors_by"]),
        robustness=robustness,
        tables=html.tables(run),
    )
    files.write_text(path, page)


def read_robustness(folder: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """What was measured of the same videos darkened, blurred and so on, where it was.

    Args:
        folder: Of the evaluation.
        identity: Digests of the model and the videos; of others it is not shown.

    Returns:
        `clean` and `conditions`, each with name, accuracy, accuracy_ci and auc, and
        `mean_accuracy`; None where there is nothing, or it is something else.
    """
    try:
        found = json.loads((folder / "robustness.json").read_text())
        rows = [found["clean"], *found["conditions"]]
        whole = all(row.keys() >= _CONDITION_KEYS for row in rows[1:])
        same = all(found.get(name, one) == one for name, one in identity.items())
        found["mean_accuracy"] = float(found["mean_accuracy"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if whole and same else None


def _baseline_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The model and the baselines, a row each; none without baselines."""
    if not metrics["baselines"]:
        return []
    names = ("accuracy", "accuracy_ci", "auc", "auc_ci")
    model = {name: metrics[name] for name in names}
    return [
        {"name": name, "meaning": BASELINES.get(name, ""), **scores}
        for name, scores in {"model": model, **metrics["baselines"]}.items()
    ]


def _operating_point(point: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An operating point with a row for each thing that was achieved."""
    if not point:
        return None
    achieved, intervals = point.get("achieved"), point.get("achieved_ci")
    if not isinstance(achieved, Mapping):
        achieved, intervals = {"achieved": achieved}, {"achieved": intervals}
    rows = [
        (name.replace("_", " "), value, (intervals or {}).get(name))
        for name, value in achieved.items()
    ]
    return {
        "asked": point.get("asked", ""),
        "from": point.get("from", ""),
        "interval": point.get("interval"),
        "rows": rows,
    }


def _breakdowns(errors_by: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict]:
    """Tables of errors; of the recordings those with errors, the worst."""
    found = []
    for name, title in _BREAKDOWNS.items():
        rows, rest = errors_by.get(name, []), ""
        if name == "recording":
            shown = [row for row in rows if row["errors"]][:_MOST_RECORDINGS]
            without = sum(not row["errors"] for row in rows)
            others = len(rows) - without - len(shown)
            rest = f"{without} of {len(rows)} without an error"
            rest += f", {others} more with some: metrics.json lists them." if others else "."
            rows = shown
        if rows or rest:
            found.append({"title": title, "rows": rows, "rest": rest})
    return found


def _measures(metrics: Mapping[str, Any]) -> Iterator[Measure]:
    counts = video_counts(metrics)
    bootstrap, wilson = "recordings", "Wilson"

    def row(name: str, key: str, meaning: str, interval=None, kind="") -> Measure:
        value = None if key in metrics["undefined"] else metrics[key]
        return Measure(name, value, interval, kind, meaning)

    right = "right answers"
    yield row("Accuracy", "accuracy", right, metrics["accuracy_ci"], bootstrap)
    yield row("Accuracy", "accuracy", right, metrics["accuracy_ci_wilson"], wilson)
    guess = "always giving the commonest class"
    yield row("Baseline accuracy", "baseline_accuracy", guess)
    yield row("Balanced accuracy", "balanced_accuracy", "mean over the classes")
    area = "violent above normal, of all pairs"
    yield row("ROC AUC", "auc", area, metrics["auc_ci"], bootstrap)
    yield row("ROC AUC", "auc", area, metrics["auc_ci_delong"], "DeLong")
    yield row("Average precision", "average_precision", "area under precision-recall")
    gap = "probabilities against what happened"
    yield row("Calibration error", "calibration_error", gap)
    yield row("Precision", "precision", "alarms that are right")
    found = _wilson(counts["found"], counts["violent"])
    yield row("Recall", "recall", "violent videos found", found, wilson)
    yield row("F1", "f1", "harmonic mean of both")
    flagged = _wilson(counts["flagged"], counts["normal"])
    harmless = "normal videos flagged"
    yield row("False-alarm rate", "false_alarm_rate", harmless, flagged, wilson)


def _class_rows(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(metrics["classes"]):
        counts = metrics["confusion"][index]
        yield {
            "name": name,
            "index": index,
            "counts": counts,
            "videos": sum(counts),
            "recall": metrics["recall_per_class"][name] if sum(counts) else None,
            "interval": _wilson(counts[index], sum(counts)),
        }


def _wilson(correct: int, total: int) -> list[float] | None:
    """None where nothing ran: [0, 0] would read as certainty."""
    return wilson_interval(correct, total) if total else None
