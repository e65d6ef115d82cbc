"""What a run says about videos that it has never seen."""

from typing import Any

import click

from violence_detection import config, units
from violence_detection.door import (
    ANY_PATH,
    PATH,
    Command,
    Shared,
    example,
    finish,
    options_of,
    working,
)
from violence_detection.errors import VideoError


@click.command(
    cls=Command,
    epilog=example("violence-detection predict checkpoints/my_run camera_1.mp4"),
)
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, required=True, type=ANY_PATH, metavar="VIDEO...")
@options_of(config.PredictConfig, writes=False)
def predict(
    settings: config.PredictConfig, shared: Shared, run: str, videos: tuple[str, ...]
) -> None:
    """Say how likely violence is in videos of any length, and where.

    A VIDEO may be a folder; it stands for the videos in it."""
    with working():
        from violence_detection import prediction

        result = prediction.predict(run, videos, settings, force=shared.force)
    rows = result["videos"]
    failed = [row for row in rows if row["error"]]
    if len(failed) == len(rows):
        raise VideoError(
            f"At least one video must be readable. Received: {failed[0]['path']} "
            f"({failed[0]['error']})"
            + (f" and {len(failed) - 1} more" if failed[1:] else "")
        )
    lines = [line for row in rows for line in _prediction_lines(row)]
    finish(result, shared, lines, failed=len(failed))


def _prediction_lines(row: dict[str, Any]) -> list[str]:
    if row["error"]:
        return [f"{row['path']}  not read: {row['error']}"]
    lines = [f"{row['path']}  {row['label']}  {row['probability']:.3f}"]
    for one in row["segments"]:
        span = f"{units.format_duration(one['start_s'])}-{units.format_duration(one['end_s'])}"
        lines.append(f"    {span}  peak {one['peak']:.3f}")
    return lines
