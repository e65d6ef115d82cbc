"""The command `extract-features`: from a folder of videos to features in the cache."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection import units
from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.datasets.video_files import EXTENSIONS
from violence_detection.features import config, space_lookup
from violence_detection.reports import console

if TYPE_CHECKING:
    from violence_detection.features.extraction.extraction_result import ExtractionResult

_SLOW_S = 10.0  # of decoding: a video that takes as long is named
_VIDEO_FILES = " ".join(sorted(ending.lstrip(".") for ending in EXTENSIONS))


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="Extract features from videos, once.",
    help="Extract features from a folder of videos, once; the same command again resumes it.\n\n"
    "VIDEO_DIR holds <class>/..., or train|val|test/<class>/..., or any tree with a videos.csv "
    "(path,label[,split][,group][,start_s,end_s]) at its top. Videos are files ending in "
    f"{_VIDEO_FILES}; hidden and other files are ignored.",
    epilog=example("violence-detection extract-features my_videos --backbone mobilenetv2"),
)
@click.argument("video_dir", type=PATH)
@options_of(config.ExtractConfig)
def extract_features(settings: config.ExtractConfig, shared: CommonFlags, video_dir: str) -> None:
    def make() -> Stage:
        from violence_detection.features.extraction.extract import ExtractionStage

        return ExtractionStage(Path(video_dir), settings, force=shared.force)

    run_stage(
        make,
        shared,
        lines=console_lines,
        failed=lambda result: result.failed,
        plan_lines=lambda plan: console.format_extraction_plan(plan.to_json()),
    )


def console_lines(result: "ExtractionResult") -> list[str]:
    """The console text of an extraction."""
    slow = [f"{path} {seconds:.0f} s" for path, seconds in result.slowest if seconds >= _SLOW_S]
    classes = {name for counts in result.splits for name in counts.by_class}
    detector = ("--one-class", "mahalanobis") if len(classes) == 1 else ()
    return [
        f"features    {result.features}",
        f"videos      {result.videos}: {result.extracted} extracted, {result.reused} reused, "
        f"{result.failed} failed",
        *[f"{counts.split:11s} {counts}" for counts in result.splits],
        f"time        {units.format_duration(result.seconds)}, {result.videos_per_s:.1f} videos/s",
        *([f"slow        {', '.join(slow)} to decode"] if slow else []),
        *console.failure_lines(result.failures),
        next_line("train", "--features", space_lookup.shortest_path(result.features), *detector)
        if result.complete
        else "next        the other shards, then training",
    ]
