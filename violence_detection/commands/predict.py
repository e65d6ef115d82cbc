"""The command `predict`: probabilities and violent segments of videos."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._options import ANY_PATH, PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, run_stage
from violence_detection.inference import config
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.inference.prediction_records import (
        PredictionResult,
        SourcePrediction,
        WindowOutputs,
    )

_UNREADABLE = "unreadable"  # in place of a label


@click.command(
    cls=Command,
    short_help="Find violence in videos.",
    epilog=example("violence-detection predict checkpoints/my_run camera_1.mp4"),
)
@click.argument("run", type=PATH)
@click.argument("videos", nargs=-1, required=True, type=ANY_PATH, metavar="VIDEO...")
@options_of(config.PredictConfig)
def predict(
    settings: config.PredictConfig, shared: CommonFlags, run: str, videos: tuple[str, ...]
) -> None:
    """Predict the probability of violence in videos of any length, and when it happens.

    A VIDEO is a file, a folder of videos, a pattern in quotes ('cameras/**/*.mp4'), - for a list
    on stdin, the URL of a stream, or the number of a camera."""

    def make():
        from violence_detection.inference.predict import PredictionStage

        return PredictionStage(run, videos, settings, force=shared.force)

    def count_failed(result: "PredictionResult") -> int:
        return sum(bool(source.error) for source in result.videos)

    run_stage(make, shared, lines=_lines, failed=count_failed)


def _lines(result: "PredictionResult") -> list[str]:
    """A table: a line for each video, and below it a line for each segment."""
    labels = [source.prediction.label if source.prediction else "" for source in result.videos]
    label_width = min(max(len(label or _UNREADABLE) for label in labels), 24)
    lines = [f"score  {'label':{label_width}s}  video, and its violent segments"]
    lines += [line for source in result.videos for line in _video_lines(source, label_width)]
    lines += [
        "",
        f"threshold   {result.threshold:.3f}; segments extend down to {result.lower_threshold:.3f}",
        *console.class_threshold_lines(result.class_thresholds),
        f"engine      {result.engine}",
        *([f"novelty     {result.novelty_note}"] if result.novelty_note else []),
        *_caution_lines(result.videos),
    ]
    return [*lines, *_written_lines(result.written)]


def _caution_lines(videos: "Sequence[SourcePrediction]", limit: int = 3) -> list[str]:
    """A line on the files that the run was trained on; empty if there are none."""
    trained = [video for video in videos if video.training_split]
    if not trained:
        return []
    splits = {video.training_split for video in trained}
    verbs = {"train": "learned from", "validation": "was chosen on"}
    verb = " or ".join(text for split, text in verbs.items() if split in splits)
    which = "this video: its probability is"
    if len(videos) > 1:
        names = ", ".join(video.path for video in trained[:limit])
        rest = f" and {len(trained) - limit} more" if trained[limit:] else ""
        which = f"{len(trained)} of these videos ({names}{rest}): the probabilities are"
    return [f"caution     the run {verb} {which} no evidence for new footage"]


def _written_lines(paths: Sequence[Path], limit: int = 6) -> list[str]:
    lines = [f"written     {path}" for path in paths[:limit]]
    if len(paths) > limit:
        lines.append(f"written     and {len(paths) - limit} more")
    return lines


def _video_lines(source: "SourcePrediction", label_width: int) -> list[str]:
    prediction = source.prediction
    if prediction is None:
        return [f"{'':5s}  {_UNREADABLE:{label_width}s}  {source.path}: {source.error}"]
    lines = [f"{prediction.probability:.3f}  {prediction.label:{label_width}s}  {source.path}"]
    indent = f"{'':{label_width}s}      "
    for segment in prediction.segments:
        span = f"{_clock(segment.start_s)} to {_clock(segment.end_s)}"
        line = f"{segment.peak:.3f}  {indent}{span}, peak at {_clock(segment.peak_s)}"
        if source.start:
            start, end = (
                source.start + timedelta(seconds=time_s)
                for time_s in (segment.start_s, segment.end_s)
            )
            line += f" ({start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S})"
        lines.append(line)
    if prediction.outputs:
        lines.append(f"{'':5s}  {indent}{_outputs_text(prediction.outputs)}")
    if prediction.novel_windows:
        count = len(prediction.windows)
        lines.append(
            f"{'':5s}  {indent}{prediction.novel_windows} of {counted(count, 'window')} unlike "
            "anything it was trained on"
        )
    for clip in prediction.nearest:
        lines.append(
            f"{'':5s}  {indent}near {clip.label} {clip.path} (distance {clip.distance:.2f}, "
            f"recording {clip.group})"
        )
    if source.error:
        lines.append(f"{'':5s}  {indent}{source.error}")
    return lines


def _outputs_text(outputs: "WindowOutputs") -> str:
    """`likeliest class fight, 81%; anomaly score 0.713 (svdd 0.713)`, as far as they exist."""
    parts = []
    if outputs.class_name is not None:
        parts.append(f"likeliest class {outputs.class_name}, {outputs.confidence:.0%}")
    if outputs.anomaly_scores:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in outputs.anomaly_scores.items())
        parts.append(f"anomaly score {outputs.anomaly_score:.3f} ({scores})")
    return "; ".join(parts)


def _clock(time_s: float) -> str:
    """`0:01:15.5`, as a player shows a position."""
    minutes, seconds = divmod(round(time_s, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}"
