"""Subtitles are what players read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.inference.output_files.subtitles import srt, timestamp, webvtt
from violence_detection.inference.prediction_records import Segment

SEGMENTS = [
    Segment(1.5, 4.0, peak=0.9, peak_s=2.0),
    Segment(3661.0, 3662.25, peak=0.514, peak_s=3661.5),
]


def test_webvtt_is_that_of_the_standard():
    assert webvtt(SEGMENTS, "fight") == (
        "WEBVTT\n\n"
        "00:00:01.500 --> 00:00:04.000\nfight: up to 90%\n\n"
        "01:01:01.000 --> 01:01:02.250\nfight: up to 51%\n"
    )


def test_srt_has_numbers_and_commas():
    assert srt(SEGMENTS, "fight") == (
        "1\n00:00:01,500 --> 00:00:04,000\nfight: up to 90%\n\n"
        "2\n01:01:01,000 --> 01:01:02,250\nfight: up to 51%\n"
    )


def test_nothing_violent_is_a_file_without_cues():
    assert webvtt([], "fight") == "WEBVTT\n"
    assert srt([], "fight") == ""


def test_a_name_cannot_break_out_of_its_cue():
    text = webvtt(SEGMENTS[:1], "a<b>\n\n00:00:09.000 --> 00:00:10.000 & c")
    assert text.count("\n\n") == 1
    assert "a&lt;b&gt; 00:00:09.000 --&gt; 00:00:10.000 &amp; c" in text


@given(st.floats(0, 1e6))
def test_a_timestamp_is_the_time_to_the_millisecond(time_s):
    hours, minutes, rest = timestamp(time_s, ".").split(":")
    assert re.fullmatch(r"\d{2}\.\d{3}", rest)
    assert int(minutes) < 60
    assert float(rest) < 60
    found = 3600 * int(hours) + 60 * int(minutes) + float(rest)
    assert found == pytest.approx(time_s, abs=0.0006)
