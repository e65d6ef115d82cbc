"""The epochs: what is weighed, what decays, which is best, when it stops, and what stays."""

import csv
import gc
import weakref

import keras
import numpy as np
import pytest
from support.features import draw_features
from support.folders import tree_of
from support.trainers import trainer_on
from support.training import train_quickly

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.outputs.classes import Classes
from violence_detection.models.run import Run
from violence_detection.system.coordination import LocalCoordinator
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving.training_state import HISTORY_COLUMNS, StepState
from violence_detection.training.train import TrainingStage
from violence_detection.training.trainer import Trainer

CLASSES = ["normal", "violent"]
CLASSES_ALONE = {"recording_weights": "natural"}


@pytest.fixture
def trainer(features_dir, tmp_path) -> Trainer:
    return trainer_on(features_dir, tmp_path)


def rows_of(run) -> list[dict[str, str]]:
    with open(run.history_path) as file:
        return list(csv.DictReader(file))


# -- golden


def test_the_loss_gets_the_fractions_of_the_classes(tmp_path):
    features = draw_features(tmp_path / "space", counts=(11, 4, 0))
    asked = {"loss": "focal(alpha=auto)", "use_class_weights": False}
    trainer = trainer_on(features, tmp_path, **asked)
    np.testing.assert_allclose(trainer.step.objective.classes_loss.alpha, [5 / 11, 6 / 11])


def test_the_rate_warms_up_over_the_asked_epochs(features_dir, tmp_path):
    """16 videos in batches of 8 are 2 steps an epoch."""
    asked = {"warmup_epochs": 3.0, "epochs": 13, "learning_rate": 1.0}
    rate = trainer_on(features_dir, tmp_path, **asked).step.schedule
    assert [rate(step) for step in (0, 3, 6, 16, 26)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_validation_loss_is_that_of_the_logits(trainer):
    logits = trainer.classifier(trainer.validation.clips.features[:].astype(np.float32))
    goals = Classes(2).targets(trainer.validation.clips.labels)
    expected = np.ravel(trainer.step.objective.classes_loss(goals, logits))
    scores = trainer.validation.measure(trainer.classifier)
    np.testing.assert_allclose(trainer.validation.losses, expected, rtol=1e-4)
    assert scores.loss == pytest.approx(expected.mean(), rel=1e-5)


# -- relation


@pytest.mark.slow
@pytest.mark.parametrize("head", ["bilstm_attention", "transformer"])
def test_neither_biases_nor_norms_decay(features_dir, tmp_path, head):
    trainer = trainer_on(
        features_dir,
        tmp_path,
        head=head,
        weight_decay=0.5,
        learning_rate=1.0,
    )
    variables = trainer.classifier.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    optimizer = trainer.step.optimizer
    optimizer.learning_rate.assign(1.0)
    optimizer.apply([np.zeros(variable.shape, np.float32) for variable in variables], variables)
    decayed = {variable.path for variable in variables if np.max(variable) < 0.9}
    assert decayed == {variable.path for variable in variables if len(variable.shape) > 1}
    assert 0 < len(decayed) < len(variables)
    normed = [variable for variable in variables if variable.name in ("gamma", "beta")]
    assert bool(normed) is (head == "transformer")


def test_training_stops_when_validation_gets_no_better(tmp_path):
    """Validation videos with the labels the wrong way round only get worse."""
    features = draw_features(tmp_path / "space", shift=3.0)
    cache = FeatureCache.open(features)
    swap = dict(zip(CLASSES, reversed(CLASSES), strict=True))
    rows = [
        row if row.split == "train" else type(row)(**{**vars(row), "label": swap[row.label]})
        for row in cache.entries()
    ]
    cache.write_manifest(rows)
    asked = {"epochs": 30, "early_stopping_patience": 3, "warmup_epochs": 0.0}
    result = train_quickly(features, tmp_path, learning_rate=0.05, **asked)
    assert result["epochs_run"] == result["best_epoch"] + 3 < 30


@pytest.mark.slow
def test_without_patience_all_epochs_are_run(features_dir, tmp_path):
    asked = {"epochs": 12, "learning_rate": 1e-12, "monitor": "val_auc"}
    patient = train_quickly(features_dir, tmp_path, early_stopping_patience=0, **asked)
    assert (patient["epochs_run"], patient["best_epoch"]) == (12, 1)


@pytest.mark.slow
def test_with_nothing_monitored_the_last_epoch_is_kept(features_dir, tmp_path):
    """At this rate the first epoch has the lowest validation loss."""
    asked = {"epochs": 4, "learning_rate": 3.0}
    result = train_quickly(features_dir, tmp_path, monitor="none", **asked)
    assert result["best_epoch"] == result["epochs_run"] == 4


@pytest.mark.slow
def test_callbacks_of_keras_work(features_dir, tmp_path):
    """Steps come eight at a time, and numbers are what they log."""
    steps, logged = [], []
    watching = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: steps.append((step, logs)),
        on_epoch_end=lambda epoch, logs: logged.append((epoch, logs)),
    )
    saved = str(tmp_path / "{epoch:02d}-{val_loss:.3f}.keras")
    callbacks = [
        watching,
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.ModelCheckpoint(saved),
        keras.callbacks.EarlyStopping("val_loss", patience=3),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    ]
    trainer = trainer_on(
        features_dir, tmp_path / "run", callbacks=callbacks, epochs=2, batch_size=1
    )
    trainer.run_epochs()
    assert [step for step, _ in steps] == [7, 15, 23, 31] == [*range(7, 32, 8)]
    assert all(type(value) is float for _, logs in steps for value in logs.values())
    assert [epoch for epoch, _ in logged] == [0, 1]
    for (_, logs), row in zip(logged, trainer.history, strict=True):
        values = row.columns()
        del values["epoch"]
        assert logs == values
    assert len(list(tmp_path.glob("0*.keras"))) == 2


