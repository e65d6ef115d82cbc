"""The command `mine`: false alarms in quiet footage, to be labelled."""

from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.footage.mining_config import MineConfig
from violence_detection.units import counted, hours_words

if TYPE_CHECKING:
    from violence_detection.evaluation.footage.mining import MineResult

_REASONS = {
    "labelled": "labelled already",
    "near": "near to a surer one",
    "of_full_recordings": "of a recording that has enough",
    "beyond_count": "less sure than all of these",
}


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="List false alarms in quiet footage, to be labelled.",
    epilog=example("violence-detection mine checkpoints/my_run quiet_footage"),
)
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, type=ANY_PATH, metavar="VIDEO...")
@options_of(MineConfig)
def mine(settings: MineConfig, flags: CommonFlags, run: str, videos: tuple[str, ...]) -> None:
    """List the surest false alarms in quiet footage, with pictures and commands that label them.

    A VIDEO is a file, a folder of videos or a pattern in quotes, in which nothing violent happens.
    The windows that RUN takes for violence most surely, apart from each other, become a table and
    a page. Nothing is labelled: a person looks at each, and copies the line that makes it a normal
    part of the dataset, which the next training learns from. A real fight that is labelled so
    would be learned as normal."""

    def stage() -> Stage:
        from violence_detection.evaluation.footage.mining import MineStage

        return MineStage(run, videos, settings, force=flags.force)

    run_stage(stage, flags, lines=mine_lines, failed=lambda result: len(result.unreadable))


def mine_lines(result: "MineResult") -> list[str]:
    """The console text of a result."""
    lines = [
        f"footage     {counted(result.videos, 'video')}, {hours_words(result.hours)}",
        f"alarms      {counted(result.alarms, 'window')} at or above {result.threshold:.3f}",
    ]
    if result.is_one_class:
        lines.append("finds       what is unusual, not what is violent")
    for window in result.windows:
        lines.append(f"{window.probability:.3f}       {window.span}  {window.path}")
    rest = [f"{count} {_REASONS[reason]}" for reason, count in result.left_out.items() if count]
    if rest:
        lines.append(f"not listed  {', '.join(rest)}")
    lines += [f"unreadable  {video.path}: {video.reason}" for video in result.unreadable]
    lines += [f"warning     {text}" for text in result.warnings]
    lines += [f"table       {result.table}", f"page        {result.page}"]
    if result.windows:
        lines.append(
            "next        look at each window on the page, and run its line where nothing violent "
            "is to be seen; nothing is labelled yet"
        )
    return lines
