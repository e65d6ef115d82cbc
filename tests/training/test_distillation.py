"""A teacher: the loss in closed form, whose features it has, what it may not know, and resuming."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.features import draw_features
from support.training import train_quickly

from violence_detection.errors import CacheError, ConfigError
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import calibration
from violence_detection.models.losses.focal import Focal
from violence_detection.models.run import Run
from violence_detection.training.config import TrainConfig
from violence_detection.training.distillation import Teacher
from violence_detection.training.optimisation.distillation_loss import DistillationLoss
from violence_detection.training.train import train_classifier

COUNTS, LABELS = (24, 12, 12), ("normal", "fight", "riot")


def soft_of(logits, temperature):
    shifted = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    return shifted / shifted.sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("temperature", "weight"), [(4.0, 0.7), (1.0, 1.0), (2.0, 0.0)])
def test_the_loss_is_its_formula(classes, temperature, weight):
    rng = np.random.default_rng(classes)
    logits, theirs = rng.normal(0, 2, (2, 6, classes))
    goals = np.eye(classes)[rng.integers(0, classes, 6)]
    soft, own = soft_of(theirs, temperature), soft_of(logits, temperature)
    divergence = (soft * np.log(soft / own)).sum(1)
    of_labels = -(goals * np.log(soft_of(logits, 1.0))).sum(1)
    expected = weight * temperature**2 * divergence + (1 - weight) * of_labels
    loss = DistillationLoss(Focal(gamma=0, alpha=None), temperature=temperature, weight=weight)
    if classes == 2:  # one logit, one column each
        goals, soft, logits = goals[:, 1:], soft[:, 1:], logits[:, 1:] - logits[:, :1]
    targets = np.concatenate([goals, soft], axis=1)
    got = loss(np.float32(targets), np.float32(logits))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_targets_without_a_teacher_have_the_loss_on_labels():
    of_labels = Focal(gamma=2, alpha=[0.4, 0.6])
    goals, logits = np.float32([[1], [0]]), np.float32([[0.3], [2.0]])
    taught = DistillationLoss(of_labels, temperature=4, weight=0.7)
    np.testing.assert_array_equal(taught(goals, logits), of_labels(goals, logits))


def test_a_classifier_that_is_its_teacher_has_no_slope():
    logits = tf.constant(np.float32([[0.5, -1.0, 2.0]]))
    soft = soft_of(np.array(logits), 4.0)
    loss = DistillationLoss(Focal(gamma=0, alpha=None), temperature=4, weight=1.0)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.constant(np.float32(np.concatenate([np.eye(3)[:1], soft], 1))), logits)
    np.testing.assert_allclose(tape.gradient(value, logits), 0, atol=1e-6)
    np.testing.assert_allclose(value, 0, atol=1e-6)


def test_columns_follow_the_videos():
    probability = np.array([[0.9, 0.1], [0.2, 0.8]])
    teacher = Teacher({"a": 0, "b": 1}, probability, 2.0, 0.5)
    entries = [type("Entry", (), {"path": path}) for path in "ba"]
    expected = calibration.apply_temperature(probability, 2.0)[[1, 0], 1:]
    np.testing.assert_allclose(teacher.columns(entries), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def spaces(tmp_path_factory) -> dict[str, Path]:
    """Two feature spaces of the same videos: in one the classes are far apart."""
    folder = tmp_path_factory.mktemp("drawn") / "cache"
    options = {"counts": COUNTS, "labels": LABELS}
    clear = draw_features(folder / "clear", shift=3.0, shape=(5, 12), **options)
    noisy = draw_features(folder / "noisy", shift=0.4, shape=(3, 8), seed=1, **options)
    digests = {entry.path: entry.digest for entry in FeatureCache.open(noisy).entries()}
    cache = FeatureCache.open(clear)
    cache.write_manifest(
        [dataclasses.replace(entry, digest=digests[entry.path]) for entry in cache.entries()]
    )
    return {"clear": clear, "noisy": noisy}


@pytest.fixture(scope="module")
def teacher(spaces, tmp_path_factory) -> str:
    runs = tmp_path_factory.mktemp("teachers")
    return train_quickly(spaces["clear"], runs, epochs=20, learning_rate=0.05)["run"]


def weights_of(run) -> list[np.ndarray]:
    return keras.saving.load_model(Run(Path(run)).model_path, compile=False).get_weights()


@pytest.mark.slow
def test_a_teacher_of_another_feature_space_is_found_and_recorded(spaces, teacher, tmp_path):
    taught = train_quickly(spaces["noisy"], tmp_path, teacher=teacher, epochs=20)["run"]
    plain = train_quickly(spaces["noisy"], tmp_path, run="plain", epochs=20)["run"]
    record = json.loads((Path(taught) / "training_config.json").read_text())["teacher"]
    assert record["run"] == teacher and record["features"] == str(spaces["clear"])
    assert record["met"] == {"validation": 0, "test": 0}
    pairs = zip(weights_of(taught), weights_of(plain), strict=True)
    assert any(np.abs(ours - theirs).max() > 1e-3 for ours, theirs in pairs)


@pytest.mark.slow
def test_weight_0_is_a_training_without_a_teacher(spaces, teacher, tmp_path):
    asked = {"teacher": teacher, "teacher_weight": 0.0}
    taught = train_quickly(spaces["noisy"], tmp_path, **asked)["run"]
    plain = train_quickly(spaces["noisy"], tmp_path, run="plain")["run"]
    for ours, theirs in zip(weights_of(taught), weights_of(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_videos_that_the_teachers_features_lack_are_named_and_counted(spaces, teacher, tmp_path):
    shutil.copytree(spaces["clear"], tmp_path / "fewer")
    cache = FeatureCache.open(tmp_path / "fewer")
    kept = [row for row in cache.entries() if row.path != "normal/train_0.mp4"]
    cache.write_manifest(kept)
    asked = {"teacher": teacher, "teacher_features": str(tmp_path / "fewer")}
    with pytest.raises(CacheError, match="lacks 1 of 24 videos: normal/train_0.mp4"):
        train_quickly(spaces["noisy"], tmp_path / "runs", **asked)
    with pytest.raises(CacheError, match="must be of the teacher's feature space"):
        asked["teacher_features"] = str(spaces["noisy"])
        train_quickly(spaces["noisy"], tmp_path / "runs", **asked)


@pytest.mark.slow
def test_a_teacher_that_knows_test_videos_is_refused_unless_allowed(
    spaces, teacher, tmp_path, caplog
):
    asked = {"teacher": teacher, "split_seed": 5, "test_fraction": 0.3, "epochs": 1}
    with pytest.raises(ConfigError, match="must not know the videos that validate and test"):
        train_quickly(spaces["noisy"], tmp_path, **asked)
    run = train_quickly(spaces["noisy"], tmp_path, allow_teacher_overlap=True, **asked)["run"]
    record = json.loads((Path(run) / "training_config.json").read_text())["teacher"]
    assert record["met"]["test"] > 0
    assert "The scores are better than on new videos" in caplog.text


def test_settings_of_a_teacher_need_one():
    with pytest.raises(ConfigError, match="`teacher_weight` must come with teacher"):
        TrainConfig.from_flags({"features": "x", "teacher_weight": 0.5})


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_resumed_training_needs_no_teacher_and_has_the_same_weights(spaces, teacher, tmp_path):
    mortal = tmp_path / "mortal"
    shutil.copytree(teacher, mortal)
    asked = {"teacher": str(mortal), "epochs": 4, "augment": "mixup"}
    whole = train_quickly(spaces["noisy"], tmp_path, run="whole", **asked)["run"]
    with pytest.raises(KeyboardInterrupt):
        train_quickly(spaces["noisy"], tmp_path, callbacks=[StopAfter(2)], **asked)
    shutil.rmtree(mortal)
    config = TrainConfig.from_flags({"run": "run", "resume": True, "checkpoint_dir": str(tmp_path)})
    resumed = train_classifier(config).to_json()
    assert resumed["resumed_from_epoch"] == 2
    for ours, theirs in zip(weights_of(resumed["run"]), weights_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not (tmp_path / "run" / "state").exists()
