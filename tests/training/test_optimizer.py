"""XLA or cuDNN's recurrence, whichever is measured to be faster; averages; the schedule."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support.features import draw_features
from support.trainers import strategy_over

from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import optimizer
from violence_detection.training.config import TrainConfig
from violence_detection.training.optimizer import (
    SCHEDULE_NAMES,
    constant,
    one_cycle,
    schedule_over_epochs,
    warmup_cosine,
)
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
        TrainConfig(head=head, batch_size=8, **settings),
        DeviceSetup(strategy, "float32", xla=xla, gpus=gpus),
        clips=clips,
        classes=["normal", "violent"],
    )


def recurrence_of(trainer) -> keras.layers.LSTM:
    return trainer.classifier.get_layer("bilstm_1").forward_layer


@pytest.mark.parametrize("xla_s", [0.001, 0.003])
def test_the_faster_of_xla_and_cudnn_is_used_and_both_times_are_logged(
    tmp_path, monkeypatch, caplog, xla_s
):
    seconds = iter([xla_s, 0.002])  # with XLA, with cuDNN
    monkeypatch.setattr(optimizer, "seconds_per_step", lambda *_: next(seconds))
    with caplog.at_level(logging.INFO):
        trainer = trainer_with(tmp_path)
    got = trainer.effective["xla"]
    assert got is (xla_s < 0.002)
    assert bool(recurrence_of(trainer).use_cudnn) is not got
    assert f"{1000 * xla_s:.2f} ms a step with XLA" in caplog.text
    assert ("XLA is off" in caplog.text) is not got


def test_a_head_without_recurrence_is_compiled_unmeasured(tmp_path, monkeypatch):
    monkeypatch.setattr(optimizer, "seconds_per_step", None)
    assert trainer_with(tmp_path, head="linear").effective == {"xla": True}


@pytest.mark.parametrize(("gpus", "xla"), [(0, True), (1, False)])
def test_without_a_gpu_or_xla_nothing_is_measured(tmp_path, monkeypatch, gpus, xla):
    monkeypatch.setattr(optimizer, "is_xla_faster", None)
    trainer = trainer_with(tmp_path, gpus=gpus, xla=xla)
    assert trainer.effective["xla"] is xla
    assert bool(recurrence_of(trainer).use_cudnn) is (gpus > 0 and not xla)


@pytest.mark.slow
def test_measuring_leaves_no_trace_in_what_is_trained(tmp_path):
    measured = trainer_with(tmp_path / "a")
    plain = trainer_with(tmp_path / "b", gpus=0, xla=False)
    pairs = zip(measured.classifier.get_weights(), plain.classifier.get_weights(), strict=True)
    assert all((one == other).all() for one, other in pairs)
    assert measured.step.steps == 0


def test_replicas_of_a_training_draw_masks_of_their_own(tmp_path):
    asked = {"gpus": 0, "xla": False, "strategy": strategy_over(2)}
    dropped = trainer_with(tmp_path, **asked).classifier.get_layer("dropout_pooled")
    masks = tf.function(
        lambda: asked["strategy"].run(lambda: dropped(tf.ones((1, 64)), training=True))
    )
    first, second = asked["strategy"].experimental_local_results(masks())
    assert not np.array_equal(first, second)


def test_an_average_is_of_one_epoch_at_least(tmp_path):
    asked = {"gpus": 0, "xla": False, "swa_fraction": 1e-9, "epochs": 4}
    trainer = trainer_with(tmp_path, head="linear", **asked)
    trainer.run_epochs()
    assert trainer.average.has_begun


# == the schedule of the learning rate, against its closed form

STEPS = st.floats(0, 2000)

# -- golden


def test_schedule_matches_the_closed_form():
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    for step, value in {0: 0.0, 50: 0.5, 100: 1.0, 550: 0.5, 1000: 0.0}.items():
        assert rate(step) == pytest.approx(value, abs=1e-9)


def test_a_quarter_of_the_cosine_is_cos_of_45_degrees():
    rate = warmup_cosine(peak=2.0, warmup_steps=0, total_steps=400)
    assert rate(100) == pytest.approx(1 + 2**-0.5)


def test_one_cycle_matches_the_closed_form():
    rate = one_cycle(peak=1.0, warmup_steps=300, total_steps=1000)
    for step, value in {
        0: 0.04,
        150: 0.52,
        300: 1.0,
        650: 0.500002,
        1000: 4e-6,
    }.items():
        assert rate(step) == pytest.approx(value, rel=1e-6)


def test_constant_stays_at_the_peak():
    rate = constant(peak=2.0, warmup_steps=10, total_steps=100)
    assert [rate(step) for step in (0, 5, 10, 50, 100)] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "epochs", "top"),
    [("warmup_cosine", 60, 5), ("warmup_cosine", 10, 2), ("one_cycle", 60, 18)],
)
def test_the_usual_warmup_ends_at_the_peak(name, epochs, top):
    asked = {"peak": 1.0, "warmup_epochs": None, "steps_per_epoch": 7}
    rate = schedule_over_epochs(name, epochs=epochs, **asked)
    assert rate(7 * top) == pytest.approx(1.0)
    assert max(rate(7 * top - 1), rate(7 * top + 1)) < 1.0


def test_the_command_offers_every_schedule():
    rules = {setting.name: setting.rule for setting in TrainConfig.settings()}
    assert rules["schedule"].choices == SCHEDULE_NAMES


# -- relation


@given(STEPS)
def test_doubling_the_peak_doubles_every_rate(step):
    once = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    twice = warmup_cosine(peak=2.0, warmup_steps=100, total_steps=1000)
    assert twice(step) == pytest.approx(2 * once(step))


def test_without_warmup_the_first_rate_is_the_peak():
    assert warmup_cosine(peak=0.3, warmup_steps=0, total_steps=10)(0) == 0.3


# -- property


@given(STEPS)
def test_rates_stay_between_zero_and_the_peak(step):
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    assert 0.0 <= rate(step) <= 1.0


@given(STEPS, STEPS)
def test_after_the_warmup_rates_only_fall(one, other):
    rate = warmup_cosine(peak=1.0, warmup_steps=100, total_steps=1000)
    early, late = sorted((100 + one, 100 + other))
    assert rate(early) >= rate(late)


# -- error


@pytest.mark.parametrize("warmup_steps", [-1, 10, 11])
def test_the_warmup_must_be_shorter_than_the_training(warmup_steps):
    with pytest.raises(
        ConfigError,
        match=f"< total_steps. Received: warmup_steps={warmup_steps}, total_steps=10",
    ):
        warmup_cosine(peak=1.0, warmup_steps=warmup_steps, total_steps=10)
