"""The command `evaluate-events`: a run on long videos with annotated events."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.config import EventsConfig
from violence_detection.reports import console
from violence_detection.units import counted, hours_words

if TYPE_CHECKING:
    from violence_detection.evaluation.footage.event_scores import EventsResult
    from violence_detection.metrics.localisation import LocalisationScores


@click.command(
    cls=Command,
    short_help="Score a run on annotated events.",
    epilog=example("violence-detection evaluate-events checkpoints/my_run my_videos --split test"),
)
@click.argument("run", type=PATH)
@click.argument("video_dir", type=PATH, metavar="VIDEO_DIR")
@options_of(EventsConfig)
def evaluate_events(settings: EventsConfig, flags: CommonFlags, run: str, video_dir: str) -> None:
    """Score a run on long videos, frame by frame and event by event.

    VIDEO_DIR is a folder whose videos.csv has events as parts (start_s, end_s), as
    import-annotations leaves it; what no violent part covers is normal. The videos are predicted as
    `predict` does. Reported are the area under the ROC curve and the average precision over frames,
    the events found, the time until they are, and false alarms an hour."""

    def stage() -> Stage:
        from violence_detection.evaluation.footage.event_scores import EventsStage

        return EventsStage(run, video_dir, settings, force=flags.force)

    run_stage(stage, flags, lines=event_lines, failed=lambda result: len(result.left_out))


def event_lines(result: "EventsResult") -> list[str]:
    """The console text of a result."""
    scores = result.scores
    recall_text = console.format_fraction(scores.detected, scores.events, scores.event_recall_ci)
    lines = [
        f"run         {result.run}",
        f"videos      {result.videos} of {counted(result.recordings, 'recording')}, "
        f"{hours_words(scores.hours)}, {100 * scores.violent_fraction:.1f}% of it within events",
        f"frames      AUC {_rate(scores.frame_auc, scores.frame_auc_ci)}, average precision "
        f"{_rate(scores.frame_ap, scores.frame_ap_ci)}; by chance {scores.violent_fraction:.3f}",
        f"events      {recall_text} found",
    ]
    if scores.time_to_detect_s is not None:
        lines.append(
            f"delay       {scores.time_to_detect_s:.1f} s from the start of an event to the first "
            f"alarm (median; 90% within {scores.time_to_detect_p90_s:.1f} s)"
        )
    calm_h = scores.hours * (1 - scores.violent_fraction)
    lines += [
        f"false       {counted(scores.false_alarms, 'alarm')} in {hours_words(calm_h)} outside of "
        f"events: {_per_hour(scores, calm_h)}",
        f"threshold   {result.threshold:.3f}",
        *console.failure_lines(result.left_out, whole="events.json", label="left out"),
        f"table       {result.table}",
    ]
    return lines


def _rate(value: float | None, interval: Sequence[float] | None) -> str:
    return "none" if value is None else console.format_number(value, interval)


def _per_hour(scores: "LocalisationScores", calm_h: float) -> str:
    """The rate with its interval; without an alarm the bootstrap has none, and the rule of three
    says what the time shows."""
    if not scores.false_alarms:
        # See `rate_per_hour.hours_needed`.
        return f"fewer than {console.format_per_hour(3 / calm_h)} an hour" if calm_h else "no time"
    rate = f"{console.format_per_hour(scores.false_alarms_per_hour)} an hour"
    low, high = scores.false_alarms_per_hour_ci or (0.0, 0.0)
    if low < high:
        rate += f" (95%: {console.format_per_hour(low)} to {console.format_per_hour(high)})"
    return rate
