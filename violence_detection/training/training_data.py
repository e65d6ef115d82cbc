"""The videos of each split, and the weights, order and batches of the training videos."""

from typing import TYPE_CHECKING

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.split_words import SPLITS
from violence_detection.datasets.training_readiness import check_splits
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.training import batching

if TYPE_CHECKING:
    import tensorflow as tf

_RECORDING_POWERS = {"natural": 0.0, "sqrt": -0.5, "balanced": -1.0}


class TrainingData:
    """The training videos and how an epoch draws, weighs, changes and batches them.

    Attributes:
        videos: The N training videos.
        weights: Weight of each video in the loss, float32 (N,): class weight times recording
            weight.
        class_fractions: Fraction of each class in what the loss sees, K floats: equal where class
            weights are on, else the fractions that are drawn. A loss with `alpha=auto` corrects by
            them, so that nothing is corrected twice.
        steps_per_epoch: Batches in an epoch.
    """

    def __init__(
        self,
        videos: FeatureDataset,
        *,
        classes: int,
        batch_size: int,
        seed: int,
        sampling: str,
        use_class_weights: bool,
        recording_weights: str,
        augment: str,
    ) -> None:
        """
        Args:
            videos: The N training videos.
            classes: K.
            batch_size, seed, sampling, use_class_weights, recording_weights, augment: Settings of
                `train`.
        """
        self.videos, self._classes = videos, classes
        self._batch_size, self._seed, self._sampling = batch_size, seed, sampling
        fractions = batching.drawn_fractions(videos.labels, classes, sampling)
        self.weights = recording_weights_of(videos, recording_weights)
        if use_class_weights:
            self.weights = class_weights_of(videos.labels, fractions) * self.weights
            fractions = np.full(classes, 1 / classes)
        self.class_fractions: list[float] = fractions.tolist()
        self.steps_per_epoch = batching.steps_per_epoch(len(videos), batch_size)
        self._augmentation = batching.build_augmentation(augment, videos)

    def dataset(
        self, first_epoch: int = 1, *, replicas: int = 1, part: tuple[int, int] = (0, 1)
    ) -> "tf.data.Dataset":
        """Batches of one epoch after the other, without end; see `batching.batches`.

        Args:
            first_epoch: The epoch to begin with.
            replicas: The batch size is rounded up to a multiple of these.
            part: The part of each batch that this machine takes: its number, of how many.
        """
        # TensorFlow keeps what a dataset calls until the process ends: self must not be in it.
        labels, sampling, seed = self.videos.labels, self._sampling, self._seed
        return batching.batches(
            self.videos,
            self.weights,
            classes=self._classes,
            order=lambda epoch: batching.sampled_order(labels, sampling, seed=seed, epoch=epoch),
            batch_size=self._batch_size,
            first_epoch=first_epoch,
            replicas=replicas,
            part=part,
            augment=self._augmentation,
            seed=seed,
        )


def class_weights_of(labels: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Weight of each video for its class, float32 (N,): ``1 / (K f_c)``, where f_c is the
    fraction of its class in what an epoch draws.

    Args:
        labels: int64 (N,).
        fractions: float64 (K,), see `batching.drawn_fractions`.
    """
    inverse = 1 / (len(fractions) * np.maximum(fractions, 1 / len(labels)))
    return inverse[labels].astype(np.float32)


def recording_weights_of(videos: FeatureDataset, weighting: str) -> np.ndarray:
    """Weight of each video for its recording, float32 (N,), with mean 1 over each class.

    It is proportional to n^-1/2 for `sqrt` and to n^-1 for `balanced`, where n is the number of
    videos of its recording, and 1 for `natural`. Since each class has mean 1, the balance of the
    classes does not change.
    """
    _, recording, counts = np.unique(videos.groups, return_inverse=True, return_counts=True)
    weights = counts[recording] ** _RECORDING_POWERS[weighting]
    numbers = np.bincount(videos.labels)
    means = np.bincount(videos.labels, weights) / np.maximum(numbers, 1)
    return (weights / means[videos.labels]).astype(np.float32)


def read_splits(
    cache: FeatureCache,
    entries: list[ManifestEntry],
    classes: list[str],
    *,
    views: bool = False,
) -> dict[str, FeatureDataset]:
    """Features and labels of each split that has videos.

    Args:
        cache: The features.
        entries: Videos with their splits.
        classes: Names, the normal class first.
        views: Read the further views of the training videos as well.

    Raises:
        CacheError: If train or validation has no videos, or train lacks a class.
        ConfigError: If there are no further views.
    """
    check_splits(entries, classes)
    clips = dataset.read_dataset(cache, entries, classes)
    parts = {}
    for split in SPLITS:
        rows = [row for row, entry in enumerate(entries) if entry.split == split]
        if rows:
            parts[split] = clips.take(rows)
    if views:
        parts["train"] = dataset.with_views(cache, parts["train"])
    return parts
