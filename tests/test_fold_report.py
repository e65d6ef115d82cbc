"""The page of a cross-validation: model beside baselines, random beside grouped, labelled."""

import copy
import re

import pytest

from violence_detection import fold_report


def scores(accuracy, auc=0.8):
    low, high = max(0.0, accuracy - 0.05), min(1.0, accuracy + 0.05)
    return {
        "accuracy": accuracy,
        "accuracy_ci": [low, high],
        "auc": auc,
        "auc_ci": None if auc is None else [auc - 0.05, min(1.0, auc + 0.05)],
    }


def protocol(grouped, model):
    return {
        "grouped": grouped,
        "note": "grouped folds: all clips of a recording are on one side"
        if grouped
        else "random folds: clips of one recording are on both sides",
        "accuracy": {"mean": model, "sd": 0.04, "ci": [model - 0.1, model + 0.02]},
        "auc": {"mean": 0.9, "sd": 0.02, "ci": None},
        "pooled": {
            "model": scores(model),
            "linear": scores(0.85),
            "mean_picture": scores(0.61),
            "majority": scores(0.5, None),
        },
        "clean": grouped,
        "warnings": [] if grouped else ["Random folds: too good."],
    }


def row(fold, grouped):
    return {
        "repeat": 1,
        "fold": fold,
        "grouped": grouped,
        "videos": 48,
        "recordings": 7,
        "accuracy": 0.8 + fold / 50,
        "auc": None if fold == 2 else 0.9,
        "best_epoch": 12,
        "threshold": 0.5,
    }


RESULT = {
    "cross_validation": "/runs/folds",
    "folds": 2,
    "repeats": 1,
    **protocol(True, 0.881),
    "random": protocol(False, 0.954),
    "warnings": ["Random folds: too good."],
    "left_out": ["The baseline motion_energy is left out: <gone>."],
    "by_fold": [row(fold, grouped) for grouped in (True, False) for fold in (1, 2)],
    "videos": 239,
    "recordings": 36,
    "recordings_known": True,
}
SETTINGS = {"settings": {"head": "bilstm_attention"}, "versions": {"keras": "3"}}


@pytest.fixture
def page(tmp_path):
    """Writes a page and gives its words; keywords change the result."""

    def write(without=(), **changes) -> str:
        result = copy.deepcopy(RESULT) | changes
        for name in without:
            del result[name]
        path = tmp_path / "folds" / "report.html"
        fold_report.write_report(path, result=result, settings=SETTINGS)
        body = path.read_text(encoding="utf-8").split("<body>")[1]
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())

    return write


def test_the_first_screen_has_model_baseline_and_random_folds(page):
    text = page()
    assert "Of 100 videos it is right for 88 95%: 83.1% – 93.1%" in text
    assert "The best baseline is right for 85 Linear: logistic regression" in text
    assert "Random folds would have said 95 Too good:" in text
    assert "These numbers can be relied on" in text


def test_random_folds_are_labelled_where_they_stand(page):
    grouped, random = page().split("Random folds, which flatter")[0:2]
    assert "model at its own threshold 88.1%" in grouped
    assert "model at its own threshold 95.4%" in random
    assert "Random" not in page(without=["random"], warnings=[])


def test_folds_have_a_row_each_and_a_mean(page):
    text = page()
    assert "1 48 7 82.0% 0.900 12 0.500 2 48 7 84.0% – 12 0.500" in text
    assert "mean 88.1% 78.1% – 90.1%" in text


def test_what_is_left_out_is_said(page):
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
def test_what_spoils_the_numbers_changes_the_verdict(page, changes, verdict):
    without = ["random"] if "grouped" in changes else []
    assert verdict in page(without=without, **changes)
