import pytest

from violence_detection.evaluation.prediction_scores import undefined_rates


@pytest.mark.parametrize(
    ("confusion", "names"),
    [
        ([[3, 1], [1, 3]], []),
        ([[3, 0], [1, 0]], ["precision"]),
        (
            [[3, 1], [0, 0]],
            ["recall", "f1", "average_precision", "recall_per_class.fight"],
        ),
        (
            [[0, 0], [1, 3]],
            ["average_precision", "false_alarm_rate", "recall_per_class.calm"],
        ),
    ],
)
def test_rates_with_an_empty_denominator_are_named(confusion, names):
    assert undefined_rates(confusion, ["calm", "fight"]) == names
