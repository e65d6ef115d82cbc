"""Training leaves a run, goes on where it was killed, and refuses what does not fit."""

import csv
import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_features, train_quickly

from violence_detection import model, training, training_state
from violence_detection.cache import FeatureCache
from violence_detection.config import TrainConfig
from violence_detection.epochs import Trainer
from violence_detection.errors import CacheError, ConfigError, TrainingError
from violence_detection.runs import Run

KEYS = {"run", "epochs_run", "best_epoch", "resumed_from_epoch", "validation", "test"}
COMMAND = [
    sys.executable,
    "-c",
    "from violence_detection.cli import main; main()",
    "train",
]


def history(run: Path) -> list[dict[str, str]]:
    """Rows of the history without how long they took."""
    with open(run / "training_history.csv") as file:
        return [{**row, "videos_per_s": ""} for row in csv.DictReader(file)]


def weights(path: Path) -> np.ndarray:
    return np.concatenate(
        [np.ravel(one) for one in model.load_classifier(path).get_weights()]
    )


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- what it leaves


def test_a_run_holds_what_the_contract_says(run_dir):
    files = {path.name for path in run_dir.iterdir()}
    assert {
        "best_model.keras",
        "training_config.json",
        "training_results.json",
    } <= files
    assert {"training_history.csv", "training_videos.csv", "tensorboard"} <= files
    results = json.loads((run_dir / "training_results.json").read_text())
    assert KEYS | {"videos_per_s", "effective"} <= set(results)
    assert set(results["effective"]) == {"replicas", "precision", "xla", "engine"}
    for split in ("validation", "test"):
        assert set(results[split]) == {"accuracy", "auc", "loss"}


def test_a_run_names_its_features_and_settings(run_dir, features_dir):
    config, cache = Run.open(run_dir).config(), FeatureCache.open(features_dir)
    assert config["features"] == str(features_dir)
    assert config["fingerprint"] == cache.space().fingerprint
    assert config["feature_space"] == dataclasses.asdict(cache.space())
    assert (config["window_s"], config["classes"]) == (2.0, ["normal", "violent"])
    assert config["settings"]["learning_rate"] == 0.05


def test_what_can_be_learned_is_learned(tmp_path):
    features = draw_features(tmp_path / "space", counts=(32, 16, 16), shift=3.0)
    result = train_quickly(features, tmp_path, epochs=15, learning_rate=0.05)
    assert (result["validation"]["accuracy"], result["test"]["auc"]) == (1.0, 1.0)
    assert result["test"]["loss"] < np.log(2)


def test_the_results_are_those_of_the_best_model(run_dir, features_dir):
    """Accuracy at the threshold that the validation videos chose, counted by hand."""
    results, cache = Run.open(run_dir).results(), FeatureCache.open(features_dir)
    rows = [row for row in cache.entries() if row.split == "test"]
    clips = np.stack([cache.read_array(row, (6, 8)) for row in rows])
    logits = model.load_classifier(run_dir / "best_model.keras")(
        clips.astype(np.float32)
    )
    violent = 1 / (1 + np.exp(-np.ravel(logits))) >= results["threshold"]
    truth = np.array([row.label == "violent" for row in rows])
    assert results["test"]["accuracy"] == np.mean(violent == truth)


def test_without_test_videos_the_test_is_null(tmp_path):
    features = draw_features(tmp_path / "space", counts=(8, 4, 0))
    assert train_quickly(features, tmp_path, epochs=1)["test"] is None


@pytest.mark.slow
def test_three_classes_are_trained_and_named_normal_first(tmp_path):
    labels = ("robbery", "noFight", "fight")
    features = draw_features(
        tmp_path / "space", counts=(18, 9, 9), labels=labels, shift=3.0
    )
    result = train_quickly(features, tmp_path, epochs=12, learning_rate=0.05)
    assert Run.open(result["run"]).config()["classes"] == [
        "noFight",
        "fight",
        "robbery",
    ]
    assert result["test"]["accuracy"] > 0.6


