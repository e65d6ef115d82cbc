"""The command `robustness`: scores of a run on corrupted copies of the videos."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.reports import console
from violence_detection.units import counted


@click.command(
    cls=Command,
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

    run_stage(stage, flags, lines=result_lines, failed=lambda result: len(result["failures"]))


def result_lines(result: dict[str, Any]) -> list[str]:
    """The console text of a study: a row for each condition, the largest loss of accuracy first."""
    rows = sorted(result["conditions"], key=lambda row: row["accuracy_difference"])
    rows = [result["clean"], result["control"], *rows]
    heads = "condition accuracy 95% AUC 95% difference 95% videos".split()
    low, high = result["mean_accuracy_ci"] or (0.0, 0.0)
    return [
        f"run         {result['run']}",
        f"split       {result['split']}: {counted(result['videos'], 'video')} of "
        f"{counted(result['recordings'], 'recording')}",
        *console.align_columns([heads, *map(_cells, rows)]),
        f"mean        accuracy {result['mean_accuracy']:.1%} ({low:.1%} to {high:.1%}) over "
        f"{counted(len(result['conditions']), 'condition')}, "
        f"{counted(result['mean_videos'], 'video')} under each",
        f"note        {result['note']}",
        *[f"left out    {line}" for line in result["left_out"]],
        *_trust_lines(result),
        *console.failure_lines(_with_conditions(result["failures"]), whole="robustness.json"),
        f"table       {result['table']}",
        f"figure      {result['picture']}",
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    if not row["videos"]:
        return [row["name"], *["none"] * 6, "0"]
    return [
        row["name"],
        f"{row['accuracy']:.1%}",
        console.format_interval(row["accuracy_ci"], ".1%"),
        console.format_auc(row["auc"]),
        console.format_interval(row["auc_ci"], ".3f"),
        f"{100 * row['accuracy_difference']:+.1f}",
        console.format_interval([100 * end for end in row["difference_ci"]], "+.1f"),
        str(row["videos"]),
    ]


def _trust_lines(result: dict[str, Any]) -> list[str]:
    if result["leaks"]:
        return [f"trust       NOT CLEAN: the run was trained on {console.leaks_text(result)}"]
    if result["split"] == "validation":
        return ["trust       epoch and threshold were chosen on these videos"]
    if not result["grouped"]:
        return ["trust       recordings are not all known: the intervals may be too narrow"]
    return []


def _with_conditions(failures: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The failures, with the condition behind each path."""
    return [
        {"path": f"{row['path']} ({row['condition']})", "reason": row["reason"]} for row in failures
    ]
