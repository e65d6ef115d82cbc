"""The command `robustness`: scores of a run on corrupted copies of the videos."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.metrics.sample_size import FEW_RECORDINGS
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.reports.robustness_result import (
        ConditionFailure,
        ConditionScores,
        RobustnessResult,
    )

_LEFT_OUT = (2, 6, 3)  # columns that a narrow terminal misses: accuracy's interval, videos, AUC


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="Evaluate a run on degraded videos.",
    epilog=example("violence-detection robustness checkpoints/my_run --split test"),
)
@click.argument("run", type=PATH)
@options_of(RobustnessConfig)
def robustness(settings: RobustnessConfig, flags: CommonFlags, run: str) -> None:
    """Evaluate a run on the same videos darkened, blurred, compressed, with fewer frames, ...

    A corrupted copy of each video is written, read by the run's own decoder and backbone, and
    removed. The same command again resumes an interrupted study. Exits with status 3 if a video
    could not be corrupted or read."""

    def stage() -> Stage:
        from violence_detection.evaluation.robustness.study import RobustnessStage

        return RobustnessStage(run, settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines, failed=lambda result: len(result.failures))


def result_lines(result: "RobustnessResult") -> list[str]:
    """The console text of a study: a row for each condition, the largest loss of accuracy first."""
    scores = result.scores
    conditions = sorted(scores.conditions, key=lambda row: row.accuracy_difference)
    rows = [row for row in (scores.clean, scores.control) if row is not None] + conditions
    heads = "condition accuracy 95% AUC difference 95% videos".split()
    mean = console.format_interval(scores.mean_accuracy_ci, ".1%")
    terminal = shutil.get_terminal_size((100, 24))
    rough = f" ({console.ROUGH})" if result.recordings < FEW_RECORDINGS else ""
    return [
        f"run         {result.run}",
        f"split       {result.split}: {counted(result.videos, 'video')} of "
        f"{counted(result.recordings, 'recording')}{rough}",
        f"note        {result.note}",
        *[f"left out    {line}" for line in result.left_out],
        *console.failure_lines(_with_conditions(result.failures), whole="robustness.json"),
        f"table       {result.table}",
        f"figure      {result.picture}",
        "report      the next one of evaluate shows these numbers",
        "",
        *console.fit_columns([heads, *map(_cells, rows)], _LEFT_OUT, terminal.columns),
        f"mean        accuracy {scores.mean_accuracy:.1%} (95%: {mean}) over "
        f"{counted(len(scores.conditions), 'condition')}, "
        f"{counted(scores.mean_videos, 'video')} under each",
        *_warning_lines(result),
        next_line("evaluate", Path(result.run), "--split", result.split),
    ]


def _cells(row: "ConditionScores") -> list[str]:
    if not row.videos:
        return [row.name, *["none"] * 5, "0"]
    return [
        row.name,
        f"{row.accuracy:.1%}",
        console.format_interval(row.accuracy_ci, ".1%"),
        console.format_auc(row.auc),
        f"{100 * row.accuracy_difference:+.1f}",
        console.format_interval([100 * end for end in row.difference_ci], "+.1f"),
        str(row.videos),
    ]


def _warning_lines(result: "RobustnessResult") -> list[str]:
    if result.leaks:
        leaks = console.leaks_text(result.leak_counts, result.leaks)
        return [f"leaks       too good: the run was trained on {leaks}"]
    if result.split == "validation":
        return ["warning     too good: epoch and threshold were chosen on these videos"]
    if not result.grouped:
        return ["warning     recordings are not all known: the intervals may be too narrow"]
    return []


def _with_conditions(failures: Sequence["ConditionFailure"]) -> list[tuple[str, str]]:
    """The failures, with the condition behind each path."""
    return [(f"{failure.path} ({failure.condition})", failure.reason) for failure in failures]
