"""The text of an operating point, and the texts that are refused."""

import pytest

from violence_detection.errors import ConfigError
from violence_detection.metrics import operating_points
from violence_detection.metrics.operating_points import OperatingPoint


def test_a_text_is_the_name_of_a_rate_and_its_goal():
    assert OperatingPoint.from_text("best_f1") == OperatingPoint("best_f1", None)
    assert OperatingPoint.from_text("recall=0.9") == OperatingPoint("recall", 0.9)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("recall=.9", "recall=0.9"),
        (" recall = 9e-1 ", "recall=0.9"),
        ("best_f1", "best_f1"),
        ("false_alarms_per_hour=2", "false_alarms_per_hour=2.0"),
    ],
)
def test_an_operating_point_has_one_canonical_text(text, written):
    assert operating_points.canonical(text) == written == operating_points.canonical(written)


@pytest.mark.parametrize(
    "text",
    ["", "recall", "recall=", "recall=1", "recall=0", "recall=nan", "recall=-1",
     "best_f1=0.5", "false_positive_rate=1.5", "false_alarms_per_hour=1e9", "f1",
     "recall=0.9=1", "false_alarms_per_hour=inf"],
)  # fmt: skip
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="`operating_point` .*must be .* Received: "):
        OperatingPoint.from_text(text)
