"""Rates of a detector in time: frames of long videos, and events in them.

A timeline is a video as a row of frames of 40 ms, whatever its rate. The score of a frame is the
mean probability of the windows that cover it, 0 where none does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from violence_detection.metrics.intervals import bootstrap_band

FRAME_S = 0.04
_BINS = 1000  # of the scores, of frames

Span = tuple[float, float]  # start and end in seconds


@dataclass(frozen=True)
class Timeline:
    """A video with annotated events, and what a detector says of it.

    Attributes:
        events: Annotated events, in order.
        segments: The detector's events, in order.
        alarms_s: The end of each window that reaches the threshold: the first moment at which it
            can be told, in order.
        counts: Number of normal and of violent frames by their score, int64 (2, 1001).
        duration_s: Length of the video.
    """

    events: tuple[Span, ...]
    segments: tuple[Span, ...]
    alarms_s: tuple[Span, ...]
    counts: np.ndarray
    duration_s: float

    @classmethod
    def from_windows(
        cls,
        events: Sequence[Span],
        windows: Sequence[Span],
        probability: Sequence[float],
        segments: Sequence[Span],
        *,
        threshold: float,
        duration_s: float,
    ) -> Self:
        """The timeline of a video.

        Args:
            events: Annotated events, in order.
            windows: Start and end of each window.
            probability: That of each window.
            segments: The detector's events, in order.
            threshold: Of a window that raises an alarm.
            duration_s: Length of the video.
        """
        middles_s = (np.arange(max(1, round(duration_s / FRAME_S))) + 0.5) * FRAME_S
        total, covering = np.zeros(len(middles_s)), np.zeros(len(middles_s))
        for (start_s, end_s), value in zip(windows, probability, strict=True):
            first, last = np.searchsorted(middles_s, (start_s, end_s))
            total[first:last] += value
            covering[first:last] += 1
        score = total / np.maximum(covering, 1)
        violent = np.zeros(len(middles_s), bool)
        for start_s, end_s in events:
            violent |= (middles_s >= start_s) & (middles_s < end_s)
        bins = np.rint(np.clip(score, 0, 1) * _BINS).astype(int)
        sides = [np.bincount(bins[side], minlength=_BINS + 1) for side in (~violent, violent)]
        alarms = [
            span for span, value in zip(windows, probability, strict=True) if value >= threshold
        ]
        return cls(
            tuple(events), tuple(segments), tuple(alarms), np.stack(sides), float(duration_s)
        )

    @property
    def event_s(self) -> float:
        """Seconds within events."""
        return sum(end_s - start_s for start_s, end_s in self.events)

    def detected(self) -> list[bool]:
        """For each event, whether one of the detector's overlaps it."""
        return [any(overlaps(event, segment) for segment in self.segments) for event in self.events]

    def delays_s(self) -> list[float]:
        """For each event with an alarm, the seconds from its start to the first moment at which a
        window that overlaps it can be told; 0 where that is before its start."""
        delays = []
        for event in self.events:
            alarm_ends_s = [
                end_s for start_s, end_s in self.alarms_s if overlaps((start_s, end_s), event)
            ]
            if alarm_ends_s:
                delays.append(max(0.0, min(alarm_ends_s) - event[0]))
        return delays

    def false_alarms(self) -> int:
        """Number of the detector's events that overlap no annotated one."""
        return sum(
            not any(overlaps(segment, event) for event in self.events) for segment in self.segments
        )


def overlaps(first: Span, second: Span) -> bool:
    """True if two intervals share more than a moment."""
    return first[0] < second[1] and second[0] < first[1]


