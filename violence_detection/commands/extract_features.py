"""Videos to features."""

from pathlib import Path
from typing import Any

import click

from violence_detection import units
from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.datasets.video_folder import EXTENSIONS
from violence_detection.features import config
from violence_detection.reports import console

_VIDEO_FILES = " ".join(sorted(ending.lstrip(".") for ending in EXTENSIONS))


@click.command(
    cls=Command,
    help="Turn a folder of videos into features, once; starting it again continues.\n\n"
    "VIDEO_DIR holds <class>/..., or train|val|test/<class>/..., or any tree with a videos.csv "
    "(path,label[,split][,group][,start_s,end_s]) at its top. Videos are files ending in "
    f"{_VIDEO_FILES}; hidden and other files are ignored.",
    epilog=example("violence-detection extract-features my_videos --backbone mobilenetv2"),
)
@click.argument("video_dir", type=PATH)
@options_of(config.ExtractConfig)
def extract_features(settings: config.ExtractConfig, shared: CommonFlags, video_dir: str) -> None:
    with prints_to_stderr():
        from violence_detection.features.extract import extract_features, plan

        if shared.dry_run:
            planned = plan(Path(video_dir), settings, force=shared.force)
        else:
            extraction = extract_features(Path(video_dir), settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.extraction_table(planned))
    result = extraction.as_dict()
    lines = [
        f"features    {result['features']}",
        f"videos      {result['videos']}: {result['extracted']} extracted, "
        f"{result['reused']} reused, {result['failed']} failed",
        f"time        {units.format_duration(result['seconds'])}, "
        f"{result['videos_per_s']:.1f} videos/s",
        *_slowest_lines(result["slowest"]),
        *console.failure_lines(result["failures"]),
        f"next        violence-detection train --features {result['features']}"
        if extraction.complete
        else "next        the other shards, then training",
    ]
    finish(result, shared, lines, failed=extraction.failed)


def _slowest_lines(slowest: list[dict[str, Any]]) -> list[str]:
    listed = ", ".join(f"{row['path']} {row['seconds']:.1f} s" for row in slowest)
    return [f"slowest     {listed}"] if listed else []
