"""XLA or cuDNN's recurrence: whichever is measured to be faster."""

import logging

import keras
import pytest
from conftest import draw_features

from violence_detection import dataset, learner, runtime, training
from violence_detection.cache import FeatureCache
from violence_detection.config import TrainConfig
from violence_detection.epochs import Trainer
from violence_detection.runs import Run
from violence_detection.runtime import Machine

SMALL = "bilstm_attention(projection=4, units=3)"


def trainer_with(tmp_path, *, head=SMALL, gpus=1, xla=True) -> Trainer:
    """As on a machine with a GPU, whose layers may use cuDNN."""
    features = draw_features(tmp_path / "cache" / "space", counts=(8, 4, 0))
    cache = FeatureCache.open(features)
    entries = dataset.usable_entries(cache)
    clips = training.read_splits(cache, entries, ["normal", "violent"])
    strategy = runtime.start(
        seed=0,
        mixed_precision=False,
        xla=False,
        virtual_devices=None,
        deterministic=False,
    ).strategy
    return Trainer(
        Run(tmp_path / "run"),
        TrainConfig(head=head, batch_size=8),
        Machine(strategy, "float32", xla=xla, gpus=gpus),
        clips=clips,
        classes=["normal", "violent"],
    )


def recurrence_of(trainer) -> keras.layers.LSTM:
    return trainer.classifier.get_layer("bilstm_1").forward_layer


@pytest.mark.parametrize("xla_s", [0.001, 0.003])
def test_what_is_faster_is_taken_and_the_loser_is_told(
    tmp_path, monkeypatch, caplog, xla_s
):
    seconds = iter([xla_s, 0.002])  # with XLA, with cuDNN
    monkeypatch.setattr(learner, "_seconds_a_step", lambda *_: next(seconds))
    with caplog.at_level(logging.INFO):
        trainer = trainer_with(tmp_path)
    assert trainer.xla is trainer.effective["xla"] is (xla_s < 0.002)
    assert bool(recurrence_of(trainer).use_cudnn) is not trainer.xla
    assert f"with it {1000 * xla_s:.2f} ms a step" in caplog.text
    assert ("XLA is off" in caplog.text) is not trainer.xla


def test_a_head_without_recurrence_is_compiled_unmeasured(tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "_seconds_a_step", None)
    assert trainer_with(tmp_path, head="linear").xla


@pytest.mark.parametrize(("gpus", "xla"), [(0, True), (1, False)])
def test_without_a_gpu_or_xla_nothing_is_measured(tmp_path, monkeypatch, gpus, xla):
    monkeypatch.setattr(learner, "xla_is_faster", None)
    trainer = trainer_with(tmp_path, gpus=gpus, xla=xla)
    assert trainer.xla is xla
    assert bool(recurrence_of(trainer).use_cudnn) is (gpus > 0 and not xla)


@pytest.mark.slow
def test_measuring_leaves_no_trace_in_what_is_trained(tmp_path):
    measured = trainer_with(tmp_path / "a")
    plain = trainer_with(tmp_path / "b", gpus=0, xla=False)
    pairs = zip(
        measured.classifier.get_weights(), plain.classifier.get_weights(), strict=True
    )
    assert all((one == other).all() for one, other in pairs)
    assert measured.step.steps == 0
