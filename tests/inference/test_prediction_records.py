"""Records of predictions: rounding, and the keys of JSON and of the Python interface."""

from datetime import datetime

import pytest

from violence_detection.inference.prediction_records import (
    Segment,
    SourcePrediction,
    VideoPrediction,
    Window,
    WindowOutputs,
)

THREE = {"normal": 0.12345678, "fight": 0.5, "fall": 0.37654322}


def test_a_window_is_rounded_to_milliseconds_and_millionths():
    window = Window(1.23449, 2.0006, 1 / 3, THREE, attention=(0.25, 0.75)).rounded()
    assert window == Window(
        1.234,
        2.001,
        0.333333,
        {"normal": 0.123457, "fight": 0.5, "fall": 0.376543},
        attention=(0.25, 0.75),
    )


def test_attention_is_not_in_the_json_of_a_window():
    window = Window(0.0, 2.0, 0.5, attention=(1.0,))
    assert list(window.as_dict()) == ["start_s", "end_s", "probability"]
    assert list(Window(0.0, 2.0, 0.5, THREE).as_dict())[3:] == ["probabilities"]


def test_what_further_outputs_say_is_in_the_json_of_windows_and_videos():
    quiet = WindowOutputs("normal", 0.9, {"svdd": 0.6, "vae": 0.8})
    fight = WindowOutputs("fight", 0.7, {"svdd": 0.1, "vae": 0.2})
    windows = (
        Window(0.0, 2.0, 0.2, outputs=quiet),
        Window(1.0, 3.0, 0.8, outputs=fight),
    )
    assert list(windows[0].as_dict())[3:] == [
        "class",
        "confidence",
        "anomaly_score",
        "anomaly_scores",
    ]
    prediction = VideoPrediction(0.8, "fight", (), windows, 3.0, 25.0, "")
    row = prediction.as_dict()
    assert (row["class"], row["confidence"]) == ("fight", 0.7)  # of the most violent window
    assert row["anomaly_score"] == 0.7 and row["anomaly_scores"]["vae"] == 0.8  # of the oddest
    assert quiet.columns() == {
        "class": "normal",
        "confidence": 0.9,
        "anomaly_score": 0.7,
        "anomaly_svdd": 0.6,
        "anomaly_vae": 0.8,
    }
    alone = WindowOutputs(None, None, {"svdd": 0.25})
    assert list(alone.columns()) == ["anomaly_score", "anomaly_svdd"]


def test_a_segment_contains_the_windows_between_its_ends():
    segment = Segment(1.0, 3.0, peak=0.9, peak_s=2.0)
    assert segment.duration_s == 2.0
    assert segment.contains(Window(1.0, 3.0, 0.9))
    assert not segment.contains(Window(0.5, 2.5, 0.9))
    assert list(segment.as_dict()) == ["start_s", "end_s", "peak", "peak_s"]


def test_the_row_of_a_video_has_the_keys_of_the_contract():
    prediction = VideoPrediction(
        probability=0.5,
        label="fight",
        segments=(Segment(0.0, 2.0, 0.5, 1.0),),
        windows=(Window(0.0, 2.0, 0.5),),
        duration_s=2.0,
        fps=25.0,
        damage="",
    )
    row = SourcePrediction("a.mp4", prediction).as_dict(["normal", "fight"])
    expected = "path probability label segments windows duration_s fps damage notes error"
    assert list(row) == expected.split()
    assert row["windows"] == [{"start_s": 0.0, "end_s": 2.0, "probability": 0.5}]
    assert row["error"] is None


@pytest.mark.parametrize(
    ("classes", "probabilities"),
    [(["normal", "fight"], None), (list(THREE), dict.fromkeys(THREE))],
)
def test_the_row_of_an_unreadable_source_has_no_numbers_and_the_reason(classes, probabilities):
    row = SourcePrediction("a.mp4", None, "no such file").as_dict(classes)
    assert (row["probability"], row["label"], row["fps"], row["windows"]) == (None, None, None, [])
    assert row.get("probabilities") == probabilities
    assert row["error"] == "no such file"


def test_a_known_start_gives_segments_their_time_by_the_clock():
    prediction = VideoPrediction(0.9, "fight", (Segment(1.5, 3.5, 0.9, 2.5),), (), 60.0, 25.0, "")
    start = datetime(2024, 5, 31, 23, 59, 59)
    row = SourcePrediction("a.mp4", prediction, start=start).as_dict(["normal", "fight"])
    assert row["start_time"] == "2024-05-31T23:59:59.000"
    (segment,) = row["segments"]
    assert (segment["start_s"], segment["start_time"]) == (1.5, "2024-06-01T00:00:00.500")
    assert segment["end_time"] == "2024-06-01T00:00:02.500"
