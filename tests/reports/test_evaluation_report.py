"""The report of an evaluation: its text agrees with the numbers, and it loads nothing."""

import base64
import dataclasses
import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import (
    CONTEXT,
    OPERATING_POINT,
    ROBUSTNESS,
    WORST,
    evaluation_result,
    mistake,
    of_several_classes,
)

from violence_detection.errors import ConfigError
from violence_detection.reports.evaluation import evaluation_report
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.reports.evaluation.mistakes import MistakeSheet
from violence_detection.reports.html import flatten, of_100
from violence_detection.reports.robustness_result import RobustnessScores

JPEG = "data:image/jpeg;base64,/9j/"
PIXEL = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture
def page(tmp_path):
    """Writes a report and returns its text; keywords change the metrics."""

    def write(
        figures=None, mistakes=WORST, settings=None, robustness=None, context=CONTEXT, **changes
    ):
        path = tmp_path / "report.html"
        evaluation_report.write_report(
            path,
            evaluation_result(**changes),
            context=context,
            figures=figures or {},
            mistakes=mistakes,
            settings=settings or {},
            robustness=robustness and RobustnessScores.from_json(robustness),
        )
        return path.read_text(encoding="utf-8")

    return write


def words(page):
    """The text of the page: without tags, with single spaces."""
    body = page.split("<body>")[1]
    body = body.replace("<wbr>", "")
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


# -- golden


def test_the_summary_counts_videos_of_100(page):
    text = words(page())
    assert "Of 100 violent videos it finds 90 95%: 79 to 97. Here it found 45 of 50." in text
    assert "Of 100 normal videos it flags 20 95%: 8 to 35. Here it flagged 10 of 50." in text
    assert "It was evaluated on 100 videos 50 violent and 50 normal, of 30 recordings." in text
    assert "right for 85 of 100 videos" in text
    assert "expect between 76 and 91" in text
    assert (
        "Run night &amp; day on the test split of shop &lt;1&gt; , at the threshold 0.43." in text
    )
    assert "Evaluated on 29 November 2026 with violence-detection" in text
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
        (
            {"confusion": [[3, 0], [0, 30]], "videos": 33},
            "These numbers say nothing yet",
            "3 normal videos show nothing: even if all predictions are right, tossing a coin",
        ),
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


def test_fewer_than_ten_videos_are_counted_and_not_100_percent(page):
    changes = {"confusion": [[1, 0], [0, 1]], "recall": 1.0, "false_alarm_rate": 0.0, "videos": 2}
    text = words(page(**changes, accuracy=1.0))
    assert "Of the violent videos it found 1 of 1" in text
    assert "Of the normal videos it flagged 0 of 1" in text
    assert "These numbers say nothing yet" in text
    assert "Of 100 violent" not in text


@pytest.mark.parametrize(
    ("accuracy_ci", "text"),
    [
        ([0.8, 0.9], "These videos show no clear difference."),
        ([0.98, 0.99], "The linear model is better: use it, or train again."),
        ([0.3, 0.6], "which is clearly more."),
    ],
)
def test_the_first_screen_compares_with_the_linear_model(page, accuracy_ci, text):
    linear = {"accuracy": sum(accuracy_ci) / 2, "accuracy_ci": accuracy_ci}
    linear |= {"auc": 0.9, "auc_ci": None}
    first_screen = words(page(baselines={"linear": linear}).split("<nav")[0])
    assert "A linear model on the same features" in first_screen
    assert text in first_screen


def test_few_recordings_are_named_where_a_range_is_expected(page):
    assert "there are only 6 recordings: fewer may be right" in words(page(recordings=6))
    assert "fewer may be right" not in words(page(recordings=20))


def test_so_few_videos_that_they_say_nothing_are_not_compared_with_baselines(page):
    text = words(page(videos=4, recordings=1, confusion=[[2, 0], [0, 2]]))
    assert "These numbers say nothing yet" in text
    first_screen = text.split("Worst mistakes")[0]
    assert "clearly better" not in first_screen and "On other videos" not in first_screen


def test_an_interval_without_width_is_left_out(page):
    text = words(page(auc=1.0, auc_ci=[1.0, 1.0]))
    assert "1.000 – 1.000" not in text


