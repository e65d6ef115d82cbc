"""One HTML page about a run on a split: plain words first, then everything measured."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from violence_detection import files
from violence_detection.errors import ConfigError
from violence_detection.metrics import MIN_VIDEOS, wilson_interval

FEW_RECORDINGS = 10  # below this, an interval over recordings is itself a rough guess
_WORST = 10
_REQUIRED = (
    *("run", "split", "videos", "recordings", "grouped", "clean", "leaks"),
    *("accuracy", "accuracy_ci", "accuracy_ci_wilson", "auc", "auc_ci"),
    "auc_ci_delong",
    *("average_precision", "balanced_accuracy", "precision", "recall", "f1"),
    *("false_alarm_rate", "recall_per_class", "confusion", "classes", "normal_class"),
    *("threshold", "threshold_reason", "baseline_accuracy", "undefined"),
    "calibration_error",
)
_CAPTIONS = {
    "roc": "ROC curve: violent videos found, at each price in false alarms.",
    "precision_recall": "Precision and recall: right alarms, the more is found.",
    "confusion": "Confusion matrix: what each class is taken for.",
    "score_histogram": "Probabilities given to normal and to violent videos.",
    "reliability": "Of videos given about the same probability, how many are violent.",
    "history": "Training, epoch by epoch.",
}


@dataclass(frozen=True)
class Finding:
    """One reason to believe the numbers, or not to.

    Attributes:
        level: "good", "care" or "bad".
        text: A sentence or two for a person who trains no models.
    """

    level: str
    text: str


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
    predictions: Sequence[Mapping[str, Any]],
    run: Mapping[str, Any],
) -> None:
    """Write a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        metrics: What `evaluate` measured: run, split, videos, recordings, grouped,
            clean, leaks, accuracy with accuracy_ci and accuracy_ci_wilson, auc with
            auc_ci (both may be None), the other rates, confusion, classes, threshold.
        figures: PNG files by name, in the order of the page.
        predictions: path, label, group, probability and predicted of each video.
        run: Settings and versions, nested; each dict in it becomes a table.

    Raises:
        ConfigError: If `metrics` lacks a key, or a figure cannot be read.
        ViolenceDetectionError: If the page cannot be written.
    """
    missing = ", ".join(name for name in _REQUIRED if name not in metrics)
    if missing:
        raise ConfigError(f"`metrics` must hold {missing}. Received: {list(metrics)}")
    findings = list(_findings(metrics))
    page = _template().render(
        metrics=metrics,
        counts=_counts(metrics),
        findings=findings,
        verdict=_verdict(findings),
        measures=list(_measures(metrics)),
        classes=list(_class_rows(metrics)),
        figures=[_embedded(name, figure) for name, figure in figures.items()],
        false_alarms=_worst(predictions, metrics["normal_class"], violent=False),
        misses=_worst(predictions, metrics["normal_class"], violent=True),
        tables=_tables(run),
    )
    files.write_text(path, page)


def of_100(share: float) -> int:
    """`share` in whole videos of 100; 0 and 100 only where it is exactly that.

    >>> of_100(0.998)
    99
    """
    if share <= 0.0 or share >= 1.0:
        return round(100 * min(max(share, 0.0), 1.0))
    return min(max(round(100 * share), 1), 99)


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names joined by dots, and values as text, of a nested dict."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _as_text(value)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,  # paths and class names may hold < > &
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["of_100"] = of_100
    source = resources.files("violence_detection").joinpath("report.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))


def _counts(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Videos behind the rates: violent (not of the normal class), found, and so on."""
    per_class = [sum(row) for row in metrics["confusion"]]
    normal = per_class[list(metrics["classes"]).index(metrics["normal_class"])]
    violent = sum(per_class) - normal
    found = round(metrics["recall"] * violent)
    flagged = round(metrics["false_alarm_rate"] * normal)
    return {"violent": violent, "normal": normal, "found": found, "flagged": flagged}


