"""Violent intervals on a timeline of windows."""

import dataclasses
from collections.abc import Sequence

from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.units import TOUCH_S

LOWER_FRACTION = 0.75  # of the threshold, where no lower one is given


def default_lower_threshold(threshold: float) -> float:
    """The lower threshold that goes with an upper one where none is given."""
    return LOWER_FRACTION * threshold


def find_segments(
    windows: Sequence[Window],
    threshold: float,
    *,
    lower: float | None = None,
    close_gaps_s: float = 0.0,
    min_duration_s: float = 0.0,
) -> list[Segment]:
    """Intervals of windows that touch or overlap, at or above `lower`, one of them at or above
    `threshold`.

    A probability that wavers about the upper threshold does not split a segment.

    `evaluation/false_alarms.py` counts segments by the same rule without this function, at all
    thresholds at a time; a change of the rule must be made there too.

    Args:
        windows: Ascending.
        threshold: Probability that a segment must reach.
        lower: Probability that it must not fall below; default: `threshold`.
        close_gaps_s: Segments with no more than this between them are joined.
        min_duration_s: Shorter segments are left out, after gaps are closed.

    Returns:
        Ascending, and without overlap.

    Reference:
        Canny, A Computational Approach to Edge Detection, 1986 (hysteresis)
    """
    lower = threshold if lower is None else min(lower, threshold)
    candidates: list[Segment] = []
    for window in windows:
        if window.probability >= lower:
            segment = Segment(window.start_s, window.end_s, window.probability, window.middle_s)
            _append_or_widen(candidates, segment, TOUCH_S)
    closed: list[Segment] = []
    for segment in candidates:
        if segment.peak >= threshold:
            _append_or_widen(closed, segment, close_gaps_s + TOUCH_S)
    return [segment for segment in closed if segment.duration_s >= min_duration_s - 1e-9]


def _append_or_widen(segments: list[Segment], added: Segment, gap_s: float) -> None:
    """Adds a segment, or widens the last one where no more than `gap_s` lies between them."""
    if not segments or added.start_s > segments[-1].end_s + gap_s:
        segments.append(added)
        return
    last = segments[-1]
    highest = added if added.peak > last.peak else last
    segments[-1] = dataclasses.replace(
        last,
        end_s=max(last.end_s, added.end_s),
        peak=highest.peak,
        peak_s=highest.peak_s,
    )
