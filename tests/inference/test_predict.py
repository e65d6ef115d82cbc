"""A run predicts videos of any length, from the command line and from Python."""

import copy
import csv
import dataclasses
import functools
import io
import json
import shutil
import sys
import threading
import time
from datetime import datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from support.encoding import encode
from support.rtsp_server import RtspServer, TestCamera
from support.training import train_on_videos
from support.videos import draw_two_classes, draw_video, frames_of

import violence_detection
from violence_detection.errors import ConfigError, RunError, VideoError, WeightsError
from violence_detection.inference import predict, video_sources
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.predictor import Predictor
from violence_detection.system import progress
from violence_detection.video.views import ORIGINAL, TEST_TIME_VIEWS

# -- a run predicts videos


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Videos of two classes, one second each, and a run that was trained on them; a long video, a
    still, a text file and an empty folder."""
    root = tmp_path_factory.mktemp("predict")
    videos = draw_two_classes(root / "videos")
    draw_video(root / "long.mp4", frames=54)
    draw_video(root / "still.mp4", frames=1)
    (root / "text.mp4").write_text("not a video")
    (root / "empty").mkdir()
    return str(train_on_videos(videos, root, backbone="mobilenetv2")), root


@pytest.fixture(scope="module")
def rows(trained):
    """The rows of the long video, the text file, the still and two folders."""
    run, root = trained
    names = ("long.mp4", "text.mp4", "still.mp4", "videos/fight", "empty")
    paths = [root / name for name in names]
    config = PredictConfig(batch_size=8)
    return predict.predict_videos(run, [str(path) for path in paths], config).to_json()["videos"]


@pytest.mark.slow
def test_rows_come_in_the_order_given_and_a_folder_stands_for_its_videos(rows, trained):
    fights = [f"{trained[1]}/videos/fight/{number}.mp4" for number in range(6)]
    names = [f"{trained[1]}/{name}" for name in ("long.mp4", "text.mp4", "still.mp4")]
    assert [row["path"] for row in rows] == [*names, *fights, f"{trained[1]}/empty"]


@pytest.mark.slow
def test_a_table_has_a_row_a_window_and_one_for_an_unreadable_video(rows, trained):
    predictor = Predictor.load(trained[0], batch_size=8)
    paths = [row["path"] for row in rows[:2]]
    table = predictor.to_frame(paths)
    windows = rows[0]["windows"]
    assert table["path"].tolist() == [paths[0]] * len(windows) + [paths[1]]
    for name in ("start_s", "end_s", "probability"):
        assert table[name].tolist()[:-1] == [window[name] for window in windows]
    assert table["error"].iloc[-1] == rows[1]["error"] and table["probability"].isna().iloc[-1]


def test_a_long_video_is_cut_into_windows_of_the_clips_length(rows):
    """4.5 seconds in windows of 1 s, half a second apart."""
    spans = [(window["start_s"], window["end_s"]) for window in rows[0]["windows"]]
    assert spans[0] == (0.0, 1.0) and spans[-1][1] == pytest.approx(4.5)
    np.testing.assert_allclose(np.diff([start for start, _ in spans]), 0.5)
    np.testing.assert_allclose([end - start for start, end in spans], 1.0)


def test_a_file_of_the_runs_training_has_its_split(rows, trained):
    with open(f"{trained[0]}/training_videos.csv") as file:
        splits = {row["path"]: row["split"] for row in csv.DictReader(file)}
    for row in rows:
        split = splits.get(row["path"].removeprefix(f"{trained[1]}/videos/"))
        assert row.get("training_split") == (None if split == "test" else split)
    assert {row.get("training_split") for row in rows} >= {"train", None}


def test_the_probability_is_that_of_the_most_violent_window(rows):
    readable = [row for row in rows if not row["error"]]
    assert len(readable) == 7
    for row in readable:
        peak = max(window["probability"] for window in row["windows"])
        assert row["probability"] == peak and 0 <= peak <= 1


def test_label_and_segments_follow_the_threshold(rows, trained):
    with open(f"{trained[0]}/training_results.json") as file:
        threshold = json.load(file)["threshold"]
    readable = [row for row in rows if not row["error"]]
    assert len(readable) == 7
    for row in readable:
        violent = row["probability"] >= threshold
        assert row["label"] == ("fight" if violent else "noFight")
        assert bool(row["segments"]) is violent


def test_a_video_of_one_frame_shows_no_motion(rows):
    assert rows[2]["error"] == "it has one frame, and motion needs two"


def test_what_cannot_be_read_has_a_reason_and_no_numbers_that_mislead(rows):
    for row in (rows[1], rows[-1]):
        assert row["error"]
        assert (row["probability"], row["label"], row["fps"], row["windows"]) == (None,) * 3 + ([],)


@pytest.mark.slow
def test_a_shorter_stride_keeps_the_windows_that_were_there(rows, trained):
    run, root = trained
    config = PredictConfig(batch_size=8, stride_s=0.25)
    (row,) = predict.predict_videos(run, [str(root / "long.mp4")], config).to_json()["videos"]
    dense = {window["start_s"]: window["probability"] for window in row["windows"]}
    assert len(dense) == 15
    for window in rows[0]["windows"]:
        assert dense[window["start_s"]] == pytest.approx(window["probability"], abs=1e-5)


@pytest.mark.parametrize(
    "fps",
    [
        12,
        29.97,
        *[
            pytest.param(rate, marks=pytest.mark.thorough)
            for rate in (10, 23.976, 25, 30, 50, 59.94)
        ],
    ],
)
@pytest.mark.slow
def test_windows_that_touch_are_one_segment_at_every_rate(trained, fps, tmp_path):
    run, _ = trained
    video = draw_video(tmp_path / "a.mp4", frames=round(9 * fps), fps=fps)
    predictor = Predictor.load(run, stride_s=1.0)
    predictor.threshold = 0.0
    answer = predictor.predict(video)
    assert len(answer["windows"]) >= 8 and len(answer["segments"]) == 1


# -- from Python


@pytest.fixture(scope="module")
def predictor(trained) -> Predictor:
    return Predictor.load(trained[0], batch_size=8)


@pytest.mark.parametrize("name", ["long.mp4", "videos/fight/1.mp4"])
def test_frames_that_are_decoded_by_hand_give_the_answer_of_the_path(
    predictor, trained, rows, name
):
    path = trained[1] / name
    frames = np.array(frames_of(path))[..., ::-1]
    by_path, by_hand = predictor(path), predictor(frames, fps=12.0)
    assert by_hand["label"] == by_path["label"]
    assert len(by_hand["windows"]) == len(by_path["windows"])
    for window, other in zip(by_hand["windows"], by_path["windows"], strict=True):
        assert window == pytest.approx(other, abs=2e-3)
        assert window["probability"] == pytest.approx(other["probability"], abs=2e-6)


def test_a_predictor_and_the_command_give_the_same_prediction(predictor, trained, rows):
    answer = predictor.predict(str(trained[1] / "long.mp4"))
    assert answer == {key: rows[0][key] for key in answer}
    assert list(predictor.windows(trained[1] / "long.mp4")) == answer["windows"]


def test_frames_at_another_rate_are_sampled_at_the_same_moments(predictor, trained):
    """Every frame twice, at twice the rate."""
    frames = np.array(frames_of(trained[1] / "long.mp4"))[..., ::-1]
    once, twice = (
        predictor(frames, fps=12.0),
        predictor(np.repeat(frames, 2, 0), fps=24),
    )
    assert len(once["windows"]) == len(twice["windows"])
    assert twice["duration_s"] == pytest.approx(once["duration_s"], abs=0.05)


def test_windows_come_one_by_one_and_can_be_left(predictor, trained):
    found = predictor.windows(trained[1] / "long.mp4")
    assert next(found)["start_s"] == 0.0
    found.close()


def test_what_cannot_be_read_is_an_error(predictor, trained):
    with pytest.raises(VideoError, match="no such file"):
        predictor(trained[1] / "gone.mp4")
    with pytest.raises(ConfigError, match="must be given for a stream"):
        predictor("rtsp://u:secret@nowhere/1")
    with pytest.raises(ConfigError, match="`fps`"):
        predictor(np.zeros((5, 32, 32, 3), np.uint8))


def test_the_package_has_the_predictor_and_nothing_that_is_not_there():
    assert violence_detection.Predictor is Predictor
    with pytest.raises(AttributeError, match="no attribute 'Predictr'"):
        _ = violence_detection.Predictr


# -- settings


@pytest.mark.slow
def test_views_are_averaged(trained, predictor):
    path, seen = trained[1] / "long.mp4", []
    for views in (
        (ORIGINAL, *TEST_TIME_VIEWS),
        *((view,) for view in (ORIGINAL, *TEST_TIME_VIEWS)),
    ):
        one = copy.copy(predictor)
        one._source = dataclasses.replace(predictor._source, views=views)
        seen.append([window["probability"] for window in one.windows(path)])
    averaged, *alone = seen
    np.testing.assert_allclose(averaged, np.mean(alone, axis=0), atol=2e-5)
    assert np.ptp(alone, axis=0).max() > 1e-5


@pytest.mark.slow
def test_views_are_what_tta_asks_for(trained):
    asked = Predictor.load(trained[0], tta=True)
    assert asked._source.views == (ORIGINAL, *TEST_TIME_VIEWS)


@pytest.mark.slow
def test_a_threshold_that_is_given_decides_labels_and_segments(trained, rows):
    path = trained[1] / "long.mp4"
    all_of_it = Predictor.load(trained[0], threshold=0.0)(path)
    assert (all_of_it["label"], len(all_of_it["segments"])) == ("fight", 1)
    peak = all_of_it["probability"]
    higher = Predictor.load(trained[0], threshold=peak + 1e-5)(path)
    assert (higher["label"], higher["segments"]) == ("noFight", [])


@pytest.mark.parametrize("confirm", ["2", "0/1", "3/2", "1/101", "a/b", "1/2/3", "²/³", "-1/2"])
def test_a_confirmation_is_a_number_of_windows_among_others(confirm):
    with pytest.raises(ConfigError, match="`confirm` must be two numbers such as 2/3"):
        PredictConfig(confirm=confirm)
    assert PredictConfig(confirm=" 02/3 ").confirm == "2/3"


def test_a_lower_threshold_is_not_above_the_upper_one(trained):
    with pytest.raises(ConfigError, match="`lower_threshold` must be <= `threshold`"):
        PredictConfig(threshold=0.3, lower_threshold=0.4)
    with pytest.raises(ConfigError, match="must be <= the run's threshold"):
        Predictor.load(trained[0], lower_threshold=1.0)


def test_a_predictor_is_printed_with_its_run_and_refuses_unknown_settings(trained, predictor):
    assert repr(predictor).startswith(f"Predictor({trained[0]!r}, classes=['noFight', 'fight'], ")
    with pytest.raises(ConfigError, match="Unknown setting `thresh`. Did you mean `threshold`"):
        Predictor.load(trained[0], thresh=0.4)


def test_a_rate_of_numpy_gives_the_durations_of_a_float(predictor):
    frames = np.zeros((12, 48, 64, 3), np.uint8)
    duration_s = predictor(frames, fps=np.float32(12))["duration_s"]
    assert type(duration_s) is float and duration_s == 1.0


def test_the_engine_that_was_used_has_a_name(trained, predictor):
    assert predictor.engine == "tensorflow float32"


# -- what is written


@pytest.mark.slow
def test_all_files_are_written_and_attention_is_not_printed(trained, tmp_path):
    run, root = trained
    places = {name: str(tmp_path / name) for name in ("subtitles", "annotate")}
    tables = {name: str(tmp_path / f"{name}.csv") for name in ("csv", "label_next")}
    config = PredictConfig(**tables, **places)
    words = [str(root / "long.mp4"), str(root / "text.mp4")]
    planned = predict.PredictionStage(run, words, config).prepare().to_json()
    assert planned["videos"] == words
    assert not tmp_path.joinpath("annotate").exists()
    result = predict.predict_videos(run, words, config).to_json()
    assert "attention" not in json.dumps(result)
    assert set(result["written"]) == {path for path in planned["writes"] if "text" not in path}
    with pytest.raises(ConfigError, match="An output must be a new file"):
        predict.predict_videos(run, words, config)
    assert predict.predict_videos(run, words, config, force=True).written
    with open(tables["label_next"]) as file:
        suggested = list(csv.DictReader(file))
    windows = result["videos"][0]["windows"]
    assert 0 < len(suggested) <= len(windows)  # neighbours overlap: one of each stretch
    assert {row["path"] for row in suggested} == {words[0]}
    scores = {f"{window['probability']}" for window in windows}
    assert {row["probability"] for row in suggested} <= scores


@pytest.mark.slow
def test_the_start_by_the_clock_is_in_the_json_and_the_table(trained, tmp_path):
    run, root = trained
    video = tmp_path / "cam_20240531_221500.mp4"
    shutil.copy(root / "long.mp4", video)
    config = PredictConfig(start_time="auto", threshold=0.0, csv=str(tmp_path / "t.csv"))
    result = predict.predict_videos(run, [str(video)], config).to_json()
    (row,) = result["videos"]
    assert row["segments"][0]["start_time"] == row["start_time"] == "2024-05-31T22:15:00.000"
    assert "start_time,end_time" in (tmp_path / "t.csv").read_text().splitlines()[0]
    assert result["run"] == run and result["version"] == violence_detection.__version__
    assert datetime.fromisoformat(result["date"]).tzinfo


@pytest.mark.slow
def test_a_stream_that_does_not_end_starts_when_it_is_opened(trained, monkeypatch, caplog):
    run, root = trained
    monkeypatch.setattr(video_sources, "_FINITE_SCHEMES", ())
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/long.mp4"
        config = PredictConfig(start_time="auto", threshold=0.0, max_duration_s=60.0)
        started_at = datetime.now().astimezone()
        (row,) = predict.predict_videos(run, [address], config).to_json()["videos"]
        server.shutdown()
    assert started_at <= datetime.fromisoformat(row["start_time"]) <= datetime.now().astimezone()
    assert row["segments"][0]["start_time"] == row["start_time"]
    assert "is not known" not in caplog.text


@pytest.mark.slow
def test_a_long_video_shows_how_far_it_is_and_its_segments_as_they_come(trained, caplog):
    run, root = trained
    long = draw_video(root / "hour.mp4", frames=12 * 65)
    caplog.set_level("INFO", "violence_detection")
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Steps, "within", lambda *told: shown.append(told[1:]))
        predict.predict_videos(run, [str(long)], PredictConfig(threshold=0.0))
    assert shown[-1] == (1.0, "1:05 of 1:05") and shown[0][0] < 0.2
    assert [fraction for fraction, _ in shown] == sorted(fraction for fraction, _ in shown)
    assert any("fight 0:00 to 1:05, up to" in line for line in caplog.messages)


@pytest.mark.slow
def test_a_camera_has_the_prediction_of_its_file_and_its_windows_come_at_once(predictor, tmp_path):
    path = encode(tmp_path / "a.mp4", frames=125, size=(96, 64), g=25)
    camera = TestCamera([path], repeats_first=True, loops=False)
    live = copy.copy(predictor)
    live._source = dataclasses.replace(predictor._source, max_duration_s=60.0)
    with RtspServer({"door": camera}) as server:
        source, passed_s = video_sources.parse_source(server.url("door")), []

        def note(number, window, video_s) -> None:
            sent_s = camera.sent[0][1] + window.end_s
            passed_s.append(time.monotonic() - sent_s)

        ((_, by_camera),) = live.predict_all([source], note)
    by_file = predictor.predict_video(path)
    assert len(by_camera.windows) == len(by_file.windows)
    for live_window, window in zip(by_camera.windows, by_file.windows, strict=True):
        assert (live_window.start_s, live_window.end_s) == (window.start_s, window.end_s)
        # Windows that come one by one are encoded in other batches: the last digit may differ.
        assert live_window.probability == pytest.approx(window.probability, abs=1e-5)
    spans = [[(part.start_s, part.end_s) for part in of.segments] for of in (by_camera, by_file)]
    assert spans[0] == spans[1]
    assert by_camera.duration_s == by_file.duration_s
    assert len(passed_s) > 3 and min(passed_s) < 1.0


def test_an_empty_list_is_refused(trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(ConfigError, match="an empty list"):
        predict.predict_videos(trained[0], ["-"], PredictConfig())


# -- error


def test_other_weights_than_those_of_the_features_are_refused(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    config = json.loads((run / "training_config.json").read_text())
    config["weights"]["seed"] += 1
    (run / "training_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="must be those that the features were made with"):
        predict.predict_videos(str(run), ["a.mp4"], PredictConfig())


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RunError, match="must be a folder that train left"):
        predict.predict_videos(str(tmp_path / "gone"), ["a.mp4"], PredictConfig())
