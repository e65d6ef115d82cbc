"""Scores under conditions, counted by hand and compared with the unchanged videos."""

import numpy as np
import pytest

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.evaluation.robustness.scores import (
    CONDITION_COLUMNS,
    condition_rows,
    score_conditions,
    scores_table,
)
from violence_detection.models.class_thresholds import ClassThresholds

CLASSES = ("calm", "fight")
LABELS = ("calm", "fight") * 4
ENTRIES = [
    ManifestEntry(path=f"{number}.mp4", label=label, group=f"r{number // 2}", split="test")
    for number, label in enumerate(LABELS)
]
RIGHT = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6])  # of violence
THRESHOLDS = ClassThresholds(CLASSES, 0.5)


def given(violence, *, without=()) -> dict[str, np.ndarray]:
    return {
        entry.path: np.array([1 - score, score])
        for number, (entry, score) in enumerate(zip(ENTRIES, violence, strict=True))
        if number not in without
    }


def scores(**conditions):
    probabilities = {CLEAN: given(RIGHT), CONTROL: given(RIGHT), **conditions}
    return scored(probabilities, ENTRIES)


def scored(probabilities, entries):
    conditions = {name: name for name in probabilities}
    settings = {"classes": CLASSES, "thresholds": THRESHOLDS, "resamples": 200, "seed": 1}
    return score_conditions(probabilities, entries, conditions=conditions, **settings)


def test_equal_predictions_have_no_difference():
    study = scores(mirror=given(RIGHT))
    for row in (study.clean, study.control, *study.conditions):
        assert (row.accuracy, row.auc, row.videos) == (1.0, 1.0, 8)
        assert (row.accuracy_difference, row.difference_ci) == (0.0, [0.0, 0.0])
        assert (row.auc_difference, row.auc_difference_ci) == (0.0, [0.0, 0.0])


def test_a_condition_is_counted_by_hand():
    """Two of eight are wrong, and 0.35 and 0.3 lie under 1 and 2 of the calm ones: 13 / 16."""
    violence = RIGHT.copy()
    violence[5], violence[7] = 0.35, 0.25
    (row,) = scores(darken=given(violence)).conditions
    assert (row.name, row.accuracy, row.accuracy_difference) == (
        "darken",
        0.75,
        -0.25,
    )
    assert row.auc == pytest.approx(13 / 16)
    assert row.auc_difference == pytest.approx(-3 / 16)
    low, high = row.difference_ci
    assert low < -0.25 < high <= 0.0


def test_videos_without_a_prediction_count_on_neither_side():
    """The two videos that lack a prediction under the condition are wrong when unchanged."""
    unchanged = RIGHT.copy()
    unchanged[[0, 1]] = 0.9, 0.1
    probabilities = {CLEAN: given(unchanged), CONTROL: given(unchanged)}
    study = scores(**probabilities, noise=given(RIGHT, without=(0, 1)))
    (row,) = study.conditions
    assert (row.videos, row.accuracy, row.accuracy_difference) == (6, 1.0, 0.0)
    assert (study.clean.videos, study.clean.accuracy) == (8, 0.75)


def test_the_mean_is_over_conditions_for_videos_with_all_of_them():
    wrong = given(1 - RIGHT)
    study = scores(a=given(RIGHT), b=wrong, c=given(RIGHT, without=(0,)))
    assert study.mean_videos == 7
    assert study.mean_accuracy == pytest.approx(2 / 3)
    assert study.mean_accuracy_ci == pytest.approx([2 / 3, 2 / 3])
    areas = [row.auc for row in study.conditions]
    assert areas == [1.0, 0.0, 1.0]
    assert study.mean_auc == pytest.approx(2 / 3)


def test_a_condition_without_predictions_has_no_scores():
    study = scores(fog=given(RIGHT, without=range(8)), mirror=given(RIGHT))
    row = study.conditions[0]
    assert (row.videos, row.accuracy, row.auc) == (0, 0.0, None)
    assert row.difference_ci is None
    assert (study.mean_accuracy, study.mean_videos) == (1.0, 8)


def test_videos_of_one_class_have_no_auc():
    calm = [entry for entry in ENTRIES if entry.label == "calm"]
    probabilities = {CLEAN: given(RIGHT), CONTROL: given(RIGHT), "blur": given(RIGHT)}
    study = scored(probabilities, calm)
    assert study.conditions[0].auc is None and study.mean_auc is None
    assert study.conditions[0].auc_difference == 0.0


def test_the_table_has_two_columns_for_an_interval():
    study = scores(mirror=given(RIGHT))
    rows, columns = scores_table([study.clean, *study.conditions])
    assert [row["name"] for row in rows] == ["clean", "mirror"]
    assert {"accuracy_low", "accuracy_high", "difference_low"} <= set(columns)
    assert set(columns) == set(rows[1])


def test_every_prediction_has_a_row():
    probabilities = {CLEAN: given(RIGHT), "blur": given(1 - RIGHT, without=(3,))}
    rows = list(condition_rows(probabilities, ENTRIES, classes=CLASSES, thresholds=THRESHOLDS))
    assert len(rows) == 15
    right = {(row["condition"], row["correct"]) for row in rows}
    assert right == {(CLEAN, True), ("blur", False)}
    assert set(rows[0]) == set(CONDITION_COLUMNS)
