"""Trainers and strategies over virtual devices; needs TensorFlow."""

import keras
import pytest
import tensorflow as tf

from support.training import CLASSES, train_quickly
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_data import read_splits


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
    config = TrainConfig.from_settings(
        {"head": "linear", "batch_size": 8, "epochs": 10, **settings}
    )
    device_setup = devices.start(
        seed=0,
        mixed_precision=False,
        xla=False,
        virtual_devices=None,
        deterministic=False,
        coordinator=coordinator,
    )
    cache = FeatureCache.open(features)
    clips = read_splits(cache, dataset.usable_entries(cache), classes)
    asked = {"clips": clips, "classes": classes, "callbacks": callbacks}
    return Trainer(Run(folder), config.training, device_setup, **asked)


class InterruptedAt(keras.callbacks.Callback):
    """Interrupts a training after it recorded an epoch, before its state is saved.

    Args:
        epoch: From 1.
        training: The number of the training, from 1, if there are several.
    """

    def __init__(self, epoch: int, training: int = 1) -> None:
        super().__init__()
        self.epoch, self.training, self.started = epoch, training, 0

    def on_train_begin(self, logs=None) -> None:
        self.started += 1

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        if (self.started, epoch + 1) == (self.training, self.epoch):
            raise KeyboardInterrupt


def interrupt(features, folder, *, epoch=2, training=1, **asked) -> None:
    """Starts a training that is interrupted in an epoch."""
    with pytest.raises(KeyboardInterrupt):
        train_quickly(features, folder, callbacks=[InterruptedAt(epoch, training)], **asked)
