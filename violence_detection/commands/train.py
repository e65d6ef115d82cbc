"""Features to a run."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import example, options_of
from violence_detection.reports import console
from violence_detection.training import config


@click.command(
    cls=Command,
    epilog=example("violence-detection train --dataset-path my_videos --epochs 60 --batch-size 32"),
)
@options_of(config.TrainConfig)
def train(settings: config.TrainConfig, shared: CommonFlags) -> None:
    """Train a classifier on features; with --dataset-path, extract what is missing first."""
    with prints_to_stderr():
        from violence_detection.training import train

        if shared.dry_run:
            planned = train.plan(settings, force=shared.force)
        else:
            result = train.train_classifier(settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.extraction_table(planned))
    lines = [
        f"run         {result['run']}",
        *_member_lines(result),
        f"epochs      {result['epochs_run']}, number {result['best_epoch']} is kept; "
        f"{result['videos_per_s']:.0f} videos/s{_of_whom(result)}",
        *[_score_line(split, result[split]) for split in ("validation", "test") if result[split]],
        *console.threshold_lines(result),
        *_guard_lines(result),
        *console.failure_lines(result["failures"]),
        f"next        violence-detection evaluate {result['run']}",
    ]
    finish(result, shared, lines, failed=len(result["failures"]))


def _score_line(split: str, scores: dict[str, float]) -> str:
    auc = "none" if scores["auc"] is None else f"{scores['auc']:.3f}"
    return f"{split:11s} accuracy {scores['accuracy']:.1%}, AUC {auc}"


def _of_whom(result: dict[str, Any]) -> str:
    """Of which member the epochs are, where the kept model is all of them."""
    return " (best member)" if result.get("kept", {}).get("ensemble") else ""


def _member_lines(result: dict[str, Any]) -> list[str]:
    """What the members of a training with several seeds give, and which is kept."""
    if "seeds" not in result:
        return []
    lines = [f"kept        {result['kept']['reason']}"]
    if not result["kept"]["ensemble"]:
        lines = [f"kept        seed {result['kept']['seeds'][0]}: {result['kept']['reason']}"]
    for split, scores in result["over_seeds"].items():
        if scores:
            accuracy, auc = scores["accuracy"], scores["auc"]
            lines.append(
                f"members     {split} accuracy {accuracy['mean']:.1%} +- {accuracy['sd']:.1%}, "
                + (f"AUC {auc['mean']:.3f} +- {auc['sd']:.3f}" if auc else "AUC none")
            )
    return lines


def _guard_lines(result: dict[str, Any]) -> list[str]:
    """What a training's guards found; a run of an older version has none."""
    if "baseline" not in result:
        return []
    baseline = result["baseline"]
    return [
        f"{_score_line('baseline', baseline['validation'])} on validation, of a linear classifier: "
        f"{baseline['compared']}",
        *[f"warning     {line}" for line in result["warnings"]],
    ]