def _findings(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    """What a careful reader would ask about the numbers, answered."""
    yield _finding_on_size(metrics)
    yield _finding_on_interval(metrics)
    yield _finding_on_leaks(metrics)
    if not metrics["grouped"]:
        yield Finding(
            "care",
            "It was not said which videos are cut from the same recording, so grouping "
            "was not possible. If some are, the numbers here are too good.",
        )
    if metrics["split"] == "train":
        text = "It learned from these very videos. The test split is the one to read."
        yield Finding("bad", text)
    elif metrics["split"] == "validation":
        text = "These videos also served to choose the model. The test split is fairer."
        yield Finding("care", text)
    if metrics["baseline_accuracy"] < 1.0:
        yield _finding_on_baseline(metrics)


def _finding_on_size(metrics: Mapping[str, Any]) -> Finding:
    counts, videos = _counts(metrics), metrics["videos"]
    text = (
        f"Tried on {videos} videos: {counts['violent']} violent and "
        f"{counts['normal']} harmless"
    )
    recordings = metrics["recordings"]
    if metrics["grouped"]:
        text += f", from {recordings} recording{'s' if recordings != 1 else ''}"
    few = min(counts["violent"], counts["normal"]) < MIN_VIDEOS
    if few or (metrics["grouped"] and recordings < FEW_RECORDINGS):
        return Finding(
            "care", f"{text}. That is few: every number here is a rough guess."
        )
    return Finding("good", f"{text}.")


def _finding_on_interval(metrics: Mapping[str, Any]) -> Finding:
    """The span of both intervals: a bootstrap of faultless videos has no width."""
    low = min(metrics["accuracy_ci"][0], metrics["accuracy_ci_wilson"][0])
    high = max(metrics["accuracy_ci"][1], metrics["accuracy_ci_wilson"][1])
    wide = high - low > 0.2
    text = (
        f"It was right for {of_100(metrics['accuracy'])} of 100 videos. On other "
        f"videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)}{', which is a wide range' if wide else ''}. "
        "Other cameras and places may differ more."
    )
    return Finding("care" if wide else "good", text)


def _finding_on_leaks(metrics: Mapping[str, Any]) -> Finding:
    if not metrics["clean"]:
        text = (
            "Some of these videos, or others of the same recordings, were used in "
            "training. The numbers here are too good."
        )
        return Finding("bad", text)
    kind = "recording" if metrics["grouped"] else "video"
    return Finding("good", f"No {kind} was used both in training and here.")


def _finding_on_baseline(metrics: Mapping[str, Any]) -> Finding:
    text = (
        "Always giving the commoner answer would be right for "
        f"{of_100(metrics['baseline_accuracy'])} of 100"
    )
    if metrics["accuracy"] <= metrics["baseline_accuracy"]:
        return Finding("bad", f"{text}: this detector is no better than that.")
    if metrics["accuracy_ci"][0] <= metrics["baseline_accuracy"]:
        return Finding("care", f"{text}: it may be no better than that.")
    return Finding("good", f"{text}: it is better than that.")


def _verdict(findings: Sequence[Finding]) -> Finding:
    levels = {finding.level for finding in findings}
    if "bad" in levels:
        return Finding("bad", "Do not rely on these numbers")
    if "care" in levels:
        return Finding("care", "Read these numbers with care")
    return Finding("good", "These numbers can be relied on")


def _measures(metrics: Mapping[str, Any]) -> Iterator[Measure]:
    counts = _counts(metrics)
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


def _embedded(name: str, path: Path) -> dict[str, str]:
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise ConfigError(
            f"`figures` must be files that can be read. Received: {path} "
            f"({error.strerror})"
        ) from error
    caption = _CAPTIONS.get(name, name.replace("_", " ").capitalize())
    return {"name": name, "caption": caption, "source": f"data:image/png;base64,{data}"}


def _worst(
    predictions: Sequence[Mapping[str, Any]], normal_class: str, *, violent: bool
) -> list[Mapping[str, Any]]:
    """The surest mistakes: misses if `violent`, else false alarms."""
    mistakes = [
        row
        for row in predictions
        if (row["label"] != normal_class) == violent
        and (row["predicted"] != normal_class) != violent
    ]
    direction = 1.0 if violent else -1.0
    mistakes.sort(key=lambda row: (direction * float(row["probability"]), row["path"]))
    return mistakes[:_WORST]


def _tables(run: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A title and rows for every dict in `run`; what is no dict comes first."""
    alone = {key: value for key, value in run.items() if not isinstance(value, Mapping)}
    nested = [(key, value) for key, value in run.items() if key not in alone]
    sections = [("run", alone), *nested]
    return [(name, list(flattened(values))) for name, values in sections if values]


def _as_text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return ", ".join(_as_text(item) for item in items) or "–"
    return str(value)