@pytest.mark.slow
def test_a_callback_ends_the_training(features_dir, tmp_path):
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    trainer = trainer_on(features_dir, tmp_path, callbacks=[Enough()])
    trainer.run_epochs()
    assert len(trainer.history) == 2


def test_a_curve_of_one_side_is_refused_before_a_run_exists(tmp_path):
    features = draw_features(tmp_path / "space")
    cache = FeatureCache.open(features)
    rows = [row for row in cache.entries() if row.split != "validation" or row.label == "normal"]
    cache.write_manifest(rows)
    asked = {"monitor": "val_auc"}
    with pytest.raises(ConfigError, match="val_auc must have .* normal videos only"):
        train_quickly(features, tmp_path / "runs", **asked)
    assert not (tmp_path / "runs" / "run").exists()
    config = TrainConfig.from_flags({"features": str(features), **asked})
    with pytest.raises(ConfigError, match="val_auc must have .* normal videos only"):
        TrainingStage(config).prepare()


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_auc"])
def test_the_best_model_is_that_of_the_best_epoch(features_dir, tmp_path, monitor):
    """With a rate this high the last epoch is not always the best one."""
    asked = {"epochs": 8, "learning_rate": 3.0, "early_stopping_patience": 0}
    result = train_quickly(features_dir, tmp_path, checkpoint_epochs=1, monitor=monitor, **asked)
    run = Run.open(result["run"])
    scores = [float(row[monitor]) for row in rows_of(run)]
    if monitor != "val_loss":
        assert result["best_epoch"] == 1 + int(np.argmax(scores))
    kept = classifier.load_model(run.checkpoint_path(result["best_epoch"]))
    best = classifier.load_model(run.model_path).get_weights()
    for array, kept_array in zip(best, kept.get_weights(), strict=True):
        np.testing.assert_array_equal(array, kept_array)


