"""MODEL_CARD.md of a run: what it is, what it learned from, what it measured, what it is for and
where it ends. It says what holds for that run, and nothing else."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from violence_detection.datasets.video_folder import SPLITS
from violence_detection.models.run import Run
from violence_detection.reports import html
from violence_detection.reports.findings import FEW_RECORDINGS
from violence_detection.system import files
from violence_detection.units import counted

NAME = "MODEL_CARD.md"


def write_model_card(run: Run) -> None:
    """Write the card of a trained run, with the evaluations of its present model.

    Raises:
        RunError: If the run cannot be read.
        ViolenceDetectionError: If the card cannot be written.
    """
    files.write_text(
        run.dir / NAME, html.render_template("model_card.md.j2", **_template_values(run))
    )


def _template_values(run: Run) -> dict[str, Any]:
    """What the template names."""
    # A run of an older version lacks what was not there yet.
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
        "trainings": _seeds_text(run, results),
        "learned": _training_text(config, results),
        "evaluations": evaluations,
        "limits": list(_limits(config, results, videos, evaluations)),
        "warnings": results.get("warnings", []),
    }


def _escaped(text: str) -> str:
    """A name as Markdown shows it: nothing in it means anything, and it stays in its cell."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _counts(videos: list[dict[str, str]], classes: list[str]) -> list[dict[str, Any]]:
    """Videos of each class, and recordings, by split."""
    found = []
    for split in SPLITS:
        rows = [row for row in videos if row["split"] == split]
        if rows:
            by_class = [sum(row["label"] == name for row in rows) for name in classes]
            recordings = len({row["group"] for row in rows})
            found.append({"split": split, "by_class": by_class, "recordings": recordings})
    return found


def _seeds_text(run: Run, results: Mapping[str, Any]) -> str:
    """How many trainings it comes from, where that is not one."""
    if "seeds" not in results:
        return ""
    kept = results["kept"]
    how = "It is " if kept["ensemble"] else f"Kept is seed {kept['seeds'][0]}: "
    return f"Trained {len(results['seeds'])} times with other seeds. {how}{kept['reason']}."


def _training_text(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    settings = config.get("settings", {})
    epochs = counted(results.get("epochs_run", 0), "epoch")
    told = f"{epochs} were run, number {results.get('best_epoch', 0)} is kept"
    if settings.get("monitor") == "none":
        return f"{told}: the last, so no video chose it"
    if settings.get("swa_fraction"):
        return f"{told}: the last, with the mean of the weights over the last epochs"
    measure = {"val_auc": "AUC", "val_accuracy": "accuracy"}
    return f"{told}, by the {measure.get(settings.get('monitor'), 'loss')} on validation"


def _evaluations(run: Run) -> Iterator[dict[str, Any]]:
    """What metrics.json of each split holds, where it is of the present model."""
    digest = files.sha256_of_file(run.model_path)
    for split in ("test", "all", "validation", "train"):
        path = run.evaluation_dir(split) / "metrics.json"
        try:
            found = json.loads(path.read_text())
            same = found["model_digest"] == digest and found["split"] == split
            found["features"] = str(found["features"])
            rates = [found[name] for name in ("accuracy", "recall", "false_alarm_rate")]
            sound = all(type(rate) in (int, float) for rate in rates)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same and sound:
            found = {"baselines": {}} | found
            yield found | {"dataset": _escaped(Path(found["features"]).parent.name)}


def _limits(
    config: Mapping[str, Any],
    results: Mapping[str, Any],
    videos: list[dict[str, str]],
    evaluations: list[dict[str, Any]],
) -> Iterator[str]:
    """What follows from how this run was made, a sentence each."""
    stream = config["feature_space"]["stream"]
    recordings = len({row["group"] for row in videos if row["split"] == "train"})
    window_s = config["window_s"]
    yield (
        "It has seen the cameras, places, light and events of its training videos only. Elsewhere "
        "it must be measured before it is relied on."
    )
    yield (
        f"It judges {window_s:.3g} s at a time; what takes much longer or shorter than that it "
        "has not learned."
    )
    yield "It hears nothing, and knows neither people nor intent."
    if recordings < FEW_RECORDINGS:
        yield f"It learned from {counted(recordings, 'recording')}, which is few."
    if any(row["group"] == row["path"] for row in videos):
        yield (
            "The recording of some videos is not known: clips of one may be on both sides of the "
            "split, and the numbers too good."
        )
    if "focus=true" in stream:
        yield (
            "It looks at one place of the picture at a time, where most of the motion is: what "
            "happens beside heavier motion is easily missed."
        )
    if "motion" in stream and "rgb" not in stream:
        yield "It sees what moves, in grey: a camera that moves or shakes disturbs it."
    if config["weights"].get("source") == "random":
        yield "Its backbone has random weights: it is for trying things out, not for use."
    if results.get("failures"):
        failed = counted(len(results["failures"]), "video")
        yield f"{failed} could not be read and taught it nothing."
    for found in evaluations:
        if not found.get("clean", True):
            yield (
                f"Its {found['split']} numbers are too good: it has learned from some of those "
                "videos or their recordings."
            )
        for line in found.get("warnings", ()):
            yield f"On {found['split']}: {line}"