@dataclass(frozen=True)
class LocalisationScores:
    """Rates over the timelines of some videos; each interval is [low, high] at 95%, over
    recordings.

    Attributes:
        frame_auc: Area under the ROC curve of all frames together; None where all frames are
            normal, or all violent.
        frame_ap: Average precision of all frames together; None without violent frames.
        violent_fraction: Fraction of violent frames: the average precision of a detector that
            knows nothing.
        events, detected: Number of events, and of those that the detector overlaps.
        event_recall: detected / events; 0.0 without events.
        time_to_detect_s, time_to_detect_p90_s: Median and 90% quantile of the seconds from the
            start of an event to the first alarm in it; None where there is none.
        false_alarms: Number of the detector's events that overlap no annotated one.
        false_alarms_per_hour: Of the time outside of events; 0.0 where there is none.
        hours: Hours of video.
        frame_auc_ci, frame_ap_ci, event_recall_ci, false_alarms_per_hour_ci: Intervals; None where
            the rate is.
    """

    frame_auc: float | None
    frame_ap: float | None
    violent_fraction: float
    events: int
    detected: int
    event_recall: float
    time_to_detect_s: float | None
    time_to_detect_p90_s: float | None
    false_alarms: int
    false_alarms_per_hour: float
    hours: float
    frame_auc_ci: list[float] | None
    frame_ap_ci: list[float] | None
    event_recall_ci: list[float] | None
    false_alarms_per_hour_ci: list[float] | None


def localisation_scores(
    timelines: Sequence[Timeline], groups: Sequence[str], *, resamples: int, seed: int
) -> LocalisationScores:
    """The rates over some videos, N >= 1.

    Args:
        timelines: The videos.
        groups: The recording of each.
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    counts = np.stack([line.counts for line in timelines])
    events = np.array([len(line.events) for line in timelines])
    detected = np.array([sum(line.detected()) for line in timelines])
    alarms = np.array([line.false_alarms() for line in timelines])
    calm_h = np.array([line.duration_s - line.event_s for line in timelines]) / 3600

    def rates(weights: np.ndarray) -> np.ndarray:
        """frame_auc, frame_ap, event_recall and false_alarms_per_hour, (R, 4)."""
        frames = np.tensordot(weights.astype(float), counts, axes=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack(
                [
                    _auc(frames),
                    _average_precision(frames),
                    (weights @ detected) / (weights @ events),
                    (weights @ alarms) / (weights @ calm_h),
                ],
                axis=1,
            )

    values = rates(np.ones((1, len(timelines)), int))[0].tolist()
    band = bootstrap_band(groups, rates, resamples=resamples, seed=seed)
    intervals = [
        None if np.isnan(band[:, column]).any() else band[:, column].tolist() for column in range(4)
    ]
    delays_s = [delay for line in timelines for delay in line.delays_s()]
    frame_auc, frame_ap, recall, per_hour = (
        None if np.isnan(value) else float(value) for value in values
    )
    return LocalisationScores(
        frame_auc=frame_auc,
        frame_ap=frame_ap,
        violent_fraction=float(counts[:, 1].sum() / counts.sum()),
        events=int(events.sum()),
        detected=int(detected.sum()),
        event_recall=recall or 0.0,
        time_to_detect_s=float(np.median(delays_s)) if delays_s else None,
        time_to_detect_p90_s=float(np.quantile(delays_s, 0.9)) if delays_s else None,
        false_alarms=int(alarms.sum()),
        false_alarms_per_hour=per_hour or 0.0,
        hours=sum(line.duration_s for line in timelines) / 3600,
        frame_auc_ci=intervals[0],
        frame_ap_ci=intervals[1],
        event_recall_ci=intervals[2],
        false_alarms_per_hour_ci=intervals[3],
    )


def _auc(frames: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of counts by score, (R, 2, B) -> (R,); equal scores count half."""
    normal, violent = frames[:, 0], frames[:, 1]
    below = np.cumsum(normal, axis=1) - normal
    ranked = (violent * (below + normal / 2)).sum(1)
    return ranked / (normal.sum(1) * violent.sum(1))


def _average_precision(frames: np.ndarray) -> np.ndarray:
    """``sum_n (R_n - R_{n-1}) P_n`` over the scores, the highest first, (R, 2, B) -> (R,)."""
    normal, violent = frames[:, 0, ::-1], frames[:, 1, ::-1]
    hits, alarms = np.cumsum(violent, axis=1), np.cumsum(violent + normal, axis=1)
    precision = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
    return (violent * precision).sum(1) / violent.sum(1)
