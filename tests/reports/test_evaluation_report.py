"""The report of an evaluation: its text agrees with the numbers, and it loads nothing."""

import base64
import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import OPERATING_POINT, ROBUSTNESS, WORST, evaluation_result, mistake

from violence_detection.errors import ConfigError
from violence_detection.reports import evaluation_report
from violence_detection.reports.evaluation_result import EvaluationResult
from violence_detection.reports.html import flatten, of_100

JPEG = "data:image/jpeg;base64,/9j/"
PIXEL = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture
def page(tmp_path):
    """Writes a report and returns its text; keywords change the metrics."""

    def write(figures=None, mistakes=WORST, settings=None, robustness=None, **changes):
        path = tmp_path / "report.html"
        evaluation_report.write_report(
            path,
            evaluation_result(**changes),
            figures=figures or {},
            mistakes=mistakes,
            settings=settings or {},
            robustness=robustness,
        )
        return path.read_text(encoding="utf-8")

    return write


def words(page):
    """The text of the page: without tags, with single spaces."""
    body = page.split("<body>")[1]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


# -- golden


def test_the_summary_counts_videos_of_100(page):
    text = words(page())
    assert "Of 100 violent videos it finds 90 Here it found 45 of 50." in text
    assert "Of 100 violent videos it misses 10 Here it missed 5 of 50." in text
    assert "Of 100 normal videos it flags 20 Here it flagged 10 of 50." in text
    assert "50 violent and 50 normal, from 30 recordings." in text
    assert "right for 85 of 100 videos" in text
    assert "expect between 76 and 91" in text
    assert "These numbers can be relied on" in text


