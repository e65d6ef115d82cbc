"""Violent intervals on a timeline of windows."""

from collections.abc import Iterable

from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.units import TOUCH_S

LOWER_FRACTION = 0.75  # of the threshold, where no lower one is given


def default_lower_threshold(threshold: float) -> float:
    """The lower threshold that goes with an upper one where none is given."""
    return LOWER_FRACTION * threshold


def find_segments(
    windows: Iterable[Window],
    threshold: float,
    *,
    lower: float | None = None,
    close_gaps_s: float = 0.0,
    min_duration_s: float = 0.0,
) -> list[Segment]:
    """Intervals of windows that touch or overlap, at or above `lower`, one of them at or above
    `threshold`; see `SegmentFinder`, which takes the same arguments.

    Args:
        windows: Ascending.

    Returns:
        Ascending, and without overlap.
    """
    finder = SegmentFinder(
        threshold, lower=lower, close_gaps_s=close_gaps_s, min_duration_s=min_duration_s
    )
    segments = [segment for window in windows for segment in finder.add(window)]
    return segments + finder.end()


class SegmentFinder:
    """Finds the violent segments of one video while its windows come.

    A probability that wavers about the upper threshold does not split a segment.

    `evaluation/false_alarms.py` counts segments by the same rule without this class, at all
    thresholds at a time; a change of the rule must be made there too.

    Reference:
        Canny, A Computational Approach to Edge Detection, 1986 (hysteresis)
    """

    def __init__(
        self,
        threshold: float,
        *,
        lower: float | None = None,
        close_gaps_s: float = 0.0,
        min_duration_s: float = 0.0,
    ) -> None:
        """
        Args:
            threshold: Probability that a segment must reach.
            lower: Probability that it must not fall below; default: `threshold`.
            close_gaps_s: Segments with no more than this between them are joined.
            min_duration_s: Shorter segments are left out, after gaps are closed.
        """
        self._threshold = threshold
        self._lower = threshold if lower is None else min(lower, threshold)
        self._gap_s, self._min_duration_s = close_gaps_s + TOUCH_S, min_duration_s
        self._run: Segment | None = None  # windows above `lower` that touch
        self._segment: Segment | None = None  # the last one, which a later run may widen

    def add(self, window: Window) -> list[Segment]:
        """Adds the next window; returns the segments that no later window can change."""
        finished: list[Segment] = []
        if self._run and window.start_s > self._run.end_s + TOUCH_S:
            finished += self._end_run()
        if window.probability >= self._lower:
            added = Segment(window.start_s, window.end_s, window.probability, window.middle_s)
            self._run = _joined(self._run, added) if self._run else added
        next_s = self._run.start_s if self._run else window.start_s
        if self._segment and next_s > self._segment.end_s + self._gap_s:
            finished += self._finish()
        return finished

    def end(self) -> list[Segment]:
        """The segments that only the end of the video finishes."""
        return self._end_run() + self._finish()

    def _end_run(self) -> list[Segment]:
        """Makes the run a segment, or a part of the last one; returns that if it is finished."""
        run, self._run = self._run, None
        if run is None or run.peak < self._threshold:
            return []
        if self._segment and run.start_s <= self._segment.end_s + self._gap_s:
            self._segment = _joined(self._segment, run)
            return []
        finished = self._finish()
        self._segment = run
        return finished

    def _finish(self) -> list[Segment]:
        segment, self._segment = self._segment, None
        if segment is None or segment.duration_s < self._min_duration_s - 1e-9:
            return []
        return [segment]


def _joined(segment: Segment, added: Segment) -> Segment:
    """The interval of both, with the higher peak."""
    highest = added if added.peak > segment.peak else segment
    return Segment(segment.start_s, max(segment.end_s, added.end_s), highest.peak, highest.peak_s)
