"""Recall, false positive rate and precision over the threshold, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from violence_detection.metrics import input_checks
from violence_detection.metrics.intervals import bootstrap_band, ratio

RATES = ("recall", "false_positive_rate", "precision")
_THRESHOLDS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class ThresholdCurve:
    """The rates of N videos at each of G thresholds.

    Attributes:
        thresholds: float (G,), from 0 to 1.
        rates: By name of `RATES`, float (G,); NaN where the denominator is 0.
        intervals: By name, low and high at 95%, float (2, G); NaN where not defined.
        videos, recordings: How many there are.
    """

    thresholds: np.ndarray
    rates: Mapping[str, np.ndarray]
    intervals: Mapping[str, np.ndarray]
    videos: int
    recordings: int


def threshold_curve(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 500,
    seed: int = 42,
) -> ThresholdCurve:
    """The curve of some videos; the intervals are a bootstrap over recordings.

    Args:
        violent: bool (N,).
        probability: float (N,), of violence, in [0, 1].
        groups: The recording of each video (N,).
        resamples, seed: See `intervals.bootstrap_over_recordings`.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = input_checks.checked_scores(violent, probability)
    alarm = (probability[:, None] >= _THRESHOLDS).astype(np.float64)
    hit = alarm * violent[:, None]

    def rates_of(counts: np.ndarray) -> np.ndarray:
        """All rates of R resamples, (R, 3 G), in the order of `RATES`."""
        counts = counts.astype(np.float64)
        hits, alarms = counts @ hit, counts @ alarm
        positive = counts @ violent.astype(np.float64)[:, None]
        normal = counts.sum(axis=1, keepdims=True) - positive
        rates = (ratio(hits, positive), ratio(alarms - hits, normal), ratio(hits, alarms))
        return np.concatenate(rates, axis=1)

    values = rates_of(np.ones((1, violent.size)))[0]
    band = bootstrap_band(groups, rates_of, resamples=resamples, seed=seed)
    places = {
        name: slice(number * _THRESHOLDS.size, (number + 1) * _THRESHOLDS.size)
        for number, name in enumerate(RATES)
    }
    return ThresholdCurve(
        thresholds=_THRESHOLDS,
        rates={name: values[place] for name, place in places.items()},
        intervals={name: band[:, place] for name, place in places.items()},
        videos=int(violent.size),
        recordings=len(set(np.asarray(groups).tolist())),
    )
