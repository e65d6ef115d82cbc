"""What a run says about videos that it has never seen."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.errors import VideoError
from violence_detection.inference import config
from violence_detection.reports import console


@click.command(
    cls=Command,
    epilog=example("violence-detection predict checkpoints/my_run camera_1.mp4"),
)
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, required=True, type=ANY_PATH, metavar="VIDEO...")
@options_of(config.PredictConfig)
def predict(
    settings: config.PredictConfig, shared: CommonFlags, run: str, videos: tuple[str, ...]
) -> None:
    """Say how likely violence is in videos of any length, and where.

    A VIDEO is a file, a folder of them, a pattern in quotes ('cameras/**/*.mp4'), - for a list on
    stdin, the URL of a stream, or the number of a camera."""
    with prints_to_stderr():
        from violence_detection.inference import predict
        from violence_detection.inference.predict import plan

        if shared.dry_run:
            planned = plan(run, videos, settings, force=shared.force)
        else:
            result = predict.predict_videos(run, videos, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    rows = result["videos"]
    failed = [row for row in rows if row["error"]]
    if not any(row["windows"] for row in rows):
        raise VideoError(
            f"At least one video must be readable. Received: {failed[0]['path']} "
            f"({failed[0]['error']})" + (f" and {len(failed) - 1} more" if failed[1:] else "")
        )
    finish(result, shared, _lines(result), failed=len(failed))


def _lines(result: dict[str, Any]) -> list[str]:
    """A table: a line a video, and below it one a segment."""
    rows = result["videos"]
    room = min(max(len(row["label"]) for row in rows), 24)
    lines = [line for row in rows for line in _video_lines(row, room)]
    lines += [
        "",
        f"threshold   {result['threshold']:.3f}; segments go on down to "
        f"{result['lower_threshold']:.3f}",
        f"engine      {result['engine']}",
    ]
    return [*lines, *_written_lines(result["written"])]


def _written_lines(paths: list[str], most: int = 6) -> list[str]:
    lines = [f"written     {path}" for path in paths[:most]]
    if len(paths) > most:
        lines.append(f"written     and {len(paths) - most} more")
    return lines


def _video_lines(row: dict[str, Any], room: int) -> list[str]:
    if not row["windows"]:
        return [f"{'':5s}  {'unread':{room}s}  {row['path']}: {row['error']}"]
    lines = [f"{row['probability']:.3f}  {row['label']:{room}s}  {row['path']}"]
    for one in row["segments"]:
        span = f"{_clock(one['start_s'])} to {_clock(one['end_s'])}"
        lines.append(
            f"{one['peak']:.3f}  {'':{room}s}      {span}, peak at {_clock(one['peak_s'])}"
        )
    if row["error"]:
        lines.append(f"{'':5s}  {'':{room}s}      {row['error']}")
    return lines


def _clock(time_s: float) -> str:
    """`0:01:15.5`: people look for a place in a player."""
    minutes, seconds = divmod(round(time_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}"
