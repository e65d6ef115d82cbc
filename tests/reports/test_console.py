"""Console text: nothing is 0.0%, few videos are counted, and lines are broken between words."""

import dataclasses
import shlex
from pathlib import Path

import pytest
from support.reports import OPERATING_POINT

from violence_detection.commands._next_line import next_line
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.reports import console

POINT = ChosenOperatingPoint.from_json(
    OPERATING_POINT
    | {
        "achieved": {
            "recall": 0.0,
            "false_positive_rate": 0.2,
            "balanced_accuracy": 0.8,
            "f1": 0.0,
        },
        "achieved_ci": {
            "recall": None,
            "false_positive_rate": [0.1, 0.3],
            "balanced_accuracy": None,
            "f1": None,
        },
    }
)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 1, "1 of 1 found"),
        (9, 9, "9 of 9 found"),
        (17, 18, "17 of 18 found, 94.4% (95%: 70.0% to 99.0%)"),
        (0, 0, "none: no violent videos"),
    ],
)
def test_a_share_of_few_videos_has_no_percentage(part, whole, text):
    shown = console.format_fraction(
        part, whole, [0.7, 0.99], what="found", none="none: no violent videos"
    )
    assert shown == text


def test_rates_of_nothing_are_none():
    text = "\n".join(console.threshold_lines(0.43, "a reason", POINT))
    assert "recall none, no violent videos" in text
    assert "false positive rate 20.0% (95%: 10.0% to 30.0%)" in text
    assert "recall 0.0%" not in text


def test_rates_on_few_recordings_are_a_rough_guess_and_on_few_videos_not_shown():
    few = dataclasses.replace(POINT, recordings=9)
    assert console.ROUGH in console.threshold_lines(0.43, "a reason", few)[1]
    assert console.ROUGH not in console.threshold_lines(0.43, "a reason", POINT)[1]
    tiny = dataclasses.replace(POINT, videos=2, recordings=2)
    assert console.threshold_lines(0.43, "a reason", tiny)[1].endswith("too few for a rate")


def test_a_perfect_score_has_no_interval_without_width():
    assert console.format_number(1.0, [1.0, 1.0]) == "1.000"
    assert console.format_number(0.9, [0.8, 1.0]) == "0.900 (95%: 0.800 to 1.000)"


@pytest.mark.parametrize("columns", [60, 100])
def test_lines_are_broken_between_words_and_stand_under_their_text(columns):
    words = "one two-three 0.5% (95%: 0.1% to 0.9%)".split() * 6
    lines = console.wrap_lines([f"{'threshold':11s} {' '.join(words)}", "short", ""], columns)
    assert all(len(line) <= columns for line in lines)
    assert all(line.startswith(" " * 12) for line in lines[1:-2])
    assert " ".join(" ".join(lines[:-2]).split()[1:]) == " ".join(words)
    assert lines[-2:] == ["short", ""]


def test_the_lines_of_an_item_stand_under_its_text():
    lines = console.wrap_lines(["- " + "door is dark " * 5], 40)
    assert [line[:3] for line in lines] == ["- d", "  d"] and max(map(len, lines)) <= 40


@pytest.mark.parametrize("columns", [60, 80])
def test_the_next_command_is_broken_as_a_shell_takes_it(columns):
    command = next_line("train", "--features", Path("f/my videos"), "--config", Path("b" * 50))
    lines = console.wrap_lines(["score       0.5", command], columns)
    assert len(lines) > 2 and all(line.endswith(" \\") for line in lines[1:-1])
    text = "\n".join(lines[1:]).removeprefix("next")
    words = shlex.split(text.replace("\\\n", " "))
    assert words == shlex.split(command)[1:]
    assert [line for line in lines if len(line) > max(columns, 63)] == []
    assert (
        console.wrap_lines(["next        the other shards, then training " * 3], columns)[0][-1]
        != "\\"
    )


def test_a_table_moves_to_the_left_and_its_rows_stay_whole():
    cells = ["a name", "accuracy 95%", "AUC", "videos and more"]
    rows = console.align_columns([cells, ["second", "1.0%", "0.5", "3"]])
    assert len(rows[0]) == 54
    assert console.wrap_lines(rows, 54) == rows
    assert console.wrap_lines(rows, 44) == [row[10:] for row in rows]
    scores = [f"{'recall':12s} 94.1%  89.2% to 97.8%    of the violent videos are found"]
    assert console.wrap_lines(scores, 60) == [
        "recall       94.1%  89.2% to 97.8%",
        "            of the violent videos are found",
    ]
    sentence = "which has the better accuracy, A or B, is unknown: they cannot show it"
    assert console.wrap_lines([sentence], 60) == [sentence[:55], sentence[56:]]


def test_a_table_loses_columns_until_it_fits():
    rows = [["name", "95%", "videos"], ["first", "0.1% to 0.9%", "12"]]
    assert console.fit_columns(rows, (1, 2), 80) == console.align_columns(rows)
    narrow = console.fit_columns(rows, (1, 2), 20)
    assert narrow == console.align_columns([["name", "videos"], ["first", "12"]])


def test_the_long_last_cell_of_a_row_is_broken_below_it():
    row = f"{'left_out':28s} {'c.npz: torn; ' * 6}".rstrip()
    lines = console.wrap_lines([row], 60)
    assert lines[0] == "left_out" and max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()) == " ".join(row.split())


def test_a_plan_joins_the_values_of_a_list():
    plan = {"files": ["a", "b"], "left_out": [{"what": "c.npz", "reason": "torn"}]}
    assert [line.split(maxsplit=1)[1] for line in console.format_table(plan)] == [
        "a, b",
        "c.npz: torn",
    ]


def test_a_path_is_not_broken():
    line = f"report      /{'a' * 80}/report.html"
    assert console.wrap_lines([line], 60) == [line]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.483, "0.48"), (12.4, "12"), (6640.1, "6,640")]
)
def test_a_rate_per_hour_has_no_exponent(value, text):
    assert console.format_per_hour(value) == text


def test_warnings_and_problems_have_a_coloured_label(monkeypatch):
    lines = ["warning     a", "accuracy    91%", "No problems found."]
    warning, accuracy, verdict = console.colour_lines(lines)
    assert warning == "\x1b[33m\x1b[1mwarning\x1b[0m     a"
    assert accuracy == "accuracy    91%"
    assert verdict.startswith("\x1b[32m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.colour_lines(lines) == lines


def test_the_calibration_error_is_said_by_an_example():
    assert console.calibration_text(0.059) == (
        "probabilities are 6 points off on average: of 100 videos given 70%, about 64 to 76 are "
        "violent"
    )
    assert console.calibration_text(0.4).endswith("about 30 to 100 are violent")
    assert console.calibration_text(0.004).endswith("less than half a point off on average")
