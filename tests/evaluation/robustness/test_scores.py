"""Scores under conditions are those counted by hand, beside the videos as they are."""

import numpy as np
import pytest

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.evaluation.robustness.scores import (
    CONDITION_COLUMNS,
    condition_rows,
    score_conditions,
    scores_table,
)

CLASSES = ("calm", "fight")
LABELS = ("calm", "fight") * 4
ENTRIES = [
    ManifestEntry(path=f"{number}.mp4", label=label, group=f"r{number // 2}", split="test")
    for number, label in enumerate(LABELS)
]
RIGHT = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6])  # of violence


def given(violence, *, without=()) -> dict[str, np.ndarray]:
    return {
        entry.path: np.array([1 - one, one])
        for number, (entry, one) in enumerate(zip(ENTRIES, violence, strict=True))
        if number not in without
    }


def scores(**conditions):
    answers = {CLEAN: given(RIGHT), CONTROL: given(RIGHT), **conditions}
    settings = {"classes": CLASSES, "threshold": 0.5, "resamples": 200, "seed": 1}
    return score_conditions(answers, ENTRIES, **settings)


def test_what_differs_by_nothing_differs_by_nothing():
    found = scores(mirror=given(RIGHT))
    for row in (found["clean"], found["control"], *found["conditions"]):
        assert (row["accuracy"], row["auc"], row["videos"]) == (1.0, 1.0, 8)
        assert (row["accuracy_difference"], row["difference_ci"]) == (0.0, [0.0, 0.0])
        assert (row["auc_difference"], row["auc_difference_ci"]) == (0.0, [0.0, 0.0])


def test_a_condition_is_counted_by_hand():
    """Two of eight are wrong, and 0.35 and 0.3 lie under 1 and 2 of the calm ones: 13 / 16."""
    violence = RIGHT.copy()
    violence[5], violence[7] = 0.35, 0.25
    (row,) = scores(darken=given(violence))["conditions"]
    assert (row["name"], row["accuracy"], row["accuracy_difference"]) == (
        "darken",
        0.75,
        -0.25,
    )
    assert row["auc"] == pytest.approx(13 / 16)
    assert row["auc_difference"] == pytest.approx(-3 / 16)
    low, high = row["difference_ci"]
    assert low < -0.25 < high <= 0.0


def test_videos_without_an_answer_are_out_on_both_sides():
    """As they are, the two that lack under the condition are the ones that are wrong."""
    as_is = RIGHT.copy()
    as_is[[0, 1]] = 0.9, 0.1
    answers = {CLEAN: given(as_is), CONTROL: given(as_is)}
    found = scores(**answers, noise=given(RIGHT, without=(0, 1)))
    (row,) = found["conditions"]
    assert (row["videos"], row["accuracy"], row["accuracy_difference"]) == (6, 1.0, 0.0)
    assert (found["clean"]["videos"], found["clean"]["accuracy"]) == (8, 0.75)


def test_the_mean_is_over_conditions_and_of_the_videos_under_each():
    wrong = given(1 - RIGHT)
    found = scores(a=given(RIGHT), b=wrong, c=given(RIGHT, without=(0,)))
    assert found["mean_videos"] == 7
    assert found["mean_accuracy"] == pytest.approx(2 / 3)
    assert found["mean_accuracy_ci"] == pytest.approx([2 / 3, 2 / 3])
    areas = [row["auc"] for row in found["conditions"]]
    assert areas == [1.0, 0.0, 1.0]
    assert found["mean_auc"] == pytest.approx(2 / 3)


def test_a_condition_without_an_answer_has_none():
    found = scores(fog=given(RIGHT, without=range(8)), mirror=given(RIGHT))
    row = found["conditions"][0]
    assert (row["videos"], row["accuracy"], row["auc"]) == (0, 0.0, None)
    assert row["difference_ci"] is None
    assert (found["mean_accuracy"], found["mean_videos"]) == (1.0, 8)


def test_one_class_alone_has_no_area():
    calm = [entry for entry in ENTRIES if entry.label == "calm"]
    answers = {CLEAN: given(RIGHT), CONTROL: given(RIGHT), "blur": given(RIGHT)}
    settings = {"classes": CLASSES, "threshold": 0.5, "resamples": 50, "seed": 1}
    found = score_conditions(answers, calm, **settings)
    assert found["conditions"][0]["auc"] is None and found["mean_auc"] is None
    assert found["conditions"][0]["auc_difference"] == 0.0


def test_the_table_has_two_columns_for_an_interval():
    found = scores(mirror=given(RIGHT))
    rows, columns = scores_table([found["clean"], *found["conditions"]])
    assert [row["name"] for row in rows] == ["clean", "mirror"]
    assert {"accuracy_low", "accuracy_high", "difference_low"} <= set(columns)
    assert set(columns) == set(rows[1])


def test_every_answer_has_a_row():
    answers = {CLEAN: given(RIGHT), "blur": given(1 - RIGHT, without=(3,))}
    rows = list(condition_rows(answers, ENTRIES, classes=CLASSES, threshold=0.5))
    assert len(rows) == 15
    right = {(row["condition"], row["correct"]) for row in rows}
    assert right == {(CLEAN, True), ("blur", False)}
    assert list(rows[0]) == CONDITION_COLUMNS