class Follower(LocalCoordinator):
    """A machine whose chief ends the training after three epochs."""

    is_chief, turns = False, 0

    def gather(self, value):
        if value:  # what all must have in common
            return [value]
        self.turns += 1
        return [self.turns > 3]


@pytest.mark.slow
def test_a_trainer_that_is_done_leaves_the_memory(features_dir, tmp_path):
    """A search has hundreds of them; TensorFlow keeps what datasets call for good."""
    trainer = trainer_on(features_dir, tmp_path, epochs=1)
    trainer.run_epochs()
    kept = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert kept() is None


@pytest.mark.slow
def test_another_machine_follows_the_chief_and_writes_nothing(features_dir, tmp_path):
    trainer = trainer_on(features_dir, tmp_path, coordinator=Follower())
    before = trainer.classifier.get_weights()
    trainer.run_epochs()
    assert (trainer.step.steps, len(trainer.history)) == (3 * 2, 3)
    assert not np.array_equal(before[0], trainer.classifier.get_weights()[0])
    assert tree_of(tmp_path) == []


def test_the_history_has_a_row_for_each_epoch(run_dir):
    run = Run.open(run_dir)
    rows = rows_of(run)
    assert [row["epoch"] for row in rows] == [str(1 + number) for number in range(len(rows))]
    recalls = ("val_recall_normal", "val_recall_violent")
    assert tuple(rows[0]) == (*HISTORY_COLUMNS, *recalls)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert len(rows) == run.results().summary.epochs_run


def test_checkpoints_and_tensorboard_stay_and_the_state_does_not(run_dir):
    run = Run.open(run_dir)
    names = sorted(path.name for path in run_dir.glob("checkpoint_epoch_*"))
    assert names == ["checkpoint_epoch_0004.keras", "checkpoint_epoch_0008.keras"]
    assert list(run.tensorboard_dir.glob("validation/events.out.tfevents.*"))
    assert not run.state_dir.exists()
    assert not [path for path in run_dir.rglob("*") if ".partial-" in path.name]


# -- error


def poisoned_features(folder, split):
    cache = FeatureCache.open(draw_features(folder))
    rows = cache.entries()
    for number, row in enumerate(rows):
        if row.split == split:
            features = np.full((6, 8), np.nan, np.float16)
            digest = cache.write_arrays(row.path, features[None])[0]
            rows[number] = type(row)(**{**vars(row), "array_digest": digest})
    cache.write_manifest(rows)
    return cache.dir


@pytest.mark.slow
def test_features_that_are_not_finite_stop_the_training(tmp_path):
    features = poisoned_features(tmp_path / "space", "train")
    with pytest.raises(
        TrainingError, match="must stay finite. Received: 2 of 2 batches not .* epoch 1"
    ):
        train_quickly(features, tmp_path)


@pytest.mark.slow
def test_predictions_that_are_not_finite_stop_the_training(tmp_path):
    features = poisoned_features(tmp_path / "space", "validation")
    with pytest.raises(TrainingError, match="Predictions must be finite. Received: NaN"):
        train_quickly(features, tmp_path)


def test_a_rate_that_is_too_high_is_named(features_dir, tmp_path):
    trainer = trainer_on(features_dir, tmp_path)
    for variable in trainer.classifier.trainable_variables:
        variable.assign(np.full(variable.shape, 1e38))
    with pytest.raises(TrainingError, match="a lower --learning-rate helps"):
        trainer.run_epochs()


def test_in_float16_an_epoch_of_overflows_is_one_too_many(trainer):
    trainer.step.restore(StepState(steps=0, scale=1024.0, sound_steps=0))
    trainer.step.check_finite(np.array([1.0, 0.0, 0.0]), epoch=1)
    with pytest.raises(TrainingError, match="2 of 2 batches not finite, in epoch 7"):
        trainer.step.check_finite(np.array([0.0, 0.0]), epoch=7)


def test_keras_is_not_left_in_another_precision():
    assert keras.config.dtype_policy().name == "float32"
