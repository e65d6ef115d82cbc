"""Threshold of a camera by false alarms an hour, from the scores of its own quiet hours."""

import bisect
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from violence_detection.errors import EvidenceError
from violence_detection.inference.alert_policy import AlertPolicy, AlertSettings
from violence_detection.inference.prediction_records import Window
from violence_detection.metrics.rate_per_hour import hours_needed, poisson_interval
from violence_detection.units import hours_words, rate_words

_ACCEPTABLE = 1.0  # an hour: nobody looks at more for long
_HIGHEST = 0.9999  # a threshold above it would never raise an alert
_COARSE = 48  # thresholds that are tried from the top down before the bisection
_TIE = 1e-9


@dataclass(frozen=True)
class Calibration:
    """A threshold for a camera, and the evidence for it.

    Attributes:
        threshold: The lowest that keeps the budget in the footage, as every higher one does.
        per_hour: The budget: false alarms an hour.
        hours: Judged hours that it is chosen on.
        alarms: False alarms at the threshold in them.
        alarms_per_hour: Their rate. It is that of the footage that the threshold was chosen on:
            other days may have more.
        interval: [low, high] of the rate at 95%, exact for independent alarms (Garwood).
        before: Threshold that the camera has now.
        alarms_before: False alarms at that threshold.
    """

    threshold: float
    per_hour: float
    hours: float
    alarms: int
    alarms_per_hour: float
    interval: tuple[float, float]
    before: float
    alarms_before: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def calibrate(
    stretches: Sequence[Sequence[Window]], settings: AlertSettings, *, per_hour: float
) -> Calibration:
    """Chooses the threshold of a camera by replaying its alert policy.

    Args:
        stretches: Windows of quiet time, each stretch without a gap in it, in their order.
        settings: Of the camera; `threshold` is replaced, the lower threshold keeps its share of it.
        per_hour: False alarms an hour that are accepted, over 0. An alarm that lasts counts once a
            minute, so that one endless alarm is not one.

    Raises:
        EvidenceError: If the footage is too short to show the rate even without an alarm, or no
            threshold keeps it.
    """
    hours = sum(rows[-1].end_s - rows[0].start_s for rows in stretches if rows) / 3600
    needed = hours_needed(per_hour)
    if hours < needed:
        shown = hours_needed(1.0) / hours if hours else math.inf
        or_accept = f", or accept {rate_words(shown)}" if shown <= _ACCEPTABLE else ""
        raise EvidenceError(
            f"A false-alarm rate of {rate_words(per_hour)} must be measured on {needed:.0f} hours "
            f"or more without violence. Received: {hours_words(hours)}. "
            f"Let the camera be watched for {hours_words(needed - hours)} more{or_accept}"
        )

    def burden(threshold: float) -> float:
        return max(false_alarms(stretches, with_threshold(settings, threshold)))

    def keeps(threshold: float) -> bool:
        return burden(threshold) / hours <= per_hour + _TIE

    candidates = _candidates(stretches, settings)
    if not keeps(candidates[-1]):
        raise EvidenceError(
            f"Some threshold up to {_HIGHEST} must keep {per_hour:g} false alarms an hour. "
            f"Received: {rate_words(burden(candidates[-1]) / hours)} at {candidates[-1]:.4f}; "
            "judge the events of this camera, and train on them"
        )
    # A higher threshold may split an alarm in two, so the count does not only fall: from the top
    # down, every threshold that is tried above the chosen one must keep the rate.
    places = np.unique(np.linspace(0, len(candidates) - 1, _COARSE).astype(int))[::-1].tolist()
    good = places[0]
    for place in places[1:]:
        if not keeps(candidates[place]):
            good = bisect.bisect_left(
                range(len(candidates)), True, place + 1, good, key=lambda at: keeps(candidates[at])
            )
            break
        good = place
    threshold = candidates[good]
    alarms = false_alarms(stretches, with_threshold(settings, threshold))[0]
    return Calibration(
        threshold=threshold,
        per_hour=per_hour,
        hours=hours,
        alarms=int(alarms),
        alarms_per_hour=alarms / hours,
        interval=tuple(poisson_interval(int(alarms), hours)),
        before=settings.threshold,
        alarms_before=int(false_alarms(stretches, settings)[0]),
    )


def false_alarms(
    stretches: Sequence[Sequence[Window]], settings: AlertSettings
) -> tuple[float, float]:
    """Alarms in quiet time, without those that only continue one, and minutes in alarm."""
    count, minutes = 0, 0.0
    for rows in stretches:
        policy = AlertPolicy(settings)
        for window in rows:
            for change in policy.add(window):
                count += change.kind == "start" and change.event.continues is None
                if change.kind == "end":
                    minutes += change.event.duration_s / 60
        minutes += sum(change.event.duration_s for change in policy.finish()) / 60
    return float(count), minutes


def with_threshold(settings: AlertSettings, threshold: float) -> AlertSettings:
    """The settings with another threshold; the lower one keeps its share of it."""
    share = settings.lower_threshold / settings.threshold
    return dataclasses.replace(settings, threshold=threshold, lower_threshold=share * threshold)


def _candidates(stretches: Sequence[Sequence[Window]], settings: AlertSettings) -> list[float]:
    """Thresholds at which alarms may change, ascending: between the probabilities of windows, and
    of windows as the lower threshold sees them."""
    scores = np.array([window.probability for rows in stretches for window in rows])
    share = settings.lower_threshold / settings.threshold
    edges = np.unique(np.concatenate([scores, scores / share]))
    edges = np.append(edges[edges < _HIGHEST], _HIGHEST)
    edges = np.append(edges[:1] / 2, edges)
    return ((edges[:-1] + edges[1:]) / 2).tolist()
