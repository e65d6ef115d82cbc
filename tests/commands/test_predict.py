"""How `predict` is asked, what it refuses before it starts, and how its answer reads."""

import dataclasses
import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from violence_detection.cli import main
from violence_detection.commands.predict import _clock, _lines
from violence_detection.inference.prediction_records import (
    PredictionResult,
    Segment,
    SourcePrediction,
    VideoPrediction,
    Window,
)

SEGMENT = Segment(61.5, 63.5, 0.91, 62.5)
WINDOW = Window(0.0, 2.0, 0.5)
FIGHT = VideoPrediction(0.91, "fight", (SEGMENT,), (WINDOW,), duration_s=90.0, fps=25.0, damage="")
NO_FIGHT = dataclasses.replace(FIGHT, probability=0.2, label="noFight", segments=())
RESULT = PredictionResult(
    videos=(
        SourcePrediction("a.mp4", FIGHT),
        SourcePrediction("b.mp4", NO_FIGHT),
        SourcePrediction("c.mp4", None, "no such file"),
    ),
    classes=("noFight", "fight"),
    engine="openvino mixed_bfloat16",
    threshold=0.5,
    lower_threshold=0.375,
    written=(),
    run=Path("run"),
    version="1.0",
    date="2024-06-01T12:00:00+00:00",
)


def call(*words, stdin=""):
    return CliRunner().invoke(main, ["predict", *map(str, words)], input=stdin)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("a.mp4", "b.mkv"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_answer_is_a_table_for_people():
    assert _lines(RESULT)[:7] == [
        "score  label       video, and its violent segments",
        "0.910  fight       a.mp4",
        "0.910                  0:01:01.5 to 0:01:03.5, peak at 0:01:02.5",
        "0.200  noFight     b.mp4",
        "       unreadable  c.mp4: no such file",
        "",
        "threshold   0.500; segments extend down to 0.375",
    ]


def test_segments_have_their_time_by_the_clock_where_it_is_known():
    source = SourcePrediction("a.mp4", FIGHT, start=datetime(2024, 5, 31, 22, 15, 0))
    line = _lines(dataclasses.replace(RESULT, videos=(source,)))[2]
    assert line.endswith("peak at 0:01:02.5 (2024-05-31 22:16:01 to 22:16:03)")


def test_files_that_the_run_was_trained_on_are_named():
    video = SourcePrediction("a.mp4", FIGHT, training_split="train")
    lines = _lines(dataclasses.replace(RESULT, videos=(video,)))
    assert lines[-1].startswith("caution     the run learned from this video: its probability")
    videos = (
        video,
        RESULT.videos[1],
        SourcePrediction("d.mp4", FIGHT, training_split="validation"),
    )
    lines = _lines(dataclasses.replace(RESULT, videos=videos))
    assert "learned from or was chosen on 2 of these videos (a.mp4, d.mp4)" in lines[-1]


def test_many_files_that_were_written_are_counted():
    written = tuple(Path(f"{n}.vtt") for n in range(9))
    lines = _lines(dataclasses.replace(RESULT, written=written))
    assert lines[-1] == "written     and 3 more"


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "0:00:00.0"),
        (59.96, "0:01:00.0"),
        (3599.99, "1:00:00.0"),
        (75.25, "0:01:15.2"),
    ],
)
def test_times_are_those_of_a_player(time_s, text):
    assert _clock(time_s) == text


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_done_and_does_nothing(folder, run_dir):
    asked = (
        "*.mp4",
        "-",
        "rtsp://me:secret@cam/1",
        "--max-duration-s",
        5,
        "--csv",
        "t/t.csv",
    )
    said = call(run_dir, *asked, "--dry-run", "--json", stdin="b.mkv\n")
    assert said.exit_code == 0, said.stderr
    planned = json.loads(said.stdout)
    assert planned["videos"] == ["a.mp4", "b.mkv", "rtsp://me:***@cam/1"]
    assert planned["writes"] == [str(folder / "t" / "t.csv")]
    assert "secret" not in said.output
    assert sorted(path.name for path in folder.iterdir()) == ["a.mp4", "b.mkv"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("rtsp://me:secret@cam/1",), "--max-duration-s must be given for a stream"),
        (("a.mp4", "--csv", "b.mkv"), "An output must be a new file"),
        (("a.mp4", "b.mkv", "--timeline", "t.png"), "must be a folder"),
        (("a.mp4", "--annotate", ".", "--force"), "must not replace a video"),
        (
            ("a.mp4", "--lower-threshold", 0.9, "--threshold", 0.5),
            "must be <= --threshold",
        ),
        (("a.mp4", "--focus-s", 100), "--focus-s must be <= 30"),
        (("-",), "must be a video to predict"),
        (("a.mp4", "--start-time", "noon"), "must be `auto`, or a date and time"),
        (("a.mp4", "b.mkv", "--start-time", "2024-05-31T22:15"), "must be `auto` if there are"),
    ],
)
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_wrong_usage_is_one_line_before_anything_is_read(folder, run_dir, words, line, dry_run):
    said = call(run_dir, *words, *dry_run)
    assert said.exit_code == 2
    assert said.stdout == ""
    assert line in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert "secret" not in said.stderr
    assert (folder / "b.mkv").read_bytes() == b"x"
