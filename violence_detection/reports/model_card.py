"""The model card of a run: model, training data, training, results, use and limitations."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from violence_detection.datasets.split_words import SPLITS
from violence_detection.models.run import Run
from violence_detection.reports import html
from violence_detection.reports.findings import FEW_RECORDINGS
from violence_detection.system import files
from violence_detection.units import counted

NAME = "MODEL_CARD.md"


def write_model_card(run: Run) -> None:
    """Writes the card of a trained run, with the evaluations of its present model.

    Raises:
        RunError: If the run cannot be read.
        ViolenceDetectionError: If the card cannot be written.
    """
    files.write_text(
        run.dir / NAME, html.render_template("model_card.md.j2", **_template_values(run))
    )


def _template_values(run: Run) -> dict[str, Any]:
    """The values that the template names."""
    # Runs of older versions lack some of these.
    config = {"own_split": False, "init_from": None} | run.config()
    settings = dict.fromkeys(("head", "seed", "loss")) | config.get("settings", {})
    results = {"threshold_reason": ""} | run.results()
    videos = files.read_own_csv(run.videos_path, ("path", "label", "group", "split"))
    evaluations = list(_evaluations(run))
    return {
        "name": _escaped(run.dir.name),
        "classes": [_escaped(name) for name in config["classes"]],
        "config": config,
        "settings": settings,
        "space": config["feature_space"],
        "results": results,
        "temperature": run.record().temperature,
        "splits": _counts(videos, config["classes"]),
        "unknown": sum(row["group"] == row["path"] for row in videos),
        "seeds": _seeds_text(run, results),
        "training": _training_text(config, results),
        "evaluations": evaluations,
        "limitations": list(_limitations(config, results, videos, evaluations)),
        "warnings": results.get("warnings", []),
    }


def _escaped(text: str) -> str:
    """A name with Markdown escaped, in a line."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _counts(videos: list[dict[str, str]], classes: list[str]) -> list[dict[str, Any]]:
    """The number of videos of each class and of recordings, by split."""
    counts = []
    for split in SPLITS:
        rows = [row for row in videos if row["split"] == split]
        if rows:
            by_class = [sum(row["label"] == name for row in rows) for name in classes]
            recordings = len({row["group"] for row in rows})
            counts.append({"split": split, "by_class": by_class, "recordings": recordings})
    return counts


def _seeds_text(run: Run, results: Mapping[str, Any]) -> str:
    """The number of seeds and the choice among them; empty for a single training."""
    if "seeds" not in results:
        return ""
    kept = results["kept"]
    how = "The model is " if kept["ensemble"] else f"The model is of seed {kept['seeds'][0]}: "
    return f"Trained with {len(results['seeds'])} seeds. {how}{kept['reason']}."


def _training_text(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    settings = config.get("settings", {})
    epochs = counted(results.get("epochs_run", 0), "epoch")
    text = f"{epochs} were run; the model is of epoch {results.get('best_epoch', 0)}"
    if settings.get("monitor") == "none":
        return f"{text}, the last, so it was not chosen on any video"
    if settings.get("swa_fraction"):
        return f"{text}, the last, with the weights averaged over the last epochs"
    measure = {"val_auc": "AUC", "val_accuracy": "accuracy"}
    return f"{text}, chosen by the {measure.get(settings.get('monitor'), 'loss')} on validation"


def _evaluations(run: Run) -> Iterator[dict[str, Any]]:
    """The content of metrics.json of each split that was evaluated with the present model."""
    digest = files.sha256_of_file(run.model_path)
    for split in ("test", "all", "validation", "train"):
        path = run.evaluation_dir(split) / "metrics.json"
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            same = metrics["model_digest"] == digest and metrics["split"] == split
            metrics["features"] = str(metrics["features"])
            rates = [metrics[name] for name in ("accuracy", "recall", "false_alarm_rate")]
            valid = all(type(rate) in (int, float) for rate in rates)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same and valid:
            metrics = {"baselines": {}} | metrics
            yield metrics | {"dataset": _escaped(Path(metrics["features"]).parent.name)}


def _limitations(
    config: Mapping[str, Any],
    results: Mapping[str, Any],
    videos: list[dict[str, str]],
    evaluations: list[dict[str, Any]],
) -> Iterator[str]:
    """The limitations that follow from the training of this run, a sentence each."""
    stream = config["feature_space"]["stream"]
    recordings = len({row["group"] for row in videos if row["split"] == "train"})
    window_s = config["window_s"]
    yield (
        "It was trained on the cameras, places, light and events of its training videos only. "
        "Evaluate it on videos of other places before you rely on it there."
    )
    length = f"{window_s:.3g} s" if window_s else "the length of a training video"
    yield (
        f"It predicts for {length} at a time. It was not trained on events that are much "
        "longer or shorter."
    )
    yield "It uses no audio, and cannot judge intent."
    if recordings < FEW_RECORDINGS:
        yield f"It was trained on {counted(recordings, 'recording')}, which is few."
    if any(row["group"] == row["path"] for row in videos):
        yield (
            "The recording of some videos is not known: clips of one recording may be in training "
            "and test, and the numbers too good."
        )
    if "focus=true" in stream:
        yield (
            "It uses one area of the frame at a time, the area with most motion: it easily misses "
            "events next to heavier motion."
        )
    if "motion" in stream and "rgb" not in stream:
        yield "It uses motion only, without colour: a moving or shaking camera disturbs it."
    if config["weights"].get("source") == "random":
        yield "Its backbone has random weights: use it for trials only."
    if results.get("failures"):
        failed = counted(len(results["failures"]), "video")
        yield f"{failed} could not be read and had no part in the training."
    for metrics in evaluations:
        if not metrics.get("clean", True):
            yield (
                f"Its {metrics['split']} numbers are too good: it was trained on some of those "
                "videos or their recordings."
            )
        for line in metrics.get("warnings", ()):
            yield f"On {metrics['split']}: {line}"
