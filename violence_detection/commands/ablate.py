"""The command `ablate`: each option of a training switched in turn, on the same folds."""

import shutil
from typing import TYPE_CHECKING, Any

import click

from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.experiments.ablation.ablation_config import AblateConfig
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.reports.ablation_result import AblationResult

_WIDTH = 120  # where there is no terminal
# Columns of a narrow terminal, the least needed first: AUC's difference, recall, time, AUC.
_LEFT_OUT = (4, 5, 6, 3)


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="What each option of a training is worth.",
    epilog=example("violence-detection ablate --features feature_cache/my_videos --thin 0.22"),
)
@options_of(AblateConfig)
def ablate(settings: AblateConfig, flags: CommonFlags) -> None:
    """Switch each option of a training in turn, on the same grouped folds and seeds.

    Options of train that are given here are the baseline. Each row has accuracy, AUC, recall, the
    paired differences from the baseline with intervals over recordings, and the time of an epoch;
    a second table starts with all options off and switches one after the other on. What this
    machine does not have is named and not measured. The same command again goes on."""

    def stage() -> Stage:
        from violence_detection.experiments.ablation.ablate import AblationStage

        return AblationStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines, plan_lines=_plan_lines)


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    classes = ", ".join(f"{count} {name}" for name, count in plan["classes"].items())
    return [
        f"folder      {plan['ablation']}",
        f"videos      {plan['videos']}: {classes}",
        f"trainings   {plan['trainings']}",
        *[f"option      {text}" for text in plan["options"]],
        *[f"in turn     {text}" for text in plan["cumulative"]],
        *[f"not here    {row['off']}: {row['reason']}" for row in plan["missing"]],
    ]


def result_lines(result: "AblationResult") -> list[str]:
    """The console text: both tables, and what is not shown by them."""
    from violence_detection.reports import ablation_result

    classes = ", ".join(f"{count} {name}" for name, count in result.classes.items())
    lines = [
        f"videos      {result.videos} of {counted(result.recordings, 'recording')}: {classes}",
        f"folds       {counted(result.folds, 'grouped fold')}, "
        f"{counted(result.repeats, 'draw')} of them; recall of violent / of normal videos",
    ]
    for title, rows in (("one off", result.rows), ("in turn", result.cumulative)):
        if rows:
            lines += ["", title, *_table_lines(list(ablation_result.cells(result, rows)))]
    lines.append("")
    for row in result.rows:
        if row.missing:
            lines.append(f"not here    {row.off}: {row.missing}")
        elif row.note:
            lines.append(f"note        {row.off}: {row.note}")
    lines += [f"warning     {line}" for line in result.warnings]
    return [*lines, f"folder      {result.dir}", f"table       {result.table}"]


def _table_lines(rows: list[list[str]]) -> list[str]:
    """A table as lines that fit the terminal, without the least needed columns where it must be."""
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    shown = list(range(len(rows[0])))
    for column in (None, *_LEFT_OUT):
        if column is not None:
            shown.remove(column)
        cells = [[row[number] for number in shown] for row in rows]
        lines = [line.strip() for line in console.align_columns(cells)]
        if max(map(len, lines)) <= width:
            break
    return lines
