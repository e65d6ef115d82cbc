"""Rates at every threshold, and their intervals, of scores that can be counted by hand."""

import numpy as np
import pytest

from violence_detection.errors import ConfigError
from violence_detection.metrics.thresholds.threshold_curve import (
    RATES,
    ThresholdCurve,
    threshold_curve,
)

VIOLENT = np.array([True, True, False, False])
SCORES = np.array([0.8, 0.4, 0.6, 0.2])


def curve_of(violent=VIOLENT, scores=SCORES, groups=("a", "b", "c", "d")) -> ThresholdCurve:
    return threshold_curve(np.asarray(violent), np.asarray(scores), groups)


@pytest.mark.parametrize(
    ("threshold", "rates"),
    [
        (0.0, (1, 1, 1 / 2)),
        (0.3, (1, 1 / 2, 2 / 3)),
        (0.5, (1 / 2, 1 / 2, 1 / 2)),
        (0.7, (1 / 2, 0, 1)),
        (0.9, (0, 0, np.nan)),
        (1.0, (0, 0, np.nan)),
    ],
)
def test_the_rates_are_those_of_alarms_at_the_threshold(threshold, rates):
    curve = curve_of()
    place = round(100 * threshold)
    assert curve.thresholds[place] == pytest.approx(threshold)
    np.testing.assert_allclose([curve.rates[name][place] for name in RATES], rates)
    assert (curve.videos, curve.recordings) == (4, 4)


def test_a_score_at_the_threshold_is_an_alarm():
    recall = curve_of([True, False], [0.5, 0.0], ["a", "b"]).rates["recall"]
    assert (recall[50], recall[51]) == (1, 0)


def test_the_interval_is_over_recordings():
    """Of two recordings with a violent video each, one is found: both, one or none are drawn."""
    apart = curve_of([True, True], [0.9, 0.1], ["a", "b"])
    together = curve_of([True, True], [0.9, 0.1], ["a", "a"])
    assert apart.rates["recall"][50] == together.rates["recall"][50] == 0.5
    assert apart.intervals["recall"][:, 50].tolist() == [0, 1]
    assert together.intervals["recall"][:, 50].tolist() == [0.5, 0.5]
    assert (apart.recordings, together.recordings) == (2, 1)


def test_a_rate_of_no_videos_is_not_a_number():
    curve = curve_of([False, False], [0.9, 0.1], ["a", "b"])
    assert np.isnan(curve.rates["recall"]).all() and np.isnan(curve.intervals["recall"]).all()
    assert curve.rates["false_positive_rate"][50] == 0.5
    assert curve.rates["precision"][50] == 0


def test_scores_must_be_probabilities():
    with pytest.raises(ConfigError):
        curve_of([True, False], [1.2, 0.0], ["a", "b"])
