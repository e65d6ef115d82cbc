"""What leaves the house answers as the run does, and what does not is not kept."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features
from support.folders import tree_of
from support.training import train_on_videos, train_quickly
from support.videos import draw_two_classes, draw_video

from violence_detection.errors import (
    ConfigError,
    DatasetError,
    ExportError,
    RunError,
    VideoError,
    ViolenceDetectionError,
)
from violence_detection.export import check_clips, conversion, export, parity
from violence_detection.export.config import ExportConfig
from violence_detection.export.end_to_end_graph import FrameInput
from violence_detection.export.export_job import ExportJob
from violence_detection.export.formats._format import Tolerance
from violence_detection.system import processes
from violence_detection.training.config import TrainConfig
from violence_detection.video.stream_set import StreamSet

KEYS = set("format scope path bytes videos_checked max_abs_difference latency_ms".split())
STREAM = "rgb(focus=true)+motion"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run on drawn videos of two classes, seen in two streams, one of them focused."""
    root = tmp_path_factory.mktemp("export")
    videos = draw_two_classes(root / "videos")
    return train_on_videos(videos, root, epochs=2, backbone="mobilenet", stream=STREAM)


def exported(run: Path, output: Path, **asked) -> dict:
    config = ExportConfig(**{"output": str(output), "format": "keras"} | asked)
    return export.export_run(str(run), config)


# -- the stage


@pytest.fixture(scope="module")
def classifier(run_dir, tmp_path_factory) -> dict:
    """The classifier of a run whose videos are not there, written for LiteRT."""
    output = tmp_path_factory.mktemp("exports")
    return exported(run_dir, output, scope="classifier", format="tflite")


def test_an_export_says_how_far_its_answers_are_off(classifier):
    assert set(classifier) >= KEYS
    assert classifier["max_abs_difference"] <= 1e-6
    assert classifier["equal_decisions"] == 1.0
    assert classifier["auc_before"] == classifier["auc_after"]
    assert classifier["videos_checked"] == 8 and classifier["latency_ms"] > 0


def test_an_export_leaves_a_file_and_what_is_to_know_of_it(classifier):
    path = Path(classifier["path"])
    assert tree_of(path.parent) == ["model.json", "model.tflite", "parity.json"]
    assert path.parent.name == "classifier-tflite"
    assert path.stat().st_size == classifier["bytes"]
    assert json.loads((path.parent / "parity.json").read_text()) == classifier
    about = json.loads((path.parent / "model.json").read_text())
    assert about["inputs"] == [{"name": "features", "shape": [None, 6, 8], "dtype": "float32"}]
    assert about["outputs"][0]["name"] == "probability"
    assert about["classes"] == ["normal", "violent"]


def test_without_videos_a_classifier_is_checked_on_cached_features(classifier):
    assert classifier["features"].startswith("cached: The validation videos must be")


def test_an_export_is_replaced_with_force_only(classifier, run_dir):
    output = Path(classifier["path"]).parents[1]
    with pytest.raises(ConfigError, match="replaced with --force only. Received"):
        exported(run_dir, output, scope="classifier", format="tflite")


def test_what_is_no_export_is_not_replaced(run_dir, tmp_path):
    (tmp_path / "classifier-keras" / "mine").mkdir(parents=True)
    config = ExportConfig(format="keras", scope="classifier", output=str(tmp_path))
    with pytest.raises(ConfigError, match="must be nothing, or an export. Received"):
        export.export_run(str(run_dir), config, force=True)
    assert tree_of(tmp_path) == ["classifier-keras", "classifier-keras/mine"]


def test_a_dry_run_leaves_nothing(run_dir, tmp_path):
    config = ExportConfig(format="onnx", scope="classifier", output=str(tmp_path))
    planned = export.plan(str(run_dir), config)
    assert planned["path"] == str(tmp_path / "classifier-onnx" / "model.onnx")
    assert planned["videos"] == 8 and not tree_of(tmp_path)


@pytest.mark.slow
def test_past_the_tolerance_nothing_is_kept(run_dir, tmp_path, monkeypatch):
    from violence_detection.export.formats import saved_model

    strict = {"float32": Tolerance(-1.0)}
    monkeypatch.setattr(saved_model, "TOLERANCES", strict)
    with pytest.raises(ExportError, match="a probability differs by .* nothing was"):
        exported(run_dir, tmp_path, scope="classifier", format="saved_model")
    assert not tree_of(tmp_path)


