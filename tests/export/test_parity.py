"""Differences of predictions, their causes, their tolerance, and their cost in AUC."""

import dataclasses
import re

import numpy as np
import pytest

from violence_detection.export import parity
from violence_detection.export.formats._format import Tolerance
from violence_detection.export.parity import Cost, VideoPredictions

VIOLENT = np.array([False, True])


def rows(*violent: float) -> np.ndarray:
    """Predictions of two classes, (N, 2)."""
    return np.stack([1 - np.array(violent), violent], axis=1)


def test_differences_are_over_all_classes():
    compared = parity.compare_predictions(
        rows(0.3, 0.8), rows(0.4, 0.8), violent=VIOLENT, threshold=0.35
    )
    assert compared.max_abs_difference == pytest.approx(0.1)
    assert compared.mean_abs_difference == pytest.approx(0.05)
    assert compared.changed_decisions == 1 and compared.equal_decisions == 0.5
    assert compared.auc_before == compared.auc_after == 1.0


def predictions(**changed: np.ndarray) -> VideoPredictions:
    same = rows(0.2, 0.8)
    names = [field.name for field in dataclasses.fields(VideoPredictions)]
    return VideoPredictions(**dict.fromkeys(names, same) | changed)


def test_each_cause_is_measured_alone():
    compared = parity.compare_as_they_are(
        predictions(resized=rows(0.6, 0.8), exported=rows(0.6, 0.5)),
        violent=VIOLENT,
        threshold=0.5,
    )
    changed = {name: cause.changed_decisions for name, cause in compared.causes.items()}
    assert changed == {"windows": 0, "frame_size": 1, "frame_rate": 0, "precision": 1}
    assert compared.causes["frame_size"].max_abs_difference == pytest.approx(0.4)
    assert compared.changed_fraction == 0.5
    assert (compared.auc_of_run, compared.auc_of_file) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("own", "predicted in windows.*predict does so, too"),
        ("resized", r"resized to the file's size \(64x48 at 25\); export at your camera's size"),
        ("resampled", "at the file's rate .*--height --width --fps"),
        ("source", "pruned or clustered; prune less"),
    ],
)
def test_changed_decisions_are_a_warning_with_their_main_cause_and_a_remedy(cause, text):
    changed = {cause: rows(0.9, 0.8), "exported": rows(0.9, 0.8)}
    if cause != "source":
        changed["source"] = changed["given"] = rows(0.9, 0.8)
    if cause == "own":
        changed |= dict.fromkeys(("resized", "resampled"), rows(0.9, 0.8))
    compared = parity.compare_as_they_are(predictions(**changed), violent=VIOLENT, threshold=0.5)
    warning = parity.describe_changes(compared, 0.02, "64x48 at 25")
    assert "for 1 of 2 (50.0%), and its AUC is 0.000 instead of 1.000" in warning
    assert re.search(text, warning), warning
    assert not parity.describe_changes(compared, 0.5, "64x48 at 25")


def test_few_videos_are_said_to_be_few():
    def warning(violent: int, normal: int) -> str:
        labels = np.arange(violent + normal) < violent
        same = rows(*np.where(labels, 0.9, 0.1))
        names = [field.name for field in dataclasses.fields(VideoPredictions)]
        everything = VideoPredictions(**dict.fromkeys(names, same))
        return parity.describe_few(
            parity.compare_as_they_are(everything, violent=labels, threshold=0.5)
        )

    assert warning(20, 20) == ""
    assert "few videos, 3 violent and 20 normal" in warning(3, 20)
    assert "6 videos, all violent: that says nothing of its AUC" in warning(6, 0)


@pytest.mark.parametrize(
    ("difference", "equal", "away", "text"),
    [
        (1e-4, 1.0, 0.5, ""),
        (2e-3, 1.0, 0.5, "a probability differs by 0.002, more than 0.001"),
        (1e-4, 0.9, 0.5, "90.0% of decisions are equal, fewer than 98%"),
        (0.0, 1.0, np.nan, "it predicts NaN"),
    ],
)
def test_a_figure_beyond_its_tolerance_is_named(difference, equal, away, text):
    compared = parity.Comparison(difference, 0.0, 0, equal, None, None)
    tolerance = Tolerance(1e-3, agreement=0.98)
    assert parity.describe_excess(compared, np.array([[away]]), tolerance) == text


def test_the_same_predictions_cost_nothing():
    rng = np.random.default_rng(0)
    violent = np.arange(20) % 2 > 0
    same = rows(*rng.random(20))
    asked = {"groups": [str(n // 2) for n in range(20)], "threshold": 0.5}
    cost = parity.measure_cost(same, same, violent=violent, resamples=200, seed=1, **asked)
    assert cost == Cost(0.0, [0.0, 0.0], 1.0)
