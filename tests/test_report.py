"""The page: plain words that agree with the numbers, and nothing from outside."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import report
from violence_detection.errors import ConfigError

METRICS = {
    "run": "/runs/night & day",
    "split": "test",
    "videos": 100,
    "recordings": 30,
    "grouped": True,
    "clean": True,
    "leaks": [],
    "accuracy": 0.85,
    "accuracy_ci": [0.78, 0.91],
    "accuracy_ci_wilson": [0.767, 0.907],
    "auc": 0.912,
    "auc_ci": [0.85, 0.96],
    "auc_ci_delong": [0.86, 0.96],
    "average_precision": 0.9,
    "balanced_accuracy": 0.86,
    "precision": 0.789,
    "recall": 0.9,
    "f1": 0.81,
    "false_alarm_rate": 0.2,
    "recall_per_class": {"calm": 0.8, "<fight>": 0.9},
    "confusion": [[40, 10], [5, 45]],
    "classes": ["calm", "<fight>"],
    "normal_class": "calm",
    "threshold": 0.43,
    "threshold_reason": "best balanced accuracy on validation (80 videos)",
    "baseline_accuracy": 0.5,
    "calibration_error": 0.04,
    "undefined": [],
}
PIXEL = b"\x89PNG\r\n\x1a\n and the rest"


def prediction(path, label, probability, predicted):
    row = {"path": path, "label": label, "group": "g1", "probability": probability}
    return {**row, "predicted": predicted, "correct": label == predicted}


PREDICTIONS = [
    prediction("a<script>.mp4", "<fight>", 0.02, "calm"),
    prediction("b.mp4", "<fight>", 0.40, "calm"),
    prediction("c.mp4", "calm", 0.70, "<fight>"),
    prediction("d.mp4", "calm", "0.99", "<fight>"),
    prediction("right.mp4", "calm", 0.01, "calm"),
]


@pytest.fixture
def page(tmp_path):
    """Writes a page and gives its text; keywords change the metrics."""

    def write(figures=None, predictions=PREDICTIONS, run=None, **changes):
        path = tmp_path / "report.html"
        report.write_report(
            path,
            metrics={**METRICS, **changes},
            figures=figures or {},
            predictions=predictions,
            run=run or {},
        )
        return path.read_text(encoding="utf-8")

    return write


def words(page):
    """The page as it is read: without tags, spaces run together."""
    body = page.split("<body>")[1]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


# -- golden


def test_the_first_screen_says_it_in_videos_of_100(page):
    text = words(page())
    assert "Of 100 violent videos it finds 90 Here it found 45 of 50." in text
    assert "Of 100 violent videos it misses 10 Here it missed 5 of 50." in text
    assert "Of 100 harmless videos it flags 20 Here it flagged 10 of 50." in text
    assert "50 violent and 50 harmless, from 30 recordings." in text
    assert "right for 85 of 100 videos" in text
    assert "expect between 76 and 91" in text
    assert "These numbers can be relied on" in text


def test_a_share_short_of_all_is_never_written_as_all():
    shares = {0.0: 0, 0.001: 1, 0.345: 34, 0.5: 50, 0.999: 99, 1.0: 100}
    assert {share: report.of_100(share) for share in shares} == shares


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"clean": False}, "Do not rely", "were used in training"),
        ({"split": "train"}, "Do not rely", "learned from these very videos"),
        ({"accuracy": 0.5}, "Do not rely", "is no better than that"),
        ({"grouped": False}, "Read these numbers with care", "grouping was not"),
        ({"split": "validation"}, "Read these numbers with care", "test split is"),
        ({"recordings": 4}, "Read these numbers with care", "That is few"),
        ({"accuracy_ci": [0.5, 0.9]}, "Read these numbers with care", "wide range"),
    ],
)
def test_what_spoils_the_numbers_is_said_and_changes_the_verdict(
    page, changes, verdict, reason
):
    text = words(page(**changes))
    assert verdict in text
    assert reason in text


def test_leaks_are_listed(page):
    text = page(clean=False, leaks=["rec7: train & test"])
    assert "<li>rec7: train &amp; test</li>" in text


def test_a_split_of_one_class_makes_no_claim_on_the_other(page):
    changes = {"confusion": [[40, 10], [0, 0]], "recall": 0.0, "baseline_accuracy": 1.0}
    changes["undefined"] = ["recall", "f1", "recall_per_class.<fight>"]
    text = words(
        page(**changes, auc=None, auc_ci=None, auc_ci_delong=None, accuracy=0.8)
    )
    assert "violent videos found –" in text
    assert re.search(r"&lt;fight&gt; 0 0 0 –", text)
    assert "There is no violent video in this split" in text
    assert "violent videos it finds" not in text
    assert "there is no ROC AUC" in text


def test_several_classes_are_violent_together(page):
    text = words(
        page(
            classes=["calm", "fight", "fall"],
            confusion=[[40, 6, 4], [3, 20, 7], [2, 0, 18]],
            recall_per_class={"calm": 0.8, "fight": 2 / 3, "fall": 0.9},
        )
    )
    assert "violent is “fight”, “fall”." in text
    assert "Here it found 45 of 50." in text  # a fight taken for a fall is found
    assert "fight 3 20 7 30 0.667 0.488 – 0.808" in text


def test_an_empty_split_still_has_a_page(page):
    rates = ("accuracy", "recall", "precision", "f1", "false_alarm_rate")
    empty = {"confusion": [[0, 0], [0, 0]], "videos": 0, "recordings": 0, "auc": None}
    intervals = {"accuracy_ci": [0.0, 0.0], "accuracy_ci_wilson": [0.0, 0.0]}
    changes = {**dict.fromkeys(rates, 0.0), **empty, **intervals, "auc_ci": None}
    assert "There is no harmless video" in words(page(predictions=[], **changes))


def test_the_surest_mistakes_come_first(page):
    text = words(page())
    misses, alarms = text.split("Harmless videos that it flagged most surely")
    assert misses.index("0.020") < misses.index("0.400")
    assert alarms.index("d.mp4") < alarms.index("c.mp4")
    assert "right.mp4" not in text


def test_settings_become_tables(page):
    run = {"dataset": "shop", "model": {"head": {"units": 64}, "xla": False, "w": None}}
    assert list(report.flattened(run["model"])) == [
        ("head.units", "64"),
        ("xla", "no"),
        ("w", "–"),
    ]
    text = words(page(run=run))
    assert "dataset shop" in text
    assert "head.units 64" in text


# -- relation


def test_a_figure_comes_back_out_of_the_page_as_it_went_in(page, tmp_path):
    figure = tmp_path / "roc.png"
    figure.write_bytes(PIXEL)
    text = page(figures={"roc": figure, "my_own": figure})
    sources = re.findall(r'src="data:image/png;base64,([^"]*)"', text)
    assert [base64.b64decode(source) for source in sources] == [PIXEL, PIXEL]
    assert "My own" in text


def test_both_colour_schemes_define_the_same_colours(page):
    blocks = re.findall(r":root \{(.*?)\}", page(), flags=re.DOTALL)
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in blocks)
    assert light == dark


# -- property


def test_nothing_is_fetched_and_nothing_runs(page, tmp_path):
    figure = tmp_path / "roc.png"
    figure.write_bytes(PIXEL)
    text = page(figures={"roc": figure})
    assert not re.search(r"https?://|<script|<link|@import|url\(|\bon\w+=", text)


def test_names_cannot_break_the_page(page):
    text = page(run={"<b>": {"<i>": "<u>"}}, threshold_reason="<s>")
    for tag in ("<script>", "<fight>", "<b>&", "<i>", "<u>", "<s>"):
        assert tag not in text
    assert "a&lt;script&gt;.mp4" in text
    assert "night &amp; day" in text


@given(st.floats(0.0, 1.0))
def test_videos_of_100_round_within_one(share):
    assert 0 <= report.of_100(share) <= 100
    assert abs(report.of_100(share) - 100 * share) <= 1.0


# -- error


def test_metrics_without_a_key_are_an_error(tmp_path):
    with pytest.raises(ConfigError, match="`metrics` must hold split, videos, "):
        report.write_report(
            tmp_path / "report.html",
            metrics={"run": "r"},
            figures={},
            predictions=[],
            run={},
        )


def test_a_figure_that_is_not_there_is_an_error(page, tmp_path):
    with pytest.raises(ConfigError, match="must be files that can be read. Received: "):
        page(figures={"roc": tmp_path / "none.png"})
