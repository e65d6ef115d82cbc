"""The files of a prediction are complete, have names of their own, and replace nothing unasked."""

import csv
import os
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from support.folders import tree_of
from support.videos import draw_video

from violence_detection.errors import ConfigError
from violence_detection.inference.output_files.outputs import Outputs
from violence_detection.inference.prediction_records import (
    Segment,
    SourcePrediction,
    VideoPrediction,
    Window,
)
from violence_detection.inference.video_sources import parse_source

PREDICTION = VideoPrediction(
    probability=0.7,
    label="fight",
    windows=(Window(0.0, 1.0, 0.2), Window(0.5, 1.5, 0.7, attention=(0.5, 0.5))),
    segments=(Segment(0.5, 1.5, peak=0.7, peak_s=1.0),),
    duration_s=1.5,
    fps=12.0,
    damage="",
)
NAMED = {"threshold": 0.5, "violent": "fight"}


def outputs(tmp_path, *words, **settings) -> Outputs:
    places = {name: str(tmp_path / place) for name, place in settings.items()}
    return Outputs([parse_source(str(word)) for word in words], **places)


def test_a_table_has_a_row_for_each_window_and_each_failure(tmp_path):
    one = outputs(tmp_path, "a.mp4", "b.mp4", csv="t.csv")
    by_class = {"normal": 0.3, "fight": 0.5, "fall": 0.2}
    windows = [replace(window, probabilities=by_class) for window in PREDICTION.windows]
    prediction = replace(PREDICTION, windows=tuple(windows), probabilities=by_class)
    one.write_table(
        [
            SourcePrediction("a,b.mp4", prediction),
            SourcePrediction("b.mp4", None, "no such file"),
        ],
        classes=list(by_class),
    )
    with open(tmp_path / "t.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a,b.mp4", "a,b.mp4", "b.mp4"]
    assert [row["segment"] for row in rows] == ["", "1", ""]
    assert [row["probability"] for row in rows] == ["0.2", "0.7", ""]
    assert rows[1]["probability_fall"] == "0.2"
    assert rows[2]["error"] == "no such file"


@pytest.mark.slow
def test_all_files_can_be_written_to_the_same_folder(tmp_path):
    videos = [
        draw_video(tmp_path / f"{name}/cam.mp4", frames=18, seed=seed)
        for seed, name in enumerate("ab")
    ]
    one = outputs(
        tmp_path,
        *videos,
        subtitles="out",
        timeline="out",
        annotate="out",
        csv="out/t.csv",
    )
    one.check(force=False)
    for number in (0, 1):
        assert one.write(number, PREDICTION, **NAMED) is None
    predictions = [SourcePrediction(str(path), PREDICTION) for path in videos]
    one.write_table(predictions, classes=["normal", "fight"])
    endings = ("mp4", "png", "srt", "vtt")
    expected = [f"cam{number}.{one}" for number in ("-2", "") for one in endings]
    assert tree_of(tmp_path / "out") == sorted([*expected, "t.csv"])
    assert sorted(map(str, one.paths)) == [
        str(tmp_path / "out" / name) for name in sorted([*expected, "t.csv"])
    ]


def test_one_file_is_of_one_video(tmp_path):
    one = outputs(tmp_path, "a.mp4", timeline="t.PNG", annotate="x.mp4")
    assert one.paths == [tmp_path / "t.PNG", tmp_path / "x.mp4"]
    with pytest.raises(ConfigError, match="`timeline` must be a folder .* for 2$"):
        outputs(tmp_path, "a.mp4", "b.mp4", timeline="t.png")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ({"timeline": "out.jpg"}, "`timeline` must be a .png file or a folder"),
        ({"annotate": "out.avi"}, "`annotate` must be a .mp4 file or a folder"),
        ({"subtitles": "out.srt"}, "`subtitles` must be a folder"),
    ],
)
def test_a_folder_does_not_get_the_name_of_a_file(tmp_path, place, line):
    with pytest.raises(ConfigError, match=line):
        outputs(tmp_path, "a.mp4", **place)
    (tmp_path / next(iter(place.values()))).mkdir()
    assert outputs(tmp_path, "a.mp4", **place).paths
    assert outputs(tmp_path, "a.mp4", timeline="results.v2").paths


def test_nothing_is_replaced_unasked(tmp_path):
    one = outputs(tmp_path, "a.mp4", csv="t.csv", subtitles="out")
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"An output must be a new file, .*Received: .*t.csv"):
        one.check(force=False)
    one.check(force=True)
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_a_video_is_never_replaced(tmp_path):
    video = draw_video(tmp_path / "a.mp4")
    (tmp_path / "link.mp4").symlink_to(video)
    content = video.read_bytes()
    for place in ("a.mp4", "link.mp4", "."):
        one = outputs(tmp_path, video, annotate=place)
        with pytest.raises(ConfigError, match="must not replace a video"):
            one.check(force=True)
    assert video.read_bytes() == content


def test_streams_are_not_annotated_and_passwords_not_named(tmp_path):
    with pytest.raises(ConfigError, match=r"Received: rtsp://u:\*\*\*@cam/1$"):
        outputs(tmp_path, "rtsp://u:secret@cam/1", annotate="out")


def test_names_that_are_not_utf8_are_refused_where_they_would_be_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    assert outputs(tmp_path, name).paths == []
    with pytest.raises(ConfigError, match="must be UTF-8"):
        outputs(tmp_path, name, csv="t.csv")


def test_a_video_that_goes_away_has_an_error_and_keeps_its_numbers(tmp_path):
    video = draw_video(tmp_path / "a.mp4")
    one = outputs(tmp_path, video, annotate="out", subtitles="out")
    one.check(force=False)
    video.unlink()
    error = one.write(0, PREDICTION, **NAMED)
    assert error == "it could not be annotated: no such file"
    assert tree_of(tmp_path / "out") == ["a.srt", "a.vtt"]


def test_a_timeline_of_any_length_is_drawn(tmp_path):
    from violence_detection.reports.plots import timeline_figure

    for count in (1, 7, 3600):
        values = np.random.default_rng(0).random(count)
        windows = [(float(n), n + 2.0, float(value)) for n, value in enumerate(values)]
        path = tmp_path / f"{count}.png"
        timeline_figure.draw_timeline(
            path,
            windows,
            [],
            threshold=0.5,
            title="$x$" * 60,
            start=datetime(2024, 5, 31) if count == 7 else None,
        )
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_timeline_shows_the_most_violent_window_at_each_time():
    from violence_detection.reports.plots import timeline_figure

    windows = [(0.0, 2.0, 0.3), (1.0, 3.0, 0.8), (2.0, 4.0, 0.1), (9.0, 11.0, 0.5)]
    times_s, values = timeline_figure.window_steps(np.array(windows))
    for time_s, value in ((0.5, 0.3), (1.5, 0.8), (2.5, 0.8), (3.5, 0.1), (10.0, 0.5)):
        inside = np.searchsorted(times_s, time_s)
        assert values[inside] == values[inside - 1] == value
    assert np.isnan(values[np.searchsorted(times_s, 6.0)])