def test_a_fraction_below_1_is_never_written_as_all():
    of_fractions = {0.0: 0, 0.001: 1, 0.345: 34, 0.5: 50, 0.999: 99, 1.0: 100}
    assert {fraction: of_100(fraction) for fraction in of_fractions} == of_fractions


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"clean": False}, "Do not rely", "were used in training"),
        ({"split": "train"}, "Do not rely", "was trained on these videos"),
        ({"accuracy": 0.5}, "Do not rely", "is no better than that"),
        ({"grouped": False}, "Read these numbers with care", "grouping was not"),
        ({"split": "validation"}, "Read these numbers with care", "test split is"),
        ({"recordings": 4}, "Read these numbers with care", "That is few"),
        ({"accuracy_ci": [0.5, 0.9]}, "Read these numbers with care", "wide range"),
        ({"close_baselines": ["metadata"]}, "with care", "length and format (57 of 10"),
        (
            {"clean": False, "leak_counts": {"recordings": 2, "near_duplicates": 1}},
            "Do not rely",
            "In training and here: 2 recordings, 1 near-duplicate.",
        ),
    ],
)
def test_a_problem_with_the_numbers_is_named_and_changes_the_verdict(
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
    text = words(page(**changes, auc=None, auc_ci=None, auc_ci_delong=None, accuracy=0.8))
    assert "violent videos found –" in text
    assert re.search(r"&lt;fight&gt; 0 0 0 –", text)
    assert "This split has no violent video" in text
    assert "violent videos it finds" not in text
    assert "ROC AUC needs videos of both classes" in text


def test_several_classes_are_violent_together(page):
    text = words(
        page(
            classes=["calm", "fight", "fall"],
            confusion=[[40, 6, 4], [3, 20, 7], [2, 0, 18]],
            recall_per_class={"calm": 0.8, "fight": 2 / 3, "fall": 0.9},
        )
    )
    assert "violent ones “fight”, “fall”." in text
    assert "Here it found 45 of 50." in text  # a fight predicted as a fall is found
    assert "fight 3 20 7 30 0.667 0.488 – 0.808" in text


def test_an_empty_split_still_has_a_page(page):
    rates = ("accuracy", "recall", "precision", "f1", "false_alarm_rate")
    empty = {"confusion": [[0, 0], [0, 0]], "videos": 0, "recordings": 0, "auc": None}
    intervals = {"accuracy_ci": [0.0, 0.0], "accuracy_ci_wilson": [0.0, 0.0]}
    changes = {**dict.fromkeys(rates, 0.0), **empty, **intervals, "auc_ci": None}
    none = {"misses": [], "false_alarms": [], "blurred": False}
    assert "This split has no normal video" in words(page(mistakes=none, **changes))


def test_mistakes_are_shown_with_frames_and_attention_where_they_exist(page):
    shown = mistake("c.mp4", "calm", 0.7, "<fight>", frames=JPEG, attention=[0.1, 0.2, 0.7])
    text = page(mistakes={**WORST, "false_alarms": [shown]})
    misses, alarms = text.split("Flagged normal videos")
    assert misses.index("0.020") < misses.index("0.400")
    assert "No frames: --no-frames was given." in words(text)
    assert f'src="{JPEG}"' in alarms
    heights = re.findall(r'<rect [^>]*height="([\d.]+)"', alarms)
    assert [float(height) for height in heights] == [0.143, 0.286, 1.0]
    assert "People can be recognised here" in text


def test_a_report_with_blurred_people_states_the_limits_of_blurring(page):
    text = words(page(mistakes=WORST | {"blurred": True}))
    assert "A person who stands still and whose face was not detected may be" in text
    assert "People can be recognised here" not in text


def test_a_head_without_attention_says_so(page):
    assert "This classifier has no attention over time to show." in words(page())


def test_baselines_are_listed_with_the_model(page):
    text = words(page())
    model, metadata = text.index("at its own threshold 85.0%"), text.index("57.0%")
    assert model < metadata
    assert "left out: &lt;gone&gt;." in text
    assert "It is clearly better than a prediction from the file's size" in html.unescape(text)


def test_errors_by_recording_list_recordings_with_errors(page):
    text = words(page())
    assert "rec&lt;1&gt; 25.0% 11.2% – 46.9% 20 3 2" in text
    assert "1 of 2 recordings have no error." in text


def test_an_operating_point_and_normal_footage_are_shown(page):
    footage = {"hours": 12.5, "alarms_per_hour": 0.48, "alarms_per_hour_ci": [0.2, 1]}
    text = words(page(operating_point=OPERATING_POINT, normal_footage=footage))
    assert "Requested: recall=0.9 . The threshold is 0.43 (95%: 0.300 – 0.500)" in text
    assert "recall 0.910 0.800 – 1.000 false positive rate 0.200" in text
    assert "False alarms in normal footage: 0.48 per camera-hour (95%: 0.2 to 1)" in text
    assert "measured on 12.5 hours" in text
    assert "Operating point" not in words(page(operating_point=None))


def test_robustness_is_shown_where_it_was_measured(page):
    text = words(page(robustness=ROBUSTNESS))
    assert "unchanged videos 85.0% 78.0% – 91.0%" in text
    assert "dark&lt;er&gt; 70.0% 60.0% – 80.0% –" in text
    assert "Robustness" not in page()


def test_robustness_of_other_videos_or_torn_is_not_read(tmp_path):
    identity = {"model_digest": "a", "videos_digest": "b"}
    path = tmp_path / "robustness.json"
    assert evaluation_report.read_robustness(tmp_path, identity) is None
    for content, is_read in (
        (ROBUSTNESS, True),
        (ROBUSTNESS | identity, True),
        (ROBUSTNESS | {"model_digest": "other"}, False),
        (ROBUSTNESS | {"conditions": [{"name": "dark"}]}, False),
        ([], False),
    ):
        path.write_text(json.dumps(content))
        assert (evaluation_report.read_robustness(tmp_path, identity) is not None) is is_read


def test_settings_become_tables(page):
    settings = {"dataset": "shop", "model": {"head": {"units": 64}, "xla": False, "w": None}}
    assert list(flatten(settings["model"])) == [
        ("head.units", "64"),
        ("xla", "no"),
        ("w", "–"),
    ]
    text = words(page(settings=settings))
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
    text = page(settings={"<b>": {"<q>": "<u>"}}, threshold_reason="<s>")
    for tag in ("<script>", "<fight>", "<b>&", "<q>", "<u>", "<s>"):
        assert tag not in text
    assert "a&lt;script&gt;.mp4" in text
    assert "night &amp; day" in text


@given(st.floats(0.0, 1.0))
def test_videos_of_100_round_within_one(fraction):
    assert 0 <= of_100(fraction) <= 100
    assert abs(of_100(fraction) - 100 * fraction) <= 1.0


# -- error


def test_metrics_without_a_key_are_an_error():
    with pytest.raises(ConfigError, match="must hold split, videos, .* Received: run"):
        EvaluationResult.from_dict({"run": "r"})


def test_the_operating_point_is_read_and_written_as_it_was():
    values = evaluation_result(operating_point=OPERATING_POINT).as_dict()
    assert values["operating_point"] == OPERATING_POINT
    assert list(values["operating_point"]) == list(OPERATING_POINT)
    assert "operating_point" not in evaluation_result(operating_point=None).as_dict()


def test_a_missing_figure_is_an_error(page, tmp_path):
    with pytest.raises(ConfigError, match="must be files that can be read. Received: "):
        page(figures={"roc": tmp_path / "none.png"})
