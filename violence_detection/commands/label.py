"""The command `label`: a reviewer's label into the dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._next_line import next_line, setting_words
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.evaluation.config import LabelConfig

if TYPE_CHECKING:
    from violence_detection.evaluation.labelling import LabelResult


@click.command(
    cls=Command,
    short_help="Correct the label of a video.",
    epilog=example(
        "violence-detection label checkpoints/my_run camera_1.mp4 nonviolent "
        "--start-s 12 --end-s 15"
    ),
)
@click.argument("run", type=PATH)
@click.argument("video", type=ANY_PATH)
@click.argument("label")
@options_of(LabelConfig)
def label(settings: LabelConfig, flags: CommonFlags, run: str, video: str, label: str) -> None:
    """Write a reviewer's label into the dataset's videos.csv, with name and time.

    RUN is a run, or a folder of features; its dataset gets the label. VIDEO is a video of the
    dataset, by its path or its name in the report, or any other video, which is copied into the
    dataset's folder `judged`; with --start-s and --end-s a part of it. The next extraction and
    training use the label; earlier labels are kept in labels_history.csv. --force replaces the
    label of another reviewer."""

    def stage() -> Stage:
        from violence_detection.evaluation.labelling import LabelStage

        return LabelStage(run, video, label, settings, force=flags.force)

    run_stage(stage, flags, lines=label_lines, plan_lines=label_lines)


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
    for row in result.overlaps:
        lines.append(f"warning     {row} overlaps with this part: the labels contradict each other")
    if result.dry_run:
        return [*lines, "nothing is written (--dry-run)"]
    root = Path(result.videos_csv).parent
    changed = result.extraction.changed() if result.extraction else {}
    return [*lines, next_line("extract-features", root, *setting_words(changed))]
