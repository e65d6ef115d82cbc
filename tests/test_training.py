"""Training leaves a run that says what it is, and refuses what it cannot learn from."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_features, read_history, train_quickly, tree_of

from violence_detection import model, training
from violence_detection.cache import FeatureCache
from violence_detection.config import TrainConfig
from violence_detection.errors import CacheError
from violence_detection.runs import Run

KEYS = {"run", "epochs_run", "best_epoch", "resumed_from_epoch", "validation", "test"}


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
    effective = {"replicas", "workers", "precision", "xla", "engine"}
    assert set(results["effective"]) == effective
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


# -- relation


def test_two_replicas_train_as_one_device_does(features_dir, tmp_path):
    one = train_quickly(features_dir, tmp_path / "one")
    two = train_quickly(features_dir, tmp_path / "two", virtual_devices=2)
    assert (one["effective"]["replicas"], two["effective"]["replicas"]) == (1, 2)
    for row, other in zip(
        read_history(Path(one["run"])), read_history(Path(two["run"])), strict=True
    ):
        for name in ("loss", "val_loss", "learning_rate", "gradient_norm"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4)


# -- error


@pytest.mark.slow
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
    assert planned["dry_run"] is True and tree_of(tmp_path) == []
