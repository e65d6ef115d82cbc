"""The command `tune`: a hyperparameter search."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection import units
from violence_detection.commands._command import RESUMES_BY_OPTION, Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.config import TuneConfig
from violence_detection.features import space_lookup
from violence_detection.reports import console

if TYPE_CHECKING:
    from violence_detection.experiments.tuning.search_result import SearchResult


@click.command(
    cls=Command,
    started_again=RESUMES_BY_OPTION,
    short_help="Search for better settings.",
    epilog=example("violence-detection tune --features feature_cache/my_videos"),
)
@options_of(TuneConfig)
def tune(settings: TuneConfig, flags: CommonFlags) -> None:
    """Search for settings of train that validate well; needs the extra `tune` (Optuna).

    Leaves a study that --resume continues, a table of its trials, and the best settings as a file
    for train --config. Settings of train that are given here hold for every trial. The test
    videos are not used."""

    def stage() -> Stage:
        from violence_detection.experiments.tuning.tune import SearchStage

        return SearchStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines)


def result_lines(result: "SearchResult") -> list[str]:
    """The console text of a search."""
    counts = result.counts
    return [
        f"study       {result.dir}",
        f"trials      {counts.total}: {counts.completed} completed, {counts.pruned} pruned, "
        f"{counts.failed} failed; {units.format_duration(result.seconds)}",
        f"best        {result.monitor} {result.best_value:.4f}, trial {result.best_trial}",
        *map(_rounded, console.format_table(result.best_settings, "            ")),
        f"note        {result.note}",
        next_line(
            *("train", "--features", space_lookup.shortest_path(result.features)),
            *("--config", Path(result.best_config)),
        ),
    ]


def _rounded(line: str) -> str:
    """A line with numbers of four digits; the file of settings has all."""
    return re.sub(r"\d+\.\d{5,}(e-\d+)?", lambda number: f"{float(number[0]):.4g}", line)
