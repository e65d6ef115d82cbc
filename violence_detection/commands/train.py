"""The command `train`: features to a run."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import example, options_of
from violence_detection.reports import console
from violence_detection.training import config


@click.command(
    cls=Command,
    short_help="Train a classifier.",
    epilog=example("violence-detection train --dataset-path my_videos --epochs 60 --batch-size 32"),
)
@options_of(config.TrainConfig)
def train(settings: config.TrainConfig, flags: CommonFlags) -> None:
    """Train a classifier on features; with --dataset-path, extract missing features first."""

    def training() -> Stage:
        from violence_detection.training.train import TrainingStage

        return TrainingStage(settings, force=flags.force)

    run_stage(
        training,
        flags,
        lines=result_lines,
        failed=lambda result: len(result["failures"]),
        plan_lines=console.format_extraction_plan,
    )


def result_lines(result: dict[str, Any]) -> list[str]:
    """The console text of a training."""
    of_best_member = " (best member)" if result.get("kept", {}).get("ensemble") else ""
    return [
        f"run         {result['run']}",
        *_member_lines(result),
        f"epochs      {result['epochs_run']}, number {result['best_epoch']} is kept; "
        f"{result['videos_per_s']:.0f} videos/s{of_best_member}",
        *[_score_line(split, result[split]) for split in ("validation", "test") if result[split]],
        *console.threshold_lines(result),
        *_sanity_check_lines(result),
        *console.failure_lines(result["failures"]),
        f"next        violence-detection evaluate {result['run']}",
    ]


def _score_line(split: str, scores: dict[str, float]) -> str:
    auc = "none" if scores["auc"] is None else f"{scores['auc']:.3f}"
    return f"{split:11s} accuracy {scores['accuracy']:.1%}, AUC {auc}"


def _member_lines(result: dict[str, Any]) -> list[str]:
    """The kept member of several seeds, and the mean scores of all members."""
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


def _sanity_check_lines(result: dict[str, Any]) -> list[str]:
    """The linear baseline and the warnings; a run of an older version has none."""
    if "baseline" not in result:
        return []
    baseline = result["baseline"]
    return [
        f"{_score_line('baseline', baseline['validation'])} on validation, of a linear classifier: "
        f"{baseline['compared']}",
        *[f"warning     {line}" for line in result["warnings"]],
    ]