def test_drawn_clips_are_said_to_be_drawn(page):
    text = words(page(context=dataclasses.replace(CONTEXT, is_drawn=True)))
    assert "These clips are drawn figures" in text
    assert "they say nothing about real footage" in text


def test_leaks_are_listed(page):
    text = page(clean=False, leaks=["rec7: train & test"])
    assert "<li>rec7: train &amp; test</li>" in text


def test_a_split_of_one_class_makes_no_claim_on_the_other(page):
    changes = {"confusion": [[40, 10], [0, 0]], "recall": 0.0, "baseline_accuracy": 1.0}
    changes["undefined"] = ["recall", "f1", "recall_per_class.<fight>"]
    text = words(page(**changes, auc=None, auc_ci=None, auc_ci_delong=None, accuracy=0.8))
    assert "violent videos found none: no violent videos" in text
    assert re.search(r"&lt;fight&gt; 0 0 0 none: no videos", text)
    assert "Always answering" not in text  # there is nothing to choose between
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


@pytest.mark.parametrize("classes", [4, 14])
def test_several_classes_have_scores_and_three_kinds_of_confusions(page, classes):
    text = words(page(**of_several_classes(classes)))
    assert "calm an anecdote 0.750 0.750 0.750" in text
    assert f"calm → kind&lt;{classes - 1}&gt; 1 25.0%" in text
    assert "kind&lt;1&gt; → calm 1 25.0%" in text
    assert "kind&lt;2&gt; → kind&lt;1&gt; 1 25.0%" in text
    assert "come from fewer than five recordings" in text
    assert ("counts of all 14 x 14 pairs" in text) is (classes == 14)


def test_an_empty_split_still_has_a_page(page):
    rates = ("accuracy", "recall", "precision", "f1", "false_alarm_rate")
    empty = {"confusion": [[0, 0], [0, 0]], "videos": 0, "recordings": 0, "auc": None}
    intervals = {"accuracy_ci": [0.0, 0.0], "accuracy_ci_wilson": [0.0, 0.0]}
    changes = {**dict.fromkeys(rates, 0.0), **empty, **intervals, "auc_ci": None}
    none = MistakeSheet()
    assert "This split has no normal video" in words(page(mistakes=none, **changes))


def test_mistakes_are_shown_with_frames_and_attention_where_they_exist(page, tmp_path):
    shown = mistake("c d.mp4", "calm", 0.45, "<fight>", frames=[JPEG], attention=[0.1, 0.2, 0.7])
    text = page(mistakes=dataclasses.replace(WORST, false_alarms=[shown]))
    misses, alarms = text.split("Flagged normal videos")
    assert misses.index("0.020") < misses.index("0.400")
    assert "No frames: --no-show-frames was given." in words(text)
    assert f'src="{JPEG}"' in alarms
    heights = re.findall(r'<rect [^>]*height="([\d.]+)"', alarms)
    assert [float(height) for height in heights] == [0.143, 0.286, 1.0]
    assert "People can be recognised here" in text
    assert "0.02 above the threshold: a near miss" in alarms
    assert "0.41 below the threshold ·" in words(misses)
    command = "violence-detection label 'checkpoints/night & day' 'c d.mp4' '<fight>'"
    assert command in html.unescape(alarms)
    table = f"label 'checkpoints/night & day' --table {tmp_path}/label_next.csv"
    assert table in html.unescape(text)


def test_a_report_with_blurred_people_states_the_limits_of_blurring(page):
    text = words(page(mistakes=dataclasses.replace(WORST, blurred=True)))
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
    footage = {"hours": 12.5, "alarms": 6, "alarms_per_hour": 0.48, "alarms_per_hour_ci": [0.2, 1]}
    text = words(page(operating_point=OPERATING_POINT, normal_footage=footage))
    assert (
        "The threshold is 0.43 (95%: 0.300 – 0.500), chosen on validation for recall=0.9." in text
    )
    assert "recall 0.910 0.800 – 1.000 false positive rate none: no normal videos" in text
    assert (
        "False alarms an hour, of one camera 0.48 95%: 0.2 to 1. Here 6 alarms in 12:30:00" in text
    )
    brief = footage | {"hours": 0.001, "alarms": 0, "alarms_per_hour": 0.0}
    brief |= {"alarms_per_hour_ci": [0.0, 6640.1]}
    text = words(page(normal_footage=brief))
    assert "95%: 0 to 6,640. Here 0 alarms in 0:04 of normal footage. Too short to show" in text


