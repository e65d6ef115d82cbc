"""Exported models predict as the run does, and are removed if they do not."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support.features import draw_features
from support.folders import tree_of
from support.training import train_on_videos, train_quickly
from support.videos import draw_two_classes

from violence_detection.errors import (
    ConfigError,
    DatasetError,
    ExportError,
    RunError,
    VideoError,
    ViolenceDetectionError,
)
from violence_detection.export import export
from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage
from violence_detection.export.export_job import ExportJob
from violence_detection.export.export_result import ExportResult
from violence_detection.export.formats._format import Tolerance
from violence_detection.system import processes
from violence_detection.training.config import TrainConfig

pytestmark = pytest.mark.slow  # its fixtures train or extract

KEYS = set("format scope path bytes videos_checked max_abs_difference latency_ms".split())
STREAM = "rgb(focus=true)+motion"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run on drawn videos of two classes, seen in two streams, one of them focused."""
    root = tmp_path_factory.mktemp("export")
    videos = draw_two_classes(root / "videos")
    return train_on_videos(videos, root, epochs=2, backbone="mobilenet", stream=STREAM)


def exported(run: Path, output: Path, **asked) -> ExportResult:
    config = ExportConfig(**{"output": str(output), "format": "keras"} | asked)
    return export.export_run(str(run), config)


def description(result: ExportResult) -> dict:
    """The content of model.json."""
    return json.loads((Path(result.path).parent / "model.json").read_text())


# -- the stage


@pytest.fixture(scope="module")
def classifier(run_dir, tmp_path_factory) -> ExportResult:
    """The classifier of a run whose videos are not there, written for LiteRT; the converter and
    the runtime are in processes of their own."""
    output = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "DedicatedProcess", processes.DedicatedProcess)
        return exported(run_dir, output, scope="classifier", format="tflite")


def test_an_export_reports_its_differences(classifier):
    assert set(classifier.to_json()) >= KEYS
    equal = classifier.equal_inputs
    assert equal.max_abs_difference <= 1e-6 and equal.equal_decisions == 1.0
    assert equal.auc_before == equal.auc_after
    assert classifier.videos_checked == 8
    latency = classifier.latency
    assert latency.ms > 0 and latency.rounds > 1 and latency.threads == 1 and classifier.machine
    videos = classifier.as_they_are
    assert videos.changed_decisions == 0 and list(videos.causes) == ["precision"]


def test_few_videos_are_said_to_be_few(classifier):
    (warning,) = classifier.warnings
    assert "few videos, 4 violent and 4 normal" in warning


def test_an_export_leaves_a_file_and_its_descriptions(classifier):
    path = Path(classifier.path)
    assert tree_of(path.parent) == ["model.json", "model.tflite", "parity.json"]
    assert path.parent.name == "classifier-tflite"
    assert path.stat().st_size == classifier.bytes
    assert json.loads((path.parent / "parity.json").read_text()) == classifier.to_json()
    about = description(classifier)
    assert about["inputs"] == [{"name": "features", "shape": [None, 6, 8], "dtype": "float32"}]
    assert about["outputs"][0]["name"] == "probability"
    assert about["classes"] == ["normal", "violent"]


def test_an_export_is_replaced_with_force_only(classifier, run_dir):
    output = Path(classifier.path).parents[1]
    with pytest.raises(ConfigError, match="--force replaces an export. Received"):
        exported(run_dir, output, scope="classifier", format="tflite")


def test_a_folder_that_is_not_an_export_is_not_replaced(run_dir, tmp_path):
    (tmp_path / "classifier-keras" / "mine").mkdir(parents=True)
    config = ExportConfig(format="keras", scope="classifier", output=str(tmp_path))
    with pytest.raises(ConfigError, match="must be new, or hold an export. Received"):
        export.export_run(str(run_dir), config, force=True)
    assert tree_of(tmp_path) == ["classifier-keras", "classifier-keras/mine"]


def test_a_dry_run_leaves_nothing(run_dir, tmp_path):
    config = ExportConfig(format="onnx", scope="classifier", output=str(tmp_path))
    planned = ExportStage(str(run_dir), config).prepare()
    assert planned["path"] == str(tmp_path / "classifier-onnx" / "model.onnx")
    assert planned["videos"] == 8 and not tree_of(tmp_path)


def test_a_file_beyond_its_tolerance_is_removed(run_dir, tmp_path, monkeypatch):
    from violence_detection.export.formats import saved_model

    strict = {"float32": Tolerance(-1.0)}
    monkeypatch.setattr(saved_model, "TOLERANCES", strict)
    with pytest.raises(ExportError, match="a probability differs by .* the file was removed"):
        exported(run_dir, tmp_path, scope="classifier", format="saved_model")
    assert not tree_of(tmp_path)


