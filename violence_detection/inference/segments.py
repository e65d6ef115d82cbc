"""Violent intervals on a timeline of windows: the events of an alert policy, once they have
ended."""

from collections.abc import Iterable

from violence_detection.inference.alert_policy import AlertPolicy, AlertSettings, EventChange
from violence_detection.inference.prediction_records import Segment, Window

LOWER_FRACTION = 0.75  # of the threshold, where no lower one is given


def default_lower_threshold(threshold: float) -> float:
    """The lower threshold that goes with an upper one where none is given."""
    return LOWER_FRACTION * threshold


def find_segments(
    windows: Iterable[Window],
    threshold: float,
    *,
    lower: float | None = None,
    confirm: tuple[int, int] = (1, 1),
    close_gaps_s: float = 0.0,
    min_duration_s: float = 0.0,
) -> list[Segment]:
    """Intervals of windows that touch or overlap, at or above `lower`, one of them at or above
    `threshold`; see `AlertPolicy`, whose rule it is.

    Args:
        windows: Ascending.
        threshold: Probability that a segment must reach.
        lower: Probability that it must not fall below; default: `threshold`.
        confirm: n and m: at some window of a segment, n of the last m must have reached the
            threshold.
        close_gaps_s: Segments with no more than this between them are joined.
        min_duration_s: Shorter segments are left out, after gaps are closed.

    Returns:
        Ascending, and without overlap.
    """
    confirm_windows, confirm_of = confirm
    settings = AlertSettings(
        threshold,
        threshold if lower is None else lower,
        confirm_windows=confirm_windows,
        confirm_of=confirm_of,
        close_gaps_s=close_gaps_s,
        min_duration_s=min_duration_s,
    )
    return segments_of(windows, AlertPolicy(settings))


def segments_of(windows: Iterable[Window], policy: AlertPolicy) -> list[Segment]:
    """The segments that a policy makes of all windows of a video."""
    changes = [change for window in windows for change in policy.add(window)]
    return ended_segments(changes + policy.finish())


def ended_segments(changes: Iterable[EventChange]) -> list[Segment]:
    """The segments of the events that have ended."""
    return [
        Segment(event.start_s, event.end_s, event.peak, event.peak_s)
        for event in (change.event for change in changes if change.kind == "end")
    ]
