"""The page of a cross-validation: model beside baselines, random beside grouped, labelled."""

import copy
import re

import pytest
from support.reports import RESULT, SETTINGS

from violence_detection.reports import cross_validation_report


@pytest.fixture
def page(tmp_path):
    """Writes a page and gives its words; keywords change the result."""

    def write(without=(), **changes) -> str:
        result = copy.deepcopy(RESULT) | changes
        for name in without:
            del result[name]
        path = tmp_path / "folds" / "report.html"
        cross_validation_report.write_report(path, result=result, settings=SETTINGS)
        body = path.read_text(encoding="utf-8").split("<body>")[1]
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())

    return write


def test_the_summary_has_model_baseline_and_random_folds(page):
    text = page()
    assert "Of 100 videos it is right for 88 95%: 83.1% – 93.1%" in text
    assert "The best baseline is right for 85 Linear: logistic regression" in text
    assert "With random folds it would seem right for 95 Too good:" in text
    assert "These numbers can be relied on" in text


def test_random_folds_are_labelled_as_optimistic(page):
    grouped, random = page().split("Random folds, which are optimistic")[0:2]
    assert "model at its own threshold 88.1%" in grouped
    assert "model at its own threshold 95.4%" in random
    assert "Random" not in page(without=["random"], warnings=[])


def test_folds_have_a_row_each_and_a_mean(page):
    text = page()
    assert "1 48 7 82.0% 0.900 12 0.500 2 48 7 84.0% – 12 0.500" in text
    assert "mean 88.1% 78.1% – 90.1%" in text


def test_missing_baselines_are_listed(page):
    assert "left out: &lt;gone&gt;." in page()


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"warnings": ["It is near.", "Random folds: too good."]}, "with care"),
        ({"recordings": 6}, "with care"),
        ({"clean": False}, "Do not rely"),
        ({"grouped": False, "clean": False, "warnings": ["x"] * 2}, "Do not rely"),
    ],
)
def test_a_problem_with_the_numbers_changes_the_verdict(page, changes, verdict):
    without = ["random"] if "grouped" in changes else []
    assert verdict in page(without=without, **changes)
