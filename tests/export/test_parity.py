"""Differences of predictions, their tolerance, and their cost in AUC."""

import numpy as np
import pytest

from violence_detection.export import parity
from violence_detection.export.formats._format import Tolerance


def test_differences_are_over_all_classes():
    reference = np.array([[0.7, 0.3], [0.2, 0.8]])
    exported = np.array([[0.6, 0.4], [0.2, 0.8]])
    found = parity.compare_predictions(
        reference, exported, violent=np.array([False, True]), threshold=0.35
    )
    assert found["max_abs_difference"] == pytest.approx(0.1)
    assert found["mean_abs_difference"] == pytest.approx(0.05)
    assert found["equal_decisions"] == 0.5
    assert found["auc_before"] == found["auc_after"] == 1.0


@pytest.mark.parametrize(
    ("found", "away", "text"),
    [
        ((1e-4, 1.0), 0.5, ""),
        ((2e-3, 1.0), 0.5, "a probability differs by 0.002, more than 0.001"),
        ((1e-4, 0.9), 0.5, "90.0% of decisions are equal, fewer than 98%"),
        ((0.0, 1.0), np.nan, "it predicts NaN"),
    ],
)
def test_a_figure_beyond_its_tolerance_is_named(found, away, text):
    numbers = dict(zip(("max_abs_difference", "equal_decisions"), found, strict=True))
    tolerance = Tolerance(1e-3, agreement=0.98)
    assert parity.describe_excess(numbers, np.array([[away]]), tolerance) == text


def test_the_same_predictions_cost_nothing():
    rng = np.random.default_rng(0)
    violent = np.arange(20) % 2 > 0
    score = rng.random(20)
    same = np.stack([1 - score, score], axis=1)
    asked = {"groups": [str(n // 2) for n in range(20)], "threshold": 0.5}
    cost = parity.measure_cost(same, same, violent=violent, resamples=200, seed=1, **asked)
    assert cost == {"auc_difference": 0.0, "auc_ci": [0.0, 0.0], "equal_decisions": 1.0}