def test_a_pruned_classifier_reports_its_cost(run_dir, tmp_path):
    asked = {"scope": "classifier", "prune": 0.9, "cluster": 2}
    pruned = exported(run_dir, tmp_path, **asked)
    assert Path(pruned.path).parent.name == "classifier-keras-pruned0.9-clustered2"
    before, after = pruned.as_they_are.auc_of_run, pruned.as_they_are.auc_of_file
    assert pruned.cost.auc_difference == pytest.approx(after - before)
    low, high = pruned.cost.auc_ci
    assert low <= pruned.cost.auc_difference <= high
    assert pruned.equal_inputs.max_abs_difference <= 1e-6  # from the pruned one
    assert pruned.as_they_are.main_cause == "weights"


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory) -> Path:
    """A run of the default head on cached features; the classes lie far apart."""
    root = tmp_path_factory.mktemp("three")
    classes = ("normal", "fight", "weapon")
    features = draw_features(root / "drawn" / "space", labels=classes, shift=3.0)
    return Path(
        train_quickly(features, root / "runs", head=TrainConfig().model.head, epochs=1)["run"]
    )


@pytest.mark.parametrize(
    ("precision", "within"),
    [pytest.param("float16", 1e-3, marks=pytest.mark.thorough), ("int8", 0.05)],
)
def test_a_run_of_three_classes_is_written_in_fewer_bits(
    precision, within, three_classes, tmp_path
):
    asked = {"scope": "classifier", "format": "tflite", "precision": precision}
    result = exported(three_classes, tmp_path, **asked)
    assert result.equal_inputs.max_abs_difference <= within
    about = description(result)
    assert [output["name"] for output in about["outputs"]] == ["probability", "probabilities"]
    assert about["outputs"][1]["shape"] == [None, 3]


def test_a_file_of_any_size_predicts_videos_as_the_run_does(trained, tmp_path):
    result = exported(trained, tmp_path, format="saved_model")
    assert result.equal_inputs.max_abs_difference <= 1e-5
    videos = result.as_they_are
    assert videos.videos > 0 and videos.changed_decisions == 0
    assert videos.max_abs_difference < 0.01  # cached features are float16
    for name in ("frame_size", "frame_rate"):
        assert videos.causes[name].max_abs_difference == 0
    about = description(result)
    assert [tensor["name"] for tensor in about["inputs"]] == ["frames", "fps"]
    assert about["inputs"][0]["shape"] == [1, None, None, None, 3]
    assert about["frames"]["count"] is None and about["frames"]["largest_side"] == 1920


def test_a_file_of_another_size_and_rate_says_what_that_changes(trained, tmp_path):
    asked = {"height": 16, "width": 20, "fps": 6.0, "max_decision_change": 0.0}
    result = exported(trained, tmp_path, format="tflite", **asked)
    assert result.equal_inputs.max_abs_difference <= 1e-3
    causes = result.as_they_are.causes
    assert causes["frame_size"].max_abs_difference > 0 < causes["frame_rate"].max_abs_difference
    assert causes["windows"].max_abs_difference < 0.01
    about = description(result)
    assert about["frames"]["count"] == about["inputs"][0]["shape"][1] == 6
    assert about["frames"]["from"] == "as asked for"


def test_a_warning_is_in_the_model_card(trained):
    config = ExportConfig(format="keras", height=24, width=32)
    result = export.export_run(str(trained), config)
    card = (trained / "MODEL_CARD.md").read_text()
    assert result.warnings
    for warning in result.warnings:
        assert warning in card


# -- errors


def test_videos_that_are_gone_cannot_check_an_end_to_end_export(run_dir, tmp_path):
    with pytest.raises(
        DatasetError, match="--dataset-path names their folder. Received: their fold"
    ):
        exported(run_dir, tmp_path)
    assert not tree_of(tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"height": 90}, "`height` and `width` must be given together"),
        ({"fps": 25.0, "scope": "classifier"}, "`fps` must come with scope=end-to-end"),
        ({"format": "coreml"}, "The export format must be one of keras"),
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
        ExportStage(str(run_dir), config).prepare()


@pytest.mark.parametrize("lost", ["best_model.keras", "training_results.json"])
def test_a_run_that_lacks_a_file_says_which(run_dir, tmp_path, lost):
    run = shutil.copytree(run_dir, tmp_path / "run")
    (run / lost).unlink()
    with pytest.raises(RunError, match=f"must hold {lost}"):
        ExportStage(str(run), ExportConfig(scope="classifier")).prepare()


def test_a_run_of_a_newer_version_says_so(run_dir, tmp_path):
    run = shutil.copytree(run_dir, tmp_path / "run")
    path = run / "training_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(RunError, match="made by a newer version"):
        ExportStage(str(run), ExportConfig(scope="classifier")).prepare()


def test_a_converter_that_crashes_is_one_line():
    with (
        pytest.raises(ViolenceDetectionError, match=r"The converter crashed \(SIGABRT\)"),
        processes.DedicatedProcess("The converter", {}) as child,
    ):
        child(os.abort)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_where_no_clip_can_be_read_fewer_bits_say_so(precision, trained, tmp_path, monkeypatch):
    def torn(*_):
        raise VideoError("torn")

    monkeypatch.setattr(ExportJob, "read_video", torn)
    asked = {"format": "tflite", "precision": precision}
    with pytest.raises(DatasetError, match=r"must be readable. Received: .*\.mp4"):
        exported(trained, tmp_path / "out", **asked)
    assert not list(tmp_path.rglob("*.tflite"))