def test_the_cost_at_a_site_is_a_table_with_its_caveat(page):
    cost = {
        "videos_per_day": 10_000,
        "prevalence": 0.01,
        "review_cost": 0.5,
        "false_alarms_per_day": 2178.0,
        "false_alarms_per_day_ci": [1190.0, 3260.0],
        "positive_predictive_value": 0.0397,
        "cost_per_year": 413_910.0,
        "cost_per_year_ci": [413_910.0, 413_910.0],
        "notes": ["The evaluated videos are no sample."],
    }
    text = words(page(cost=cost))
    assert "10,000 videos a day, 1% of them violent, 0.50 a review, at this threshold" in text
    assert "False alarms a day 2,178 1,190 to 3,260" in text
    assert "(positive predictive value) 4.0% Cost" in text
    assert "a year 413,910 The evaluated videos are no sample." in text
    assert "Cost at a site" not in words(page())


@pytest.mark.parametrize(
    ("changes", "asked", "text"),
    [
        (
            {"interval": None, "reason": "0.5: validation is small", "threshold": 0.5},
            "",
            "The threshold is 0.5, the default. It was not chosen: validation is small.",
        ),
        (
            {"asked": "balanced_accuracy"},
            "",
            "chosen on validation for the best balanced accuracy, the default.",
        ),
        ({"threshold": 0.2}, "", "The threshold is 0.43, set by hand; 0.2 was chosen before."),
        ({}, "recall=0.9", "Asked for: recall=0.9."),
    ],
)
def test_the_threshold_is_said_to_be_chosen_only_where_it_was(page, changes, asked, text):
    point = {**OPERATING_POINT, **changes}
    threshold = 0.5 if point["threshold"] == 0.5 else 0.43
    context = dataclasses.replace(CONTEXT, operating_point=asked)
    assert text in words(page(operating_point=point, threshold=threshold, context=context))


def test_an_evaluation_of_an_older_version_is_read():
    values = evaluation_result().to_json()
    for name in ("rates_ci", "brier_score", "errors_by", "class_mapping", "undefined"):
        del values[name]
    result = EvaluationResult.from_json(values)
    assert (result.rates_ci, result.errors_by, result.undefined) == ({}, {}, [])


def test_robustness_is_shown_where_it_was_measured(page):
    text = words(page(robustness=ROBUSTNESS))
    assert "unchanged videos 85.0% 78.0% – 91.0%" in text
    assert "dark&lt;er&gt; 70.0% 60.0% – 80.0% –" in text
    assert "Robustness" not in page()
    rows = [ROBUSTNESS["conditions"][0] | {"accuracy_difference": -0.15}]
    clear = ROBUSTNESS | {"conditions": [rows[0] | {"difference_ci": [-0.25, -0.05]}]}
    text = words(page(robustness=clear))
    assert (
        "costs most: 70.0% instead of 85.0%, a difference of -15 points (95%: -25 to -5)." in text
    )
    assert "with dark&lt;er&gt; it was right for 70 of 100, instead of 85" in text
    unclear = ROBUSTNESS | {"conditions": [rows[0] | {"difference_ci": [-0.25, 0.05]}]}
    assert "These videos show no clear loss." in words(page(robustness=unclear))


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
    private = {"features": "/home/anna/cache/shop", "machine": {"cpu": "Z80"}}
    text = words(page(settings=private | {"settings": {"hosts": "anna-pc:1", "seed": 3}}))
    assert "features shop" in text and "seed 3" in text
    assert "anna" not in text and "Z80" not in text


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
        EvaluationResult.from_json({"run": "r"})


def test_the_operating_point_is_read_and_written_as_it_was():
    values = evaluation_result(operating_point=OPERATING_POINT).to_json()
    assert values["operating_point"] == OPERATING_POINT
    assert list(values["operating_point"]) == list(OPERATING_POINT)
    assert "operating_point" not in evaluation_result(operating_point=None).to_json()


def test_a_missing_figure_is_an_error(page, tmp_path):
    with pytest.raises(ConfigError, match="must be files that can be read. Received: "):
        page(figures={"roc": tmp_path / "none.png"})
