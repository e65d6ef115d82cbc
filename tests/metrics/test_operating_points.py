"""The text of an operating point, and the JSON of the threshold that is chosen for it."""

import json

import pytest

from violence_detection.errors import ConfigError
from violence_detection.metrics.thresholds import operating_points
from violence_detection.metrics.thresholds.operating_points import (
    ChosenOperatingPoint,
    OperatingPoint,
)


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


@pytest.mark.parametrize("hours", [{}, {"hours": 2.5}])
def test_a_chosen_operating_point_keeps_the_keys_of_its_json(hours):
    values = {
        "asked": "best_f1", "threshold": 0.5, "reason": "0.5: no threshold", "interval": None,
        "achieved": {"recall": 0.5}, "achieved_ci": {"recall": None}, "from": "validation",
        "videos": 40, "recordings": 20, **hours,
    }  # fmt: skip
    chosen = ChosenOperatingPoint.from_json(values)
    assert json.dumps(chosen.as_dict()) == json.dumps(values)
    assert chosen.chosen_on == "validation"


@pytest.mark.parametrize("values", [{"asked": "best_f1"}, {"asked": "best_f1", "other": 1}])
def test_a_chosen_operating_point_without_all_keys_is_refused(values):
    with pytest.raises(ConfigError, match="must hold the keys .* Received: asked"):
        ChosenOperatingPoint.from_json(values)
