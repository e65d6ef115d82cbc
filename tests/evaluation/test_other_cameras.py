"""The loss of a run on another dataset, and where its errors are."""

import pytest

from violence_detection.evaluation.other_cameras import worst_conditions
from violence_detection.metrics import intervals
from violence_detection.reports.evaluation.evaluation_result import ErrorRow
from violence_detection.reports.evaluation.own_dataset_comparison import OwnDatasetComparison


def row(name: str, videos: int, misses: int, false_alarms: int) -> ErrorRow:
    errors = misses + false_alarms
    return ErrorRow(name, videos, errors, errors / videos, [0, 1], misses, false_alarms)


def test_conditions_with_clearly_more_errors_are_named_the_worst_first():
    errors_by = {
        "kind": [row("dance", 20, 0, 12), row("street", 20, 1, 1), row("film", 4, 4, 0)],
        "motion": [row("most motion", 30, 5, 6), row("least motion", 30, 2, 1)],
        "recording": [row("r1", 10, 10, 0)],
    }
    assert worst_conditions(errors_by, 0.25) == [
        "kind dance: 12 of 20 wrong (12 false alarms)",
        "most motion: 11 of 30 wrong (6 false alarms, 5 missed)",
    ]
    assert worst_conditions(errors_by, 0.7) == []


def test_the_interval_of_a_difference_of_equal_ones_is_root_two_wider():
    low, high = intervals.difference_interval(0.7, [0.6, 0.8], 0.9, [0.8, 1.0])
    assert (low, high) == pytest.approx((-0.2 - 0.1 * 2**0.5, -0.2 + 0.1 * 2**0.5))


def test_the_ends_that_lie_towards_each_other_make_the_upper_end():
    low, high = intervals.difference_interval(0.7, [0.7, 0.7], 0.9, [0.6, 0.95])
    assert (low, high) == pytest.approx((-0.25, 0.1))


def test_the_loss_is_a_sentence():
    home = OwnDatasetComparison(
        dataset="mine",
        split="test",
        videos=41,
        recordings=6,
        accuracy=0.9,
        auc=0.95,
        accuracy_difference=-0.2,
        accuracy_difference_ci=[-0.3, -0.1],
        auc_difference=-0.1,
        auc_difference_ci=None,
    )
    assert home.text == (
        "accuracy -20.0 points (95%: -30.0 to -10.0) against 90.0% on its own dataset "
        "(41 test videos of 6 recordings); AUC -0.100 against 0.950"
    )
    assert OwnDatasetComparison.from_json(home.to_json()) == home
