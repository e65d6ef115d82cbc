"""A built training step: XLA or cuDNN's recurrence, whichever is faster; dropout; averages."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.features import draw_features
from support.trainers import strategy_over

from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.config import TrainConfig
from violence_detection.training.optimisation import xla_trial
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_data import read_splits

SMALL = "bilstm_attention(projection=4, units=3)"


def trainer_with(tmp_path, *, head=SMALL, gpus=1, xla=True, strategy=None, **settings) -> Trainer:
    """As on a machine with a GPU, whose layers may use cuDNN."""
    features = draw_features(tmp_path / "cache" / "space", counts=(8, 4, 0))
    cache = FeatureCache.open(features)
    entries = dataset.usable_entries(cache)
    clips = read_splits(cache, entries, ["normal", "violent"])
    default = devices.start(
        seed=0,
        mixed_precision=False,
        xla=False,
        virtual_devices=None,
        deterministic=False,
    ).strategy
    strategy = strategy or default
    return Trainer(
        Run(tmp_path / "run"),
        TrainConfig.from_settings({"head": head, "batch_size": 8, **settings}).training,
        DeviceSetup(strategy, "float32", xla=xla, gpus=gpus),
        clips=clips,
        classes=["normal", "violent"],
    )


def recurrence_of(trainer) -> keras.layers.LSTM:
    return trainer.classifier.get_layer("bilstm_1").forward_layer


@pytest.mark.slow
@pytest.mark.parametrize("xla_s", [0.001, 0.003])
def test_the_faster_of_xla_and_cudnn_is_used_and_both_times_are_logged(
    tmp_path, monkeypatch, caplog, xla_s
):
    seconds = iter([xla_s, 0.002])  # with XLA, with cuDNN
    monkeypatch.setattr(xla_trial, "seconds_per_step", lambda *_: next(seconds))
    with caplog.at_level(logging.INFO):
        trainer = trainer_with(tmp_path)
    got = trainer.step.xla
    assert got is (xla_s < 0.002)
    assert bool(recurrence_of(trainer).use_cudnn) is not got
    assert f"{1000 * xla_s:.2f} ms a step with XLA" in caplog.text
    assert ("XLA is off" in caplog.text) is not got


def test_a_head_without_recurrence_is_compiled_unmeasured(tmp_path, monkeypatch):
    monkeypatch.setattr(xla_trial, "seconds_per_step", None)
    assert trainer_with(tmp_path, head="linear").step.xla is True


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "xla"), [(0, True), (1, False)])
def test_without_a_gpu_or_xla_nothing_is_measured(tmp_path, monkeypatch, gpus, xla):
    monkeypatch.setattr(xla_trial, "is_xla_faster", None)
    trainer = trainer_with(tmp_path, gpus=gpus, xla=xla)
    assert trainer.step.xla is xla
    assert bool(recurrence_of(trainer).use_cudnn) is (gpus > 0 and not xla)


@pytest.mark.slow
def test_measuring_leaves_no_trace_in_what_is_trained(tmp_path):
    measured = trainer_with(tmp_path / "a")
    plain = trainer_with(tmp_path / "b", gpus=0, xla=False)
    pairs = zip(measured.classifier.get_weights(), plain.classifier.get_weights(), strict=True)
    assert all((measured_weight == weight).all() for measured_weight, weight in pairs)
    assert measured.step.steps == 0


@pytest.mark.slow
def test_replicas_of_a_training_draw_masks_of_their_own(tmp_path):
    asked = {"gpus": 0, "xla": False, "strategy": strategy_over(2)}
    dropped = trainer_with(tmp_path, **asked).classifier.get_layer("dropout_pooled")
    masks = tf.function(
        lambda: asked["strategy"].run(lambda: dropped(tf.ones((1, 64)), training=True))
    )
    first, second = asked["strategy"].experimental_local_results(masks())
    assert not np.array_equal(first, second)


@pytest.mark.slow
def test_an_average_is_of_one_epoch_at_least(tmp_path):
    asked = {"gpus": 0, "xla": False, "swa_fraction": 1e-9, "epochs": 4}
    trainer = trainer_with(tmp_path, head="linear", **asked)
    trainer.run_epochs()
    assert trainer.average.has_begun
