"""What a run is worth when its videos are darker, blurred, compressed, ..."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation.robustness import config
from violence_detection.reports import console
from violence_detection.units import counted


@click.command(
    cls=Command,
    epilog=example("violence-detection robustness checkpoints/my_run --split test"),
)
@click.argument("run", type=PATH)
@options_of(config.RobustnessConfig)
def robustness(settings: config.RobustnessConfig, shared: CommonFlags, run: str) -> None:
    """Judge a run on the same videos darkened, blurred, compressed, with fewer frames, ...

    Copies are altered, written, and read by the run's own decoder and backbone; each is removed
    once it is read. Starting it again continues with the answers that are missing. Leaves with 3
    where a video could not be altered or read."""
    with prints_to_stderr():
        from violence_detection.evaluation.robustness import study as stage

        if shared.dry_run:
            planned = stage.plan(run, settings, force=shared.force)
        else:
            result = stage.measure_robustness(run, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    finish(result, shared, result_lines(result), failed=len(result["failures"]))


def result_lines(result: dict[str, Any]) -> list[str]:
    """A table, a row for each condition, those that cost most first."""
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
        *console.failure_lines(_by_condition(result["failures"]), whole="robustness.json"),
        f"table       {result['table']}",
        f"picture     {result['picture']}",
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    if not row["videos"]:
        return [row["name"], *["none"] * 6, "0"]
    low, high = (100 * end for end in row["difference_ci"])
    return [
        row["name"],
        f"{row['accuracy']:.1%}",
        console.format_interval(row["accuracy_ci"], ".1%"),
        console.format_auc(row["auc"]),
        console.format_interval(row["auc_ci"], ".3f"),
        f"{100 * row['accuracy_difference']:+.1f}",
        f"{low:+.1f} to {high:+.1f}",
        str(row["videos"]),
    ]


def _trust_lines(result: dict[str, Any]) -> list[str]:
    if result["leaks"]:
        found = console.leaks_text(result)
        return [f"trust       NOT CLEAN: the run has learned from {found}"]
    if result["split"] == "validation":
        return ["trust       epoch and threshold were chosen on these videos"]
    if not result["grouped"]:
        return ["trust       recordings are not all known: the intervals may be too narrow"]
    return []


def _by_condition(failures: list[dict[str, str]]) -> list[dict[str, str]]:
    return [
        {"path": f"{row['path']} ({row['condition']})", "reason": row["reason"]} for row in failures
    ]
