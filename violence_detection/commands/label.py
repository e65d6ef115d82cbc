"""What a person has judged goes back into the dataset."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.evaluation import config


@click.command(
    cls=Command,
    epilog=example(
        "violence-detection label checkpoints/my_run camera_1.mp4 nonviolent "
        "--start-s 12 --end-s 15"
    ),
)
@click.argument("run", type=PATH)
@click.argument("video", type=ANY_PATH)
@click.argument("label")
@options_of(config.LabelConfig)
def label(
    settings: config.LabelConfig, shared: CommonFlags, run: str, video: str, label: str
) -> None:
    """Write a label that a person gives into the dataset's videos.csv, with who and when.

    VIDEO is a video of the dataset, by its path or as the report names it, or any other, which is
    copied into the dataset's folder `judged`; with --start-s and --end-s a part of it. The next
    extraction and training use it; what a label was before is kept in labels_history.csv. --force
    replaces what somebody else has judged."""
    with prints_to_stderr():
        from violence_detection.evaluation import labelling

        result = labelling.label_video(
            run, video, label, settings, plan=shared.dry_run, force=shared.force
        )
    finish(result, shared, label_lines(result))


def label_lines(result: dict[str, Any]) -> list[str]:
    was = result["was"] or "not in the dataset"
    recording = result["group"] or "not known; --group names it"
    lines = [
        f"video       {result['video']}" + (" (copied)" if result["copied"] else ""),
        f"label       {result['label']} (was: {was})",
        f"recording   {recording}",
        f"by          {result['by']}, {result['at']}",
        f"table       {result['videos_csv']}" + (" (new)" if result["created"] else ""),
    ]
    for row in result["overlaps"]:
        lines.append(f"warning     {row} shares a part with it: the two contradict each other")
    if result["dry_run"]:
        return [*lines, "nothing is written (--dry-run)"]
    return [*lines, "next        extract-features, then train: both use it"]
