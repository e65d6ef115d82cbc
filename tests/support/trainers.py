"""Trainers and strategies over virtual devices; needs TensorFlow."""

import pytest
import tensorflow as tf

from support.training import CLASSES, train_quickly
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import read_splits
from violence_detection.training.trainer import Trainer


def strategy_over(replicas: int) -> tf.distribute.Strategy:
    if replicas == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(
        [f"CPU:{number}" for number in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def trainer_on(
    features, folder, classes=CLASSES, coordinator=None, callbacks=(), **settings
) -> Trainer:
    config = TrainConfig(**{"head": "linear", "batch_size": 8, "epochs": 10, **settings})
    machine = devices.start(
        seed=0,
        mixed_precision=False,
        xla=False,
        virtual_devices=None,
        deterministic=False,
        coordinator=coordinator,
    )
    cache = FeatureCache.open(features)
    clips = read_splits(cache, dataset.usable_entries(cache), classes)
    asked = {"clips": clips, "classes": classes}
    asked["callbacks"] = callbacks
    return Trainer(Run(folder), config, machine, **asked)


def interrupted_at(epoch):
    """A `_save_state` before which the program is interrupted in an epoch."""
    save = Trainer._save_state

    def save_state(self):
        if len(self.history) == epoch:
            raise KeyboardInterrupt
        save(self)

    return save_state


def interrupt(features, folder, monkeypatch, *, epoch=2, **asked):
    """A run that was interrupted in an epoch."""
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_state", interrupted_at(epoch))
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features, folder, **asked)
