"""A check that a training over several replicas has the weights of a training on one device."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.config import TrainConfig

# Of the way that the weights went, what rounding in float32 may make of it.
ROUNDING = 1e-3
_CLASSES = ["normal", "violent"]
_VIDEOS, _SHAPE = 26, (3, 8)  # 4 steps an epoch, the last with 2 videos
# The recurrence of GPUs is cuDNN's, which runs on each. Parts of a CPU share their operations, and
# a recurrence would only take longer to build.
_HEAD_ON_GPUS = "bilstm_attention(projection=6, units=5, feature_dropout=0.0, dropout=0.0)"
_HEAD_ON_CPU = "mlp(units=5, feature_dropout=0.0, dropout=0.0)"
_SETTINGS = {
    "batch_size": 8,
    "epochs": 3,
    "learning_rate": 0.01,
    "early_stopping_patience": 0,
    "checkpoint_epochs": 0,
}


def difference_to_one_device(virtual_devices: int | None) -> tuple[int, float]:
    """Trains on drawn features over all devices and over one, without dropout.

    Call it in a process of its own: it starts the devices.

    Args:
        virtual_devices: Parts that the CPU is split into; None for the GPUs.

    Returns:
        The number of replicas, and the difference of the weights after three epochs, relative to
        the way that they went.
    """
    several = devices.start(
        seed=42,
        mixed_precision=False,
        xla=False,
        virtual_devices=virtual_devices,
        deterministic=False,
    )
    import tensorflow as tf

    single = dataclasses.replace(several, strategy=tf.distribute.OneDeviceStrategy(_first_device()))
    if not several.gpus:
        single = dataclasses.replace(several, strategy=tf.distribute.get_strategy())
    start, reached = _trained(several)
    _, expected = _trained(single)
    way = float(np.linalg.norm(expected - start))
    return several.replicas, float(np.linalg.norm(reached - expected)) / way


def _first_device() -> str:
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else "/CPU:0"


def _trained(device_setup: DeviceSetup) -> tuple[np.ndarray, np.ndarray]:
    """The weights before and after a training on drawn features."""
    from violence_detection.training.trainer import Trainer

    head = _HEAD_ON_GPUS if device_setup.gpus else _HEAD_ON_CPU
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            Run(Path(folder) / "run"),
            TrainConfig.from_settings({"head": head, **_SETTINGS}).training,
            device_setup,
            clips={"train": _drawn(_VIDEOS, seed=0), "validation": _drawn(4, seed=1)},
            classes=_CLASSES,
        )
        start = _weights(trainer.classifier)
        trainer.run_epochs()
        return start, _weights(trainer.classifier)


def _drawn(count: int, *, seed: int) -> FeatureDataset:
    """Random clips of two classes of other means."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 2
    features = rng.normal(0.3 * labels[:, None, None], 1.0, (count, *_SHAPE)).astype(np.float16)
    entries = tuple(
        ManifestEntry(f"{number}.mp4", _CLASSES[label], f"recording {number}", "")
        for number, label in enumerate(labels)
    )
    return FeatureDataset(features, labels.astype(np.int64), entries)


def _weights(classifier) -> np.ndarray:
    return np.concatenate([np.ravel(weight.numpy()) for weight in classifier.trainable_variables])