def test_the_normal_class_can_be_given(tmp_path):
    features = draw_features(tmp_path / "space", labels=("walk", "brawl"))
    result = train_quickly(features, tmp_path, epochs=1, normal_class="walk")
    assert Run.open(result["run"]).config()["normal_class"] == "walk"


@pytest.mark.slow
def test_runs_without_a_name_get_fresh_ones(features_dir, tmp_path):
    runs = {
        train_quickly(features_dir, tmp_path, epochs=1, run=None)["run"]
        for _ in range(2)
    }
    assert len(runs) == 2


# -- relation


def test_two_replicas_train_as_one_device_does(features_dir, tmp_path):
    one = train_quickly(features_dir, tmp_path / "one")
    two = train_quickly(features_dir, tmp_path / "two", virtual_devices=2)
    assert (one["effective"]["replicas"], two["effective"]["replicas"]) == (1, 2)
    for row, other in zip(
        history(Path(one["run"])), history(Path(two["run"])), strict=True
    ):
        for name in ("loss", "val_loss", "learning_rate", "gradient_norm"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4)


def test_an_interrupted_training_ends_as_the_uninterrupted_one(
    features_dir, tmp_path, monkeypatch
):
    asked = {"epochs": 6, "head": "linear(dropout=0.5)", "checkpoint_epochs": 6}
    whole = Path(train_quickly(features_dir, tmp_path / "whole", **asked)["run"])
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_state", _interrupted_at(4))
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path / "broken", **asked)
    assert len(history(tmp_path / "broken" / "run")) == 4
    result = train_quickly(features_dir, tmp_path / "broken", **asked, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (3, 6)
    last = "checkpoint_epoch_0006.keras"
    np.testing.assert_allclose(
        weights(tmp_path / "broken" / "run" / last), weights(whole / last), atol=1e-6
    )
    assert [row["epoch"] for row in history(tmp_path / "broken" / "run")] == list(
        "123456"
    )


def _interrupted_at(epoch):
    """A `_save_state` before which the program is interrupted in an epoch."""
    save = Trainer._save_state

    def save_state(self):
        if len(self.history) == epoch:
            raise KeyboardInterrupt
        save(self)

    return save_state


def _interrupt(features, folder, monkeypatch, *, epoch=2, **asked):
    """A run that was interrupted in an epoch."""
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_state", _interrupted_at(epoch))
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features, folder, **asked)


def test_a_finished_run_prints_its_result_again(features_dir, run_dir, monkeypatch):
    monkeypatch.setattr(Trainer, "run_epochs", _never)
    before = tree(run_dir)
    config = TrainConfig(checkpoint_dir=str(run_dir.parent), run="run", resume=True)
    assert training.train(config) == Run.open(run_dir).results()
    assert tree(run_dir) == before


def _never(*_):
    raise AssertionError("nothing is to be trained")


@pytest.mark.slow
def test_resume_without_a_name_takes_the_newest_run(
    features_dir, tmp_path, monkeypatch
):
    train_quickly(features_dir, tmp_path, run="older", epochs=1)
    _interrupt(features_dir, tmp_path, monkeypatch, run="newer")
    config = TrainConfig(checkpoint_dir=str(tmp_path), resume=True)
    assert Path(training.train(config)["run"]).name == "newer"


