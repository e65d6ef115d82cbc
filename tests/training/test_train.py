"""Training leaves a run that says what it is, and refuses what it cannot learn from."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from support.extraction import SMALL
from support.features import draw_features
from support.folders import tree_of
from support.training import history_columns, read_history, train_quickly

from violence_detection.commands.train import result_lines
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.system import provenance
from violence_detection.training.batching import further_views
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import TrainingStage

KEYS = {
    "warnings",
    "baseline",
    "run",
    "epochs_run",
    "best_epoch",
    "resumed_from_epoch",
    "validation",
    "test",
}


# -- what it leaves


def test_a_run_holds_the_files_and_keys_of_the_contract(run_dir):
    files = {path.name for path in run_dir.iterdir()}
    assert {
        "best_model.keras",
        "training_config.json",
        "training_results.json",
    } <= files
    tables = {"training_history.csv", "training_videos.csv", "calibration_predictions.csv"}
    assert tables | {"tensorboard", "history.png", "threshold.png"} <= files
    results = json.loads((run_dir / "training_results.json").read_text())
    assert KEYS | {"videos_per_s", "effective"} <= set(results)
    effective = {"replicas", "workers", "precision", "xla", "engine", "calibrate_by"}
    assert set(results["effective"]) == effective
    for split in ("validation", "test"):
        assert {"accuracy", "auc", "loss", "accuracy_ci", "auc_ci"} <= set(results[split])


def test_a_run_names_its_features_and_settings(run_dir, features_dir):
    config, cache = Run.open(run_dir).config(), FeatureCache.open(features_dir)
    assert config["features"] == str(features_dir)
    assert config["fingerprint"] == cache.space().fingerprint
    assert config["feature_space"] == cache.space().as_dict()
    assert (config["window_s"], config["classes"]) == (2.0, ["normal", "violent"])
    assert config["settings"]["learning_rate"] == 0.05


def test_a_run_records_versions_commit_and_machine(run_dir):
    config = Run.open(run_dir).config()
    assert config["commit"] == provenance.commit_hash()
    assert config["machine"] == provenance.describe_machine().to_json()
    assert config["versions"]["tensorflow"]


@pytest.mark.slow
def test_equal_splits_have_one_digest_whatever_the_features(tmp_path):
    def digest(name, **drawn):
        features = draw_features(tmp_path / name, **drawn)
        result = train_quickly(features, tmp_path / "runs", run=name, epochs=1)
        return Run.open(result["run"]).config()["split_digest"]

    assert digest("a", seed=0) == digest("b", seed=1) != digest("c", counts=(15, 8, 8))


@pytest.mark.slow
def test_separate_classes_are_learned(tmp_path):
    features = draw_features(tmp_path / "space", counts=(32, 16, 16), shift=3.0)
    result = train_quickly(features, tmp_path, epochs=15, learning_rate=0.05)
    assert (result["validation"]["accuracy"], result["test"]["auc"]) == (1.0, 1.0)
    assert result["test"]["loss"] < np.log(2)


def test_the_results_are_those_of_the_best_model(run_dir, features_dir):
    """Accuracy at the threshold that the validation videos chose, counted by hand."""
    results, cache = Run.open(run_dir).results().scores, FeatureCache.open(features_dir)
    rows = [row for row in cache.entries() if row.split == "test"]
    clips = np.stack([cache.read_array(row, (6, 8)) for row in rows])
    logits = classifier.load_model(run_dir / "best_model.keras")(clips.astype(np.float32))
    violent = 1 / (1 + np.exp(-np.ravel(logits))) >= results.threshold
    truth = np.array([row.label == "violent" for row in rows])
    assert results.test.accuracy == np.mean(violent == truth)


@pytest.mark.slow
def test_without_test_videos_the_test_is_null_and_the_next_step_is_validation(tmp_path):
    features = draw_features(tmp_path / "space", counts=(8, 4, 0))
    result = train_quickly(features, tmp_path, epochs=1)
    assert result["test"] is None
    command = f"violence-detection evaluate {result['run']} --split validation"
    assert result_lines(Run.open(result["run"]).results())[-1] == f"next        {command}"


@pytest.mark.slow
def test_three_classes_are_trained_and_named_normal_first(tmp_path):
    labels = ("robbery", "noFight", "fight")
    features = draw_features(tmp_path / "space", counts=(18, 9, 9), labels=labels, shift=3.0)
    result = train_quickly(features, tmp_path, epochs=12, learning_rate=0.05)
    assert Run.open(result["run"]).config()["classes"] == [
        "noFight",
        "fight",
        "robbery",
    ]
    assert result["test"]["accuracy"] > 0.6


@pytest.mark.slow
def test_the_normal_class_can_be_given(tmp_path):
    features = draw_features(tmp_path / "space", labels=("walk", "brawl"))
    result = train_quickly(features, tmp_path, epochs=1, normal_class="walk")
    assert Run.open(result["run"]).config()["normal_class"] == "walk"


# -- relation


@pytest.mark.slow
def test_two_replicas_train_as_one_device_does(features_dir, tmp_path):
    single = train_quickly(features_dir, tmp_path / "one")
    pair = train_quickly(features_dir, tmp_path / "two", virtual_devices=2)
    assert (single["effective"]["replicas"], pair["effective"]["replicas"]) == (1, 2)
    names = ("loss", "val_loss", "learning_rate", "gradient_norm")
    histories = [history_columns(Path(result["run"]), *names) for result in (single, pair)]
    assert histories[0].shape == (3, len(names))
    np.testing.assert_allclose(*histories, rtol=1e-4)


@pytest.mark.slow
def test_augmentation_is_of_the_training_batches_alone(features_dir, tmp_path):
    """Without learning, it changes the loss of the first epoch and nothing of validation."""
    still = {"epochs": 1, "learning_rate": 1e-12, "head": "linear", "seed": 1}
    plain = train_quickly(features_dir, tmp_path / "plain", **still)
    mixed = train_quickly(features_dir, tmp_path / "mixed", augment="mixup(alpha=5)", **still)
    (plain_row,), (mixed_row,) = (read_history(Path(run["run"])) for run in (plain, mixed))
    assert plain_row["gradient_norm"] != mixed_row["gradient_norm"]
    assert plain_row["val_loss"] == mixed_row["val_loss"]


def features_with_views(folder) -> Path:
    cache = FeatureCache.open(draw_features(folder))
    rows = []
    for entry in cache.entries():
        own = cache.read_array(entry, (6, 8))
        digests = cache.write_arrays(entry.path, np.stack([own, own + np.float16(50)]))
        rows.append(dataclasses.replace(entry, views=digests[1]))
    cache.write_manifest(rows)
    return cache.dir


@pytest.mark.slow
def test_cached_views_are_trained_on(tmp_path):
    features = features_with_views(tmp_path / "space")
    plain = train_quickly(features, tmp_path / "plain", epochs=1)
    asked = {"epochs": 1, "augment": "views(p=0.5)"}
    augmented = train_quickly(features, tmp_path / "other", **asked)
    (plain_row,), (augmented_row,) = (read_history(Path(run["run"])) for run in (plain, augmented))
    assert plain_row["gradient_norm"] != augmented_row["gradient_norm"]


@pytest.mark.slow
def test_one_device_and_two_draw_the_same_augmentation(features_dir, tmp_path):
    asked = {"augment": "jitter+noise+mixup", "sampling": "balanced", "batch_size": 5}
    names = ("loss", "val_loss", "gradient_norm")
    train_quickly(features_dir, tmp_path / "one", **asked)
    train_quickly(features_dir, tmp_path / "two", virtual_devices=2, **asked)
    single, double = (
        history_columns(tmp_path / device / "run", *names) for device in ("one", "two")
    )
    assert single.shape == (3, len(names))
    np.testing.assert_allclose(single, double, rtol=1e-4)


# -- error


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("views", "must have views to choose among.*extract-features --views N"),
        ("jitter(frames=-1)", "`frames` of the augmentation jitter must be float in"),
        ("noise+views", "`views` must come first"),
    ],
)
@pytest.mark.parametrize("half", ["prepare", "run"])
def test_invalid_augmentations_are_refused_before_a_run_exists(
    features_dir, tmp_path, augment, message, half
):
    places = {"features": str(features_dir), "checkpoint_dir": str(tmp_path / "runs")}
    config = TrainConfig.from_settings({"run": "run", "augment": augment, **places})
    with pytest.raises(ConfigError, match=message):
        getattr(TrainingStage(config), half)()
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "settings", "warned"),
    [
        ({"recording_weights": "sqrt"}, {"grouping": "none"}, True),
        pytest.param(
            {"recording_weights": "balanced"},
            {"grouping": "table", "ungrouped": 3},
            True,
            marks=pytest.mark.slow,
        ),
        ({"recording_weights": "balanced"}, {"grouping": "table"}, False),
        pytest.param(
            {"recording_weights": "natural"}, {"grouping": "none"}, False, marks=pytest.mark.slow
        ),
        ({}, {"grouping": "none"}, False),
    ],
)
def test_weights_of_recordings_that_are_not_known_are_warned_of(
    tmp_path, caplog, asked, settings, warned
):
    features = draw_features(tmp_path / "space", **settings)
    with caplog.at_level(logging.WARNING):
        train_quickly(features, tmp_path, epochs=1, **asked)
    assert ("--recording-weights" in caplog.text) is warned


def test_an_extraction_for_training_keeps_the_views_that_it_chooses_among():
    assert [further_views(augment) for augment in ("noise", "views(p=0.3)+noise")] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("head", ["bilstm_attention(units=2)", "tcn(layers=1)"])
def test_clips_of_one_frame_can_be_trained_on(tmp_path, head):
    features = draw_features(tmp_path / "space", shape=(1, 8))
    assert train_quickly(features, tmp_path, head=head, epochs=1)["epochs_run"] == 1


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
    with pytest.raises(CacheError, match=r"readable videos of two classes .* Received: violent"):
        train_quickly(features, tmp_path)


def test_a_folder_that_is_no_cache_is_refused(tmp_path):
    with pytest.raises(CacheError, match="Features must be a folder that extract-features left"):
        train_quickly(tmp_path, tmp_path / "runs")


def test_a_plan_writes_nothing(features_dir, tmp_path):
    config = TrainConfig(features=str(features_dir), checkpoint_dir=str(tmp_path / "runs"))
    planned = TrainingStage(config).prepare()
    assert planned.videos == {"train": 16, "validation": 8, "test": 8}
    assert planned.to_json()["dry_run"] is True and tree_of(tmp_path) == []


def test_the_split_that_a_dataset_keeps_is_checked_before_the_extraction(tmp_path):
    paths = ("fight/a.mp4", "fight/b.mp4", "nofight/a.mp4", "nofight/b.mp4")
    for path in paths:
        (tmp_path / "videos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / path).write_bytes(path.encode())
    flags = {name: str(tmp_path / name) for name in ("cache_dir", "checkpoint_dir")}
    flags |= {"dataset_path": str(tmp_path / "videos"), "dataset_name": "mine", **SMALL}
    stage = TrainingStage(TrainConfig.from_flags(flags))
    assert stage.prepare().to_json()["videos"] == 4
    rows = [f"{path},{path.partition('/')[0]},,train,drawn" for path in paths]
    kept = tmp_path / "cache_dir" / "mine" / "splits.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("\n".join(["path,label,group,split,source", *rows]))
    with pytest.raises(CacheError, match="There must be readable videos for validation"):
        stage.prepare()
