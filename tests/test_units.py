"""Conversions of units, numbers as text, and valid names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import units


def test_frames_become_seconds_at_a_fractional_rate():
    # 30000/1001, the NTSC rate: 29.97 is not 29.
    assert units.frames_to_s(30000, 30000 / 1001) == pytest.approx(1001.0, abs=1e-9)


def test_an_unknown_rate_gives_no_seconds():
    assert units.frames_to_s(100, 0.0) == 0.0
    assert units.frames_to_s(100, -1.0) == 0.0


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0:00"),
        (59.4, "0:59"),
        (59.6, "1:00"),
        (75, "1:15"),
        (3599.6, "1:00:00"),
        (3675, "1:01:15"),
        (90061, "25:01:01"),
    ],
)
def test_durations_read_as_on_a_clock(duration_s, text):
    assert units.format_duration(duration_s) == text


def test_one_of_a_thing_is_singular():
    assert [units.counted(count, "video") for count in (0, 1, 2)] == [
        "0 videos",
        "1 video",
        "2 videos",
    ]


@given(st.integers(1, 10**6), st.floats(1, 240))
def test_twice_the_rate_takes_half_the_time(frames, fps):
    half = units.frames_to_s(frames, 2 * fps)
    assert half == pytest.approx(units.frames_to_s(frames, fps) / 2)


@given(st.floats(0, 1e6))
def test_a_duration_read_back_is_within_half_a_second(duration_s):
    seconds = 0
    for field in units.format_duration(duration_s).split(":"):
        seconds = 60 * seconds + int(field)
    assert abs(seconds - duration_s) <= 0.5


@pytest.mark.parametrize("name", ["a", "a.b c", "ä" * 100, "-x"])
def test_valid_folder_names(name):
    assert units.is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0", "ä" * 101])
def test_invalid_folder_names(name):
    assert not units.is_name(name)


def test_a_path_that_is_not_utf_8_is_recognised():
    assert units.is_utf8("Straße/暴力.mp4")
    assert not units.is_utf8("\udcff.mp4")  # as Python represents the byte 0xff


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0, "0 s"), (0.0161, "58 s"), (0.7, "42 min"), (11.0, "11 hours"), (60, "2.5 days")],
)
def test_hours_in_words(hours, words):
    assert units.hours_words(hours) == words


@pytest.mark.parametrize(
    ("per_hour", "words"),
    [(0, "none"), (0.05, "1 in 20 hours"), (0.001, "1 in 41.7 days"), (0.6, "0.6 an hour"),
     (190.3, "190 an hour"), (1903.0, "1,903 an hour")],
)  # fmt: skip
def test_rates_in_words(per_hour, words):
    assert units.rate_words(per_hour) == words


def test_a_path_is_shown_from_the_current_folder_where_that_is_shorter(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    shown = [units.shown_path(tmp_path / name) for name in ("a/runs/first", "runs/first", "a")]
    assert shown == ["runs/first", "../runs/first", "."]
    assert units.shown_path(tmp_path / "runs", is_kept=True) == str(tmp_path / "runs")
    assert units.shown_path("/v") == "/v"
    assert units.shown_path("my videos") == "my videos"
