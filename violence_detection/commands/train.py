"""The command `train`: features to a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import RESUMES_BY_OPTION, Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.metrics.sample_size import FEW_RECORDINGS, FEW_VIDEOS
from violence_detection.reports import console
from violence_detection.training import config
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
    from violence_detection.models.run_scores import RunScores
    from violence_detection.models.training_results import (
        MembersResult,
        TrainingResults,
        TrainingSummary,
    )


@click.command(
    cls=Command,
    started_again=RESUMES_BY_OPTION,
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
        plan_lines=lambda plan: console.format_extraction_plan(plan.to_json()),
    )


def result_lines(results: "TrainingResults") -> list[str]:
    """The console text of a training. It has no score on test videos: who looks at the test after
    every training chooses by it."""
    if results.one_class:
        return _detector_lines(results)
    scores, summary, members = results.scores, results.summary, results.members
    of_best_member = " (best member)" if members and members.kept.ensemble else ""
    return [
        f"run         {results.run}",
        *(_member_lines(members) if members else []),
        f"epochs      {_epochs_text(summary)}; {summary.videos_per_s:.0f} videos/s{of_best_member}",
        *console.threshold_lines(scores.threshold, scores.threshold_reason, scores.operating_point),
        *console.class_threshold_lines(scores.class_thresholds),
        *_threshold_help(scores.operating_point),
        # Below the rates of the threshold: these are of more recordings.
        f"validation  {console.format_scores(scores.validation)}",
        *_sanity_check_lines(scores),
        *console.failure_lines(results.failures),
        next_line("evaluate", Path(results.run), *_split_words(scores)),
    ]


def _detector_lines(results: "TrainingResults") -> list[str]:
    """The console text of a training on normal videos alone."""
    scores, summary = results.scores, results.summary
    how = f"{_epochs_text(summary)}" if summary.epochs_run else "fitted in one step"
    videos = results.videos
    return [
        f"run         {results.run}",
        f"detector    {results.one_class}, on {counted(videos['train'], 'normal video')}: it finds "
        "what is unusual, not what is violent",
        f"epochs      {how}",
        *console.threshold_lines(scores.threshold, scores.threshold_reason, scores.operating_point),
        *console.class_threshold_lines(scores.class_thresholds),
        *[f"warning     {line}" for line in scores.warnings],
        *console.failure_lines(results.failures),
        "unknown     how much violence it finds: evaluate --features LABELLED measures that on "
        "labelled videos",
        "alarms      an hour are not known either: evaluate --normal-footage FOLDER counts them",
        next_line("evaluate", Path(results.run), *_split_words(scores)),
    ]


def _split_words(scores: "RunScores") -> tuple[str, ...]:
    return () if scores.test else ("--split", "validation")


def _epochs_text(summary: "TrainingSummary") -> str:
    """The number of epochs, why there are no more, and which is kept."""
    run, asked = summary.epochs_run, summary.epochs_asked
    text = (
        f"stopped at {run} of {asked}: {summary.stop_reason}" if summary.stop_reason else str(run)
    )
    reason = f", {summary.kept_reason}" if summary.kept_reason else ""
    return f"{text}; epoch {summary.kept_epoch} is kept{reason}"


def _threshold_help(point: "ChosenOperatingPoint | None") -> list[str]:
    """A line on what to do where no threshold could be chosen."""
    if point is None or point.is_chosen:
        return []
    return [
        "            to choose one, label more recordings: --calibrate-by needs 20 videos of 5 "
        "recordings of each class"
    ]


def _member_lines(result: "MembersResult") -> list[str]:
    """The kept member of several seeds, and the mean validation scores of all members."""
    kept, members = result.kept, result.members
    of_seed = "" if kept.ensemble else f"seed {kept.seeds[0]}: "
    lines = [f"kept        {of_seed}{kept.reason}"]
    scores, first = result.validation, members[0].validation
    if not scores or (first.videos or 0) < FEW_VIDEOS:  # a few videos have no percentage
        return lines
    accuracy, auc = scores.accuracy, scores.auc
    text = f"accuracy {100 * accuracy.mean:.1f} +- {100 * accuracy.sd:.1f}%"
    text += f", AUC {auc.mean:.3f} +- {auc.sd:.3f}" if auc else ", AUC none"
    few = f"; {console.ROUGH}" if (first.recordings or 0) < FEW_RECORDINGS else ""
    return [
        *lines,
        f"members     validation {text}: mean and deviation over {len(members)} seeds, not over "
        f"videos{few}",
    ]


def _sanity_check_lines(scores: "RunScores") -> list[str]:
    """The linear baseline and the warnings; a run of an older version has none."""
    if scores.baseline is None:
        return []
    return [
        "baseline    a linear classifier, on validation: "
        f"{console.format_scores(scores.baseline.validation)}; {scores.baseline.compared}",
        *[f"warning     {line}" for line in scores.warnings],
    ]