@pytest.mark.slow
def test_a_pruned_classifier_says_what_that_costs(run_dir, tmp_path):
    asked = {"scope": "classifier", "prune": 0.9, "cluster": 2}
    found = exported(run_dir, tmp_path, **asked)
    assert Path(found["path"]).parent.name == "classifier-keras-pruned0.9-clustered2"
    cost = found["cost"]
    assert cost["auc_difference"] == pytest.approx(found["auc_after"] - found["auc_before"])
    low, high = cost["auc_ci"]
    assert low <= cost["auc_difference"] <= high
    assert found["max_abs_difference"] <= 1e-6  # from the pruned one


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory) -> Path:
    """A run of the default head on cached features; the classes lie far apart."""
    root = tmp_path_factory.mktemp("three")
    classes = ("normal", "fight", "weapon")
    features = draw_features(root / "drawn" / "space", labels=classes, shift=3.0)
    return Path(train_quickly(features, root / "runs", head=TrainConfig().head, epochs=1)["run"])


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "within"), [("float16", 1e-3), ("int8", 0.05)])
def test_a_run_of_three_classes_is_written_in_fewer_bits(
    precision, within, three_classes, tmp_path
):
    asked = {"scope": "classifier", "format": "tflite", "precision": precision}
    found = exported(three_classes, tmp_path, **asked)
    assert found["max_abs_difference"] <= within
    about = json.loads((Path(found["path"]).parent / "model.json").read_text())
    assert [one["name"] for one in about["outputs"]] == ["probability", "probabilities"]
    assert about["outputs"][1]["shape"] == [None, 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "openvino"])
def test_from_frames_to_the_probability_by_motion_and_focus(trained, tmp_path, name):
    found = exported(trained, tmp_path, format=name)
    assert found["max_abs_difference"] <= 1e-3
    assert found["features"] == "frames" and found["videos_checked"] > 0
    about = json.loads((Path(found["path"]).parent / "model.json").read_text())
    assert about["inputs"][0] | {"name": "frames", "dtype": "uint8"} == (about["inputs"][0])
    assert about["frames"]["count"] == about["inputs"][0]["shape"][1] == 12


# -- what is wrong


def test_videos_that_are_gone_cannot_check_an_end_to_end_export(run_dir, tmp_path):
    with pytest.raises(DatasetError, match="--videos says where. Received: their fold"):
        exported(run_dir, tmp_path)
    assert not tree_of(tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"height": 90}, "`height` and `width` must be given together"),
        ({"fps": 25.0, "scope": "classifier"}, "`fps` must come with scope=end-to-end"),
        ({"format": "coreml"}, "No part 'coreml' in formats/"),
        ({"precision": "int4"}, "`precision` must be one of float32, float16, int8"),
        ({"prune": 1.0}, "`prune` must be <= 0.95"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        ExportConfig(**asked)


def test_a_format_without_a_precision_names_one_that_has_it(run_dir, tmp_path):
    with pytest.raises(ConfigError, match="--format tflite has int8. Received: int8"):
        exported(run_dir, tmp_path, precision="int8", scope="classifier")


def test_a_format_that_is_not_installed_names_its_extra(run_dir, monkeypatch):
    from violence_detection.export.formats import onnx

    monkeypatch.setattr(onnx, "missing", lambda: "the extra `onnx`")
    config = ExportConfig(format="onnx", scope="classifier")
    with pytest.raises(ConfigError, match="--format onnx must have the extra `onnx`"):
        export.plan(str(run_dir), config)


@pytest.mark.parametrize("lost", ["best_model.keras", "training_results.json"])
def test_a_run_that_lacks_a_file_says_which(run_dir, tmp_path, lost):
    run = shutil.copytree(run_dir, tmp_path / "run")
    (run / lost).unlink()
    with pytest.raises(RunError, match=f"must hold {lost}"):
        export.plan(str(run), ExportConfig(scope="classifier"))


def test_a_run_of_a_newer_version_says_so(run_dir, tmp_path):
    run = shutil.copytree(run_dir, tmp_path / "run")
    path = run / "training_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(RunError, match="made by a newer version"):
        export.plan(str(run), ExportConfig(scope="classifier"))


def test_a_converter_that_crashes_is_one_line():
    with (
        pytest.raises(ViolenceDetectionError, match=r"The converter crashed \(SIGABRT\)"),
        processes.DedicatedProcess("The converter", {}) as child,
    ):
        child(os.abort)


def test_calls_in_a_fresh_process_share_what_the_first_made():
    with processes.DedicatedProcess("It", {"MARK_OF_THIS_TEST": "here"}) as child:
        assert child(os.getpid) == child(os.getpid) != os.getpid()
        assert child(os.getenv, "MARK_OF_THIS_TEST") == "here"
        with pytest.raises(ValueError, match="invalid literal"):
            child(int, "x")
        assert child(int, "7") == 7


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_where_no_clip_can_be_read_fewer_bits_say_so(precision, trained, tmp_path, monkeypatch):
    def torn(*_):
        raise VideoError("torn")

    monkeypatch.setattr(ExportJob, "clip", torn)
    asked = {"format": "tflite", "precision": precision}
    with pytest.raises(DatasetError, match=r"must be readable. Received: .*\.mp4"):
        exported(trained, tmp_path / "out", **asked)
    assert not list(tmp_path.rglob("*.tflite"))


def test_what_a_converter_cannot_do_names_what_works():
    request = conversion.ConversionRequest(Path(), "tflite", "int8", None, None, 0.0, None)
    line = str(conversion.cannot(request, ValueError("no kernel\nfor it")))
    assert "--precision float32 is" in line and "(no kernel for it)" in line


# -- the clips


def test_frames_are_those_of_the_video_in_its_order(tmp_path):
    video = draw_video(tmp_path / "a.mp4", frames=12)
    all_of_them = check_clips.read_frames(video, None, None, (12, 48, 64))
    assert all_of_them.shape == (12, 48, 64, 3) and all_of_them.dtype == np.uint8
    middle = check_clips.read_frames(video, None, None, (4, 48, 64))
    np.testing.assert_array_equal(middle, all_of_them[[1, 4, 7, 10]])
    part = check_clips.read_frames(video, 0.5, 1.0, (6, 48, 64))
    np.testing.assert_array_equal(part, all_of_them[6:])


def test_frames_of_another_size_are_brought_to_it(tmp_path):
    video = draw_video(tmp_path / "a.mp4", frames=3)
    assert check_clips.read_frame_size(video) == (48, 64)
    assert check_clips.read_frames(video, None, None, (3, 24, 40)).shape == (3, 24, 40, 3)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError):
        check_clips.read_frame_size(tmp_path / "text.mp4")