def test_resume_of_nothing_starts_anew(features_dir, tmp_path):
    result = train_quickly(features_dir, tmp_path, epochs=1, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (0, 1)


def test_a_run_killed_before_its_first_state_starts_anew(
    features_dir, tmp_path, monkeypatch
):
    _interrupt(features_dir, tmp_path, monkeypatch, epoch=1)
    result = train_quickly(features_dir, tmp_path, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (0, 3)
    assert [row["epoch"] for row in history(tmp_path / "run")] == list("123")


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["newest", "both"])
def test_a_damaged_state_costs_epochs_but_not_the_run(
    features_dir, tmp_path, monkeypatch, damaged
):
    _interrupt(features_dir, tmp_path, monkeypatch, epoch=3)
    states = sorted((tmp_path / "run" / "state").iterdir())
    for path in states if damaged == "both" else states[:1]:
        path.write_bytes(path.read_bytes()[:-7])
    result = train_quickly(features_dir, tmp_path, resume=True)
    assert result["resumed_from_epoch"] == (0 if damaged == "both" else 1)
    assert [row["epoch"] for row in history(tmp_path / "run")] == list("123")


def _start(features, folder, *flags) -> subprocess.Popen:
    common = [
        "--features",
        features,
        "--checkpoint-dir",
        folder,
        "--run",
        "run",
        "--json",
    ]
    quick = ["--epochs", 60, "--head", "linear(dropout=0.5)", "--checkpoint-epochs", 60]
    asked = [*common, *quick, "--batch-size", 8, "--early-stopping-patience", 0, *flags]
    return subprocess.Popen(
        [*COMMAND, *map(str, asked), "--deterministic"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _after_epochs(process, run: Path, epochs: int) -> None:
    """Wait until the history has some epochs."""
    deadline_s = time.monotonic() + 60
    path = run / "training_history.csv"
    while not (path.is_file() and path.read_text().count("\n") > epochs):
        assert process.poll() is None and time.monotonic() < deadline_s, (
            process.communicate()
        )
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "kills"), [(1, (5, 25)), (2, (15,))])
def test_a_killed_training_ends_in_the_same_bits(
    features_dir, tmp_path, devices, kills
):
    flags = ["--virtual-devices", devices] if devices > 1 else []
    with _start(features_dir, tmp_path / "whole", *flags) as whole:
        assert whole.wait() == 0, whole.communicate()
    run = tmp_path / "killed" / "run"
    for epochs in kills:
        with _start(features_dir, tmp_path / "killed", "--resume", *flags) as process:
            _after_epochs(process, run, epochs)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    with _start(features_dir, tmp_path / "killed", "--resume", *flags) as last:
        result = json.loads(last.communicate()[0])
    assert result["epochs_run"] == 60 and result["resumed_from_epoch"] >= kills[-1] - 1
    for name in ("checkpoint_epoch_0060.keras", "best_model.keras"):
        np.testing.assert_array_equal(
            weights(run / name), weights(tmp_path / "whole/run" / name)
        )
    assert history(run) == history(tmp_path / "whole" / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
def test_a_signal_ends_the_command_and_the_run_can_go_on(
    features_dir, tmp_path, sent, status, said
):
    with _start(features_dir, tmp_path, "--epochs", 5000) as process:
        _after_epochs(process, tmp_path / "run", 3)
        process.send_signal(sent)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (status, ""), err
    assert err.splitlines()[-1] == f"{said}; start the same command again to go on."
    state = tmp_path / "run" / "state"
    assert not list(state.glob("*.partial-*")) and list(state.glob("*.bin"))


# -- error


def test_a_run_that_is_there_is_kept(features_dir, tmp_path):
    train_quickly(features_dir, tmp_path, epochs=1)
    before = (tmp_path / "run" / "training_results.json").read_bytes()
    with pytest.raises(
        ConfigError, match="--run must name a new run, or --resume or --force"
    ):
        train_quickly(features_dir, tmp_path, epochs=2)
    assert (tmp_path / "run" / "training_results.json").read_bytes() == before


@pytest.mark.slow
def test_force_replaces_a_run_and_what_was_in_it(features_dir, tmp_path):
    train_quickly(features_dir, tmp_path, epochs=2, checkpoint_epochs=2)
    result = train_quickly(features_dir, tmp_path, epochs=1, force=True)
    assert result["epochs_run"] == 1
    assert not list((tmp_path / "run").glob("checkpoint_epoch_*"))


def test_force_does_not_remove_a_folder_that_is_no_run(features_dir, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        ConfigError, match="--force replaces runs only. Received: .*run"
    ):
        train_quickly(features_dir, tmp_path, force=True)
    assert (tmp_path / "run" / "thesis.txt").is_file()


def test_a_resumed_run_keeps_its_settings(features_dir, tmp_path, monkeypatch):
    _interrupt(features_dir, tmp_path, monkeypatch, learning_rate=0.01)
    with pytest.raises(
        ConfigError, match="learning_rate=0.01. Received: learning_rate=0.02"
    ):
        train_quickly(features_dir, tmp_path, learning_rate=0.02, resume=True)


def test_a_resumed_run_keeps_its_videos(tmp_path, monkeypatch):
    features = draw_features(tmp_path / "space")
    _interrupt(features, tmp_path, monkeypatch)
    draw_features(tmp_path / "space", seed=1)
    with pytest.raises(
        TrainingError, match="go on with the same videos, labels and split"
    ):
        train_quickly(features, tmp_path, resume=True)


def test_a_state_of_another_model_is_refused(features_dir, tmp_path, monkeypatch):
    _interrupt(features_dir, tmp_path, monkeypatch)
    training_state.save(tmp_path / "run" / "state", [np.zeros(3)], {})
    with pytest.raises(TrainingError, match="state must be of this model"):
        train_quickly(features_dir, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "came"),
    [({}, "neither"), ({"features": "a", "dataset_path": "b"}, "both")],
)
def test_features_come_from_one_place(tmp_path, settings, came):
    config = TrainConfig(checkpoint_dir=str(tmp_path), **settings)
    with pytest.raises(
        ConfigError, match=f"Exactly one of .* must be given. Received: {came}"
    ):
        training.train(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [("backbone", "vgg19"), ("frames", 8), ("workers", 1), ("extract_batch_size", 4)],
)
def test_settings_of_stage_one_go_with_a_dataset(features_dir, tmp_path, name, value):
    with pytest.raises(
        ConfigError,
        match=f"`{name}` must go with --dataset-path.* Received: {name}={value}",
    ):
        train_quickly(features_dir, tmp_path, **{name: value})
    assert tree(tmp_path) == []


def test_a_batch_need_not_divide_over_the_devices(features_dir, tmp_path):
    result = train_quickly(features_dir, tmp_path, virtual_devices=2, batch_size=7)
    assert result["effective"]["replicas"] == 2


@pytest.mark.parametrize(
    ("counts", "must"),
    [
        (
            (0, 4, 4),
            "readable videos for train. Received: 0 train, 4 validation, 4 test",
        ),
        (
            (8, 0, 4),
            "readable videos for validation. Received: 8 train, 0 validation, 4 test",
        ),
        ((1, 4, 4), "training videos must have every class. Received: none of violent"),
    ],
)
def test_each_split_must_have_its_videos(tmp_path, counts, must):
    features = draw_features(tmp_path / "space", counts=counts)
    with pytest.raises(CacheError, match=must):
        train_quickly(features, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_class_is_not_enough(tmp_path):
    features = draw_features(tmp_path / "space", labels=("violent",))
    with pytest.raises(
        CacheError, match="readable videos of two classes. Received: violent"
    ):
        train_quickly(features, tmp_path)


def test_a_folder_that_is_no_cache_is_refused(tmp_path):
    with pytest.raises(
        CacheError, match="Features must be a folder that extract-features left"
    ):
        train_quickly(tmp_path, tmp_path / "runs")


def test_a_plan_writes_nothing(features_dir, tmp_path):
    config = TrainConfig(
        features=str(features_dir), checkpoint_dir=str(tmp_path / "runs")
    )
    planned = training.plan(config)
    assert planned["videos"] == {"train": 16, "validation": 8, "test": 8}
    assert planned["dry_run"] is True and tree(tmp_path) == []


def test_force_loses_no_run_before_the_new_one_can_start(
    features_dir, run_dir, tmp_path
):
    with pytest.raises(CacheError):
        training.train(
            TrainConfig(
                features=str(tmp_path / "typo"),
                checkpoint_dir=str(run_dir.parent),
                run=run_dir.name,
            ),
            force=True,
        )
    assert (run_dir / "best_model.keras").is_file()
