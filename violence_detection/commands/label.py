"""The command `label`: a reviewer's label into the dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line, setting_words
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.config import LabelConfig
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.evaluation.labels.label_sheet import LabelSheetResult
    from violence_detection.evaluation.labels.labelling import LabelResult


@click.command(
    cls=Command,
    short_help="Correct the labels of videos.",
    epilog=example(
        "violence-detection label checkpoints/my_run camera_1.mp4 nonviolent "
        "--start-s 12 --end-s 15"
    ),
)
@click.argument("run", type=PATH)
@click.argument("video", type=ANY_PATH, required=False)
@click.argument("label", required=False)
@options_of(LabelConfig)
def label(
    settings: LabelConfig, flags: CommonFlags, run: str, video: str | None, label: str | None
) -> None:
    """Write a reviewer's label into the dataset's videos.csv, with name and time.

    RUN is a run, or a folder of features; its dataset gets the label. VIDEO is a video of the
    dataset, by its path or its name in the report, or any other video, which is copied into the
    dataset's folder `judged`; with --start-s and --end-s a part of it. The next extraction and
    training use the label; earlier labels are kept in labels_history.csv. --force replaces the
    label of another reviewer.

    With --table it writes the labels of many videos at once: fill in the column new_label of
    label_next.csv, which evaluate and predict --label-next leave."""
    if settings.table is not None:
        if video is not None:
            raise click.UsageError("VIDEO and LABEL must not be given with --table.")
        return _label_table(run, settings, flags)
    if label is None:
        missing = "LABEL" if video else "VIDEO and LABEL"
        raise click.UsageError(f"{missing} must be given, or --table.")

    def stage() -> Stage:
        from violence_detection.evaluation.labels.labelling import LabelStage

        return LabelStage(run, video, label, settings, force=flags.force)

    run_stage(stage, flags, lines=label_lines, plan_lines=label_lines)


def _label_table(run: str, settings: LabelConfig, flags: CommonFlags) -> None:
    def stage() -> Stage:
        from violence_detection.evaluation.labels.label_sheet import LabelSheetStage

        return LabelSheetStage(run, Path(settings.table), settings, force=flags.force)

    run_stage(stage, flags, lines=table_lines, plan_lines=table_lines)


def table_lines(result: "LabelSheetResult") -> list[str]:
    """The console text of the labels of a table, written or in a dry run."""
    lines = []
    for item in result.labels:
        copied = ", copied" if item.copied else ""
        lines.append(
            f"label       {item.video}: {item.label} "
            f"(was: {item.was or 'not in the dataset'}{copied})"
        )
        lines += _overlap_lines(item)
    if result.left_out:
        lines.append(f"left out    {counted(result.left_out, 'row')} without a new_label")
    last = result.labels[-1]
    lines.append(f"table       {last.videos_csv}, by {last.by}")
    if result.dry_run:
        return [*lines, "nothing is written (--dry-run)"]
    return [*lines, _next(last)]


def _overlap_lines(result: "LabelResult") -> list[str]:
    return [
        f"warning     {row} overlaps with this part: the labels contradict each other"
        for row in result.overlaps
    ]


def _next(result: "LabelResult") -> str:
    changed = result.extraction.changed() if result.extraction else {}
    root = Path(result.videos_csv).parent
    return next_line("extract-features", root, *setting_words(changed))


def label_lines(result: "LabelResult") -> list[str]:
    """The console text of a label, written or in a dry run."""
    was = result.was or "not in the dataset"
    recording = result.group or "not known; --group names it"
    lines = [
        f"video       {result.video}" + (" (copied)" if result.copied else ""),
        f"label       {result.label} (was: {was})",
        f"recording   {recording}",
        f"by          {result.by}, {result.at}",
        f"table       {result.videos_csv}" + (" (new)" if result.created else ""),
    ]
    lines += _overlap_lines(result)
    if result.dry_run:
        return [*lines, "nothing is written (--dry-run)"]
    return [*lines, _next(result)]