def test_the_usual_size_is_the_commonest_and_no_wider_than_640():
    assert check_clips.most_common_size([(48, 64), (90, 160), (48, 64)]) == (48, 64)
    assert check_clips.most_common_size([(1080, 1920)]) == (360, 640)


@pytest.mark.parametrize(("stream", "count"), [("rgb", 4), ("motion", 50), ("rgb(focus=true)", 50)])
def test_a_stream_of_sampled_frames_needs_no_others(stream, count):
    make = StreamSet(stream, frame_size=32)
    asked = {"pictures": 4, "size": (48, 64), "window_s": 2.0, "fps": 25.0}
    assert check_clips.choose_frame_input(make, [], **asked) == FrameInput(count, 48, 64, 25.0, 4)


# -- how far off


def test_differences_are_told_over_all_classes():
    home = np.array([[0.7, 0.3], [0.2, 0.8]])
    away = np.array([[0.6, 0.4], [0.2, 0.8]])
    found = parity.compare_predictions(home, away, violent=np.array([False, True]), threshold=0.35)
    assert found["max_abs_difference"] == pytest.approx(0.1)
    assert found["mean_abs_difference"] == pytest.approx(0.05)
    assert found["equal_decisions"] == 0.5
    assert found["auc_before"] == found["auc_after"] == 1.0


@pytest.mark.parametrize(
    ("found", "away", "said"),
    [
        ((1e-4, 1.0), 0.5, ""),
        ((2e-3, 1.0), 0.5, "a probability differs by 0.002, more than 0.001"),
        ((1e-4, 0.9), 0.5, "90.0% of decisions are equal, fewer than 98%"),
        ((0.0, 1.0), np.nan, "it answers NaN"),
    ],
)
def test_what_is_past_the_tolerance_is_said(found, away, said):
    numbers = dict(zip(("max_abs_difference", "equal_decisions"), found, strict=True))
    tolerance = Tolerance(1e-3, agreement=0.98)
    assert parity.describe_excess(numbers, np.array([[away]]), tolerance) == said


def test_the_same_answers_cost_nothing():
    rng = np.random.default_rng(0)
    violent = np.arange(20) % 2 > 0
    score = rng.random(20)
    same = np.stack([1 - score, score], axis=1)
    asked = {"groups": [str(n // 2) for n in range(20)], "threshold": 0.5}
    cost = parity.measure_cost(same, same, violent=violent, resamples=200, seed=1, **asked)
    assert cost == {"auc_difference": 0.0, "auc_ci": [0.0, 0.0], "equal_decisions": 1.0}
