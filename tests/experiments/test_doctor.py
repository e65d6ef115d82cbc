"""The doctor: what it finds on a machine and a dataset that are sound, and on others."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.videos import draw_video

from violence_detection import cli
from violence_detection.commands.doctor import _next
from violence_detection.experiments.doctor_config import DoctorConfig
from violence_detection.features.cache import FeatureCache
from violence_detection.models.heads import linear
from violence_detection.system.check_list import CheckList
from violence_detection.training.checks.rehearsal import Rehearsal
from violence_detection.training.config import TrainConfig

REHEARSED = "configuration dataset batch forward trainer step validation rehearsal".split()
QUICK = {"head": "linear", "batch_size": 8, "learning_rate": 0.02}


def rehearse(features, **settings):
    """The status of each check by name, and the results."""
    checks = CheckList()
    config = TrainConfig.from_settings({"features": str(features), **QUICK, **settings})
    Rehearsal(config, checks).run()
    return {result.name: result.status for result in checks.results}, checks.results


@pytest.mark.slow
def test_a_sound_dataset_passes_all_eight_checks(features_dir):
    statuses, results = rehearse(features_dir)
    assert statuses == dict.fromkeys(REHEARSED, "ok"), results


def test_a_setting_that_no_part_takes_fails_first_and_the_rest_is_skipped(features_dir):
    statuses, results = rehearse(features_dir, head="linear(depth=3)")
    assert statuses == {REHEARSED[0]: "failed"} | dict.fromkeys(REHEARSED[1:], "skipped")
    assert "depth" in results[0].text and results[0].help


def test_features_that_are_not_finite_are_found(tmp_path):
    folder = draw_features(tmp_path / "drawn" / "space")
    cache = FeatureCache.open(folder)
    rows = cache.entries()
    broken = np.full((1, 6, 8), np.nan, np.float16)
    (digest,) = cache.write_arrays(rows[0].path, broken)
    rows[0] = type(rows[0])(**{**vars(rows[0]), "array_digest": digest})
    cache.write_manifest(rows)
    statuses, results = rehearse(folder)
    assert statuses["dataset"] == "failed" and rows[0].path in results[1].text


@pytest.mark.slow
def test_a_rate_at_which_nothing_is_learned_is_found(features_dir):
    statuses, results = rehearse(features_dir, learning_rate=1e-12)
    assert statuses["step"] == "failed", results


@pytest.mark.slow
def test_a_weight_without_a_gradient_is_named(features_dir, monkeypatch):
    import keras

    class Idle(keras.layers.Dense):
        def call(self, inputs):
            return keras.ops.stop_gradient(super().call(inputs)) * 0 + inputs

    built = linear.build

    def with_idle_layer(**arguments):
        encoded = built(**arguments)
        idle = Idle(encoded.context.shape[-1], name="idle")
        return encoded._replace(context=idle(encoded.context))

    monkeypatch.setattr(linear, "build", with_idle_layer)
    statuses, results = rehearse(features_dir)
    failed = next(result for result in results if result.status == "failed")
    assert failed.name == "step" and "idle" in failed.text


@pytest.mark.slow
def test_the_command_rehearses_on_a_folder_of_videos_and_leaves_nothing(tmp_path, monkeypatch):
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(6):
            name = f"{number // 2}-{number}.mp4"  # two clips of each recording
            draw_video(tmp_path / "videos" / label / name, seed=offset + number)
    monkeypatch.chdir(tmp_path)
    tiny = "--backbone mobilenetv2 --weights random --frame-size 32 --frames 4 --head linear"
    words = ["doctor", "--dataset-path", "videos", *tiny.split(), "--no-replicas", "--json"]
    words += ["--group-pattern", r"\w+/\d"]
    answer = CliRunner().invoke(cli.main, words)
    result = json.loads(answer.stdout)
    assert {check["name"]: check["status"] for check in result["checks"]}.items() >= {
        "videos": "ok",
        "extraction": "ok",
        "replicas": "skipped",
        **dict.fromkeys(REHEARSED, "ok"),
    }.items(), result["findings"]
    dataset = next(check for check in result["checks"] if check["name"] == "dataset")
    assert "12 videos (6 noFight, 6 fight) of 6 recordings" in dataset["text"]
    assert answer.exit_code == (0 if result["ok"] else 3)
    assert {trial["codec"] for trial in result["codecs"]} >= {"h264", "hevc", "mjpeg"}
    assert result["versions"]["tensorflow"] and result["devices"]["cores"]
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    words = ["doctor", "--no-replicas", "--cache-dir", "file"]
    answer = CliRunner().invoke(cli.main, words)
    assert answer.exit_code == 3
    assert "cache folder: " in answer.stdout and "is a file" in answer.stdout
    assert "--cache-dir names another folder" in answer.stdout


def test_features_and_videos_together_are_wrong_usage(tmp_path):
    words = ["doctor", "--features", "a", "--dataset-path", "b"]
    assert CliRunner().invoke(cli.main, words).exit_code == 2


def test_the_next_command_is_the_training_that_was_rehearsed():
    asked = {"dataset_path": "videos", "use_class_weights": False, "weight_decay": 0.0}
    assert _next(DoctorConfig.from_flags(asked)).split(" train ")[1].split() == (
        "--dataset-path videos --weight-decay 0.0 --no-use-class-weights".split()
    )
