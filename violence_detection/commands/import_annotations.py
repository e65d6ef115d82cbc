"""The command `import-annotations`: events of annotation programs into videos.csv."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line, setting_words
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.datasets.config import AnnotationConfig
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.datasets.annotations.annotation_import import ImportResult

_SHOWN = 20


@click.command(
    cls=Command,
    short_help="Make parts of annotated events.",
    epilog=example(
        "violence-detection import-annotations ucf_crime Temporal_Anomaly_Annotation.txt "
        "--split test"
    ),
)
@click.argument("video_dir", type=PATH, metavar="VIDEO_DIR")
@click.argument("annotations", nargs=-1, required=True, type=PATH, metavar="FILES...")
@options_of(AnnotationConfig)
def import_annotations(
    settings: AnnotationConfig, flags: CommonFlags, video_dir: str, annotations: tuple[str, ...]
) -> None:
    """Write annotated events into the videos.csv of a folder of videos, as parts.

    FILES are UCF-Crime's text (file, class, first and last frames), CVAT's XML for video, or the
    JSON of Label Studio or VIA 3. An event becomes a part with its class, and what lies between
    events parts of the normal class. What is not inside its video, has an unknown class or
    contradicts another annotation is left out and listed, and the exit status is 3. --force
    replaces rows that videos.csv has of these videos."""

    def stage() -> Stage:
        from violence_detection.datasets.annotations.annotation_import import ImportStage

        return ImportStage(video_dir, annotations, settings, force=flags.force)

    run_stage(
        stage,
        flags,
        lines=import_lines,
        failed=lambda result: len(result.left_out),
        plan_lines=import_lines,
    )


def import_lines(result: "ImportResult") -> list[str]:
    """The console text of an import, done or in a dry run."""
    classes = ", ".join(f"{count} {label}" for label, count in result.per_class.items())
    lines = [
        f"read        {', '.join(result.formats)}",
        f"videos      {result.videos}, with {counted(result.events, 'event')}",
        f"parts       {result.parts}: {classes}",
        f"table       {result.videos_csv} ({counted(result.kept, 'row')} of other videos kept)",
        *[f"left out    {path}: {reason}" for path, reason in result.left_out[:_SHOWN]],
    ]
    if len(result.left_out) > _SHOWN:
        lines.append(f"left out    and {len(result.left_out) - _SHOWN} more (--json lists all)")
    if result.dry_run:
        return [*lines, "nothing is written (--dry-run)"]
    rate = setting_words({"frames_fps": f"{result.frames_fps:g}"} if result.frames_fps else {})
    return [*lines, next_line("extract-features", Path(result.videos_csv).parent, *rate)]
