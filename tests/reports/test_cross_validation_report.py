"""The page of a cross-validation: found, missed and flagged, worst folds, mistakes, baselines."""

import re

import pytest
from support.reports import (
    CROSS_VALIDATION,
    SETTINGS,
    cross_validation_result,
    difference,
    protocol,
    row,
    video_diagnostics,
)

from violence_detection.reports.cross_validation import cross_validation_report


@pytest.fixture
def page(tmp_path):
    """Writes a page and gives its words; keywords change the result."""

    def write(without=(), **changes) -> str:
        path = tmp_path / "folds" / "report.html"
        cross_validation_report.write_report(
            path,
            cross_validation_result(without, **changes),
            diagnostics=video_diagnostics(),
            settings=SETTINGS,
        )
        body = path.read_text(encoding="utf-8").split("<body>")[1]
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())

    return write


def test_the_result_comes_back_from_json():
    assert cross_validation_result().to_json() == CROSS_VALIDATION


def test_the_summary_has_found_missed_and_flagged_videos(page):
    text = page()
    assert "Of 100 violent videos it finds 86 95%: 80.7% – 90.7%" in text
    assert "Of 100 violent videos it misses 14 95%: 9.3% – 19.3%" in text
    assert "Of 100 normal videos it flags 8 95%: 3.3% – 13.3%" in text
    assert "Accuracy fraction of right predictions 0.881 0.831 – 0.931" in text
    assert (
        "AUC fraction of pairs in which the violent video has the higher probability 0.800" in text
    )
    assert "Accuracy 88.1% (95%: 83.1% – 93.1%), AUC 0.800 (95%: 0.750 – 0.850)." in text
    assert "about 149 of them would be false alarms. That is extrapolated from the clips" in text
    assert "These numbers can be relied on" in text


def test_random_folds_are_too_good_only_beyond_chance(page):
    assert "it would seem right for 95 of 100 videos: too good, by +7.3 points" in page()
    random = protocol(False, 0.89) | {"difference_to_grouped": difference(0.009, 0.02)}
    text = page(random=random)
    assert "it is right for 89 of 100 videos: no clear difference to the grouped folds" in text
    assert "too good" not in text
    assert "random folds" not in page(without=["random"]).lower()


def test_folds_have_a_row_each_and_the_worst_name_their_recordings(page):
    text = page()
    assert "Fold 1 48 7 90.0% 10.0% 82.0% 0.900 12 0.500" in text
    assert "Fold 2 48 7 90.0% 10.0% 84.0% – 12 0.500" in text
    assert "Mean 88.1% 78.1% – 90.1%" in text
    assert "Fold 1: 82.0% right. camera &lt;1&gt;, yard" in text
    assert "Fold 2: 84.0% right" not in text


def test_the_range_over_folds_is_no_forecast_for_a_new_camera(page):
    text = page()
    assert "In the worst fold 82 of 100 predictions were right, in the best 84" in text
    assert (
        "results on a new camera may lie outside this range" in text
        and "expect between 82" not in text
    )
    far = [row(1, True), row(2, True) | {"accuracy": 0.5}]
    text = page(by_fold=far, without=["random"])
    assert "In the worst fold 50 of 100" in text and "with care" in text
    assert "In the worst fold" not in page(recordings_known=False)


@pytest.mark.parametrize(
    ("value", "line", "verdict"),
    [
        (0.05, "Its accuracy is above that of the linear baseline by +5.0 points", "relied on"),
        (
            0.01,
            "no clear difference to the linear baseline: its accuracy differs by +1.0",
            "with care",
        ),
        (-0.05, "The linear baseline is better", "with care"),
    ],
)
def test_the_difference_to_the_linear_baseline_is_a_finding(page, value, line, verdict):
    text = page(difference_to_linear=difference(value, 0.02))
    assert line in text and verdict in text


def test_mistakes_and_errors_by_recording_are_shown(page):
    text = page()
    assert "probability of violence 0.200, 0.30 below the threshold of its fold" in text
    assert "probability of violence 0.900, 0.50 above the threshold of its fold" in text
    command = "violence-detection label /cache/drawn/space &#39;&lt;fight&gt;/a.mp4&#39; calm"
    assert f"If the label is wrong: {command}" in text
    assert "camera &lt;1&gt; 25.0% 11.2% – 46.9% 20 3 2" in text
    assert "1 of 36 recordings have no error" in text


def test_missing_baselines_are_listed(page):
    assert "left out: &lt;gone&gt;." in page()


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"warnings": ["It is near."]}, "with care"),
        ({"recordings": 6}, "with care"),
        ({"clean": False}, "Do not rely"),
        ({"grouped": False, "clean": False, "warnings": ["x"]}, "Do not rely"),
    ],
)
def test_a_problem_with_the_numbers_changes_the_verdict(page, changes, verdict):
    without = ["random"] if "grouped" in changes else []
    if "grouped" in changes:
        changes = changes | {"by_fold": [row(fold, False) for fold in (1, 2)]}
    assert verdict in page(without=without, **changes)
