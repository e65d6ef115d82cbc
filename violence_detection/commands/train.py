"""The command `train`: features to a run."""

from typing import TYPE_CHECKING

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import example, options_of
from violence_detection.reports import console
from violence_detection.training import config

if TYPE_CHECKING:
    from violence_detection.models.run_scores import RunScores, SplitScores
    from violence_detection.models.training_results import MembersResult, TrainingResults


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
        failed=lambda results: len(results.failures),
        plan_lines=console.format_extraction_plan,
    )


def result_lines(results: "TrainingResults") -> list[str]:
    """The console text of a training."""
    scores, summary, members = results.scores, results.summary, results.members
    of_best_member = " (best member)" if members and members.kept.ensemble else ""
    splits = {"validation": scores.validation, "test": scores.test}
    return [
        f"run         {results.run}",
        *(_member_lines(members) if members else []),
        f"epochs      {summary.epochs_run}, number {summary.kept_epoch} is kept; "
        f"{summary.videos_per_s:.0f} videos/s{of_best_member}",
        *[_score_line(split, values) for split, values in splits.items() if values],
        *console.threshold_lines(scores.threshold, scores.threshold_reason, scores.operating_point),
        *_sanity_check_lines(scores),
        *console.failure_lines(results.failures),
        f"next        violence-detection evaluate {results.run}"
        + ("" if scores.test else " --split validation"),
    ]


def _score_line(name: str, scores: "SplitScores") -> str:
    auc = "none" if scores.auc is None else f"{scores.auc:.3f}"
    return f"{name:11s} accuracy {scores.accuracy:.1%}, AUC {auc}"


def _member_lines(result: "MembersResult") -> list[str]:
    """The kept member of several seeds, and the mean scores of all members."""
    kept = result.kept
    of_seed = "" if kept.ensemble else f"seed {kept.seeds[0]}: "
    lines = [f"kept        {of_seed}{kept.reason}"]
    for split, scores in (("validation", result.validation), ("test", result.test)):
        if scores:
            accuracy, auc = scores.accuracy, scores.auc
            lines.append(
                f"members     {split} accuracy {accuracy.mean:.1%} +- {accuracy.sd:.1%}, "
                + (f"AUC {auc.mean:.3f} +- {auc.sd:.3f}" if auc else "AUC none")
            )
    return lines


def _sanity_check_lines(scores: "RunScores") -> list[str]:
    """The linear baseline and the warnings; a run of an older version has none."""
    if scores.baseline is None:
        return []
    return [
        f"{_score_line('baseline', scores.baseline.validation)} on validation, of a linear "
        f"classifier: {scores.baseline.compared}",
        *[f"warning     {line}" for line in scores.warnings],
    ]
