"""The command `runs`: a table of runs, cross-validations and studies."""

import shlex
import shutil
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.run_table_config import RunTableConfig
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.reports.run_table import RunTable

_WIDTH = 100  # where there is no terminal
_MOST_WARNINGS = 12  # lines


@click.command(
    cls=Command,
    short_help="A table of all runs and studies.",
    epilog=example("violence-detection runs --sort date --html runs.html"),
)
@options_of(RunTableConfig)
def runs(settings: RunTableConfig, flags: CommonFlags) -> None:
    """List runs, cross-validations and studies with their scores, the best on top.

    A run is scored on its validation videos, a cross-validation on all folds, each with a 95%
    interval over recordings. Scores of other datasets or splits cannot be compared. The table
    leaves out columns that do not fit the terminal; --json and --html have all of them."""

    def stage() -> Stage:
        from violence_detection.experiments.run_list import RunListStage

        return RunListStage(settings, force=flags.force)

    run_stage(
        stage,
        flags,
        lines=result_lines,
        plan_lines=result_lines,
        failed=lambda table: len(table.unreadable),
    )


def result_lines(table: "RunTable") -> list[str]:
    """The console text of the table."""
    from violence_detection.reports import run_table

    lines = []
    if table.rows:
        width = shutil.get_terminal_size((_WIDTH, 24)).columns
        lines += run_table.table_lines(table.rows, width)
    else:
        lines.append(f"No runs in {table.folder}.")
    warned = [(row.name, line) for row in table.rows for line in row.warnings]
    if warned:
        lines.append("")
        lines += [f"warning     {name}: {line}" for name, line in warned[:_MOST_WARNINGS]]
        if len(warned) > _MOST_WARNINGS:
            rest = counted(len(warned) - _MOST_WARNINGS, "warning")
            lines.append(f"            and {rest} more; --json and --html have all")
    lines += [f"unreadable  {path}: {reason}" for path, reason in table.unreadable]
    if table.html:
        lines.append(f"page        {shlex.quote(table.html)}")
    return lines
