"""The videos of each split, and the weights, order and batches of the training videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.training_readiness import check_splits
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.output_set import OutputSet
from violence_detection.training import batching

if TYPE_CHECKING:
    import tensorflow as tf

_RECORDING_POWERS = {"natural": 0.0, "sqrt": -0.5, "balanced": -1.0}


@dataclass(frozen=True)
class ClassTotals:
    """Sums by class that the weights of videos follow, where the training videos are a part only.

    Attributes:
        counts: Number of videos of each class, int (K,).
        recording_sums: Sum of `unscaled_recording_weights` over these videos, float (K,).
    """

    counts: Sequence[int]
    recording_sums: Sequence[float]

    @classmethod
    def from_videos(cls, videos: FeatureDataset, classes: int, recording_weights: str) -> Self:
        """The sums of some videos of K = `classes` classes."""
        unscaled = unscaled_recording_weights(videos.groups, recording_weights)
        return cls(
            np.bincount(videos.labels, minlength=classes).tolist(),
            np.bincount(videos.labels, unscaled, minlength=classes).tolist(),
        )

    @property
    def labels(self) -> np.ndarray:
        """The labels of the videos in order, int64."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


class TrainingData:
    """The training videos and how an epoch draws, weighs, changes and batches them.

    Attributes:
        videos: The N training videos.
        targets: The targets of all outputs, float32 (N, C).
        weights: Weight of each video in the loss, float32 (N,): class weight times recording
            weight.
        class_fractions: Fraction of each class in what the loss sees, K floats: one half normal
            and the others equal where class weights are on, else the fractions that are drawn. A
            loss with `alpha=auto` corrects by them, so that nothing is corrected twice.
        steps_per_epoch: Batches in an epoch.
    """

    def __init__(
        self,
        videos: FeatureDataset,
        *,
        outputs: OutputSet,
        batch_size: int,
        seed: int,
        sampling: str,
        use_class_weights: bool,
        recording_weights: str,
        augment: str,
        totals: ClassTotals | None = None,
    ) -> None:
        """
        Args:
            videos: The N training videos.
            totals: Sums that weights and fractions follow; None for those of the videos.
            outputs: The outputs of the classifier.
            batch_size, seed, sampling, use_class_weights, recording_weights, augment: Settings of
                `train`.
        """
        self.videos, self.targets = videos, outputs.targets(videos.labels)
        self._batch_size, self._seed, self._sampling = batch_size, seed, sampling
        totals = totals or ClassTotals.from_videos(videos, outputs.count, recording_weights)
        fractions = batching.drawn_fractions(totals.labels, outputs.count, sampling)
        self.weights = recording_weights_of(videos, recording_weights, totals)
        if use_class_weights:
            first = np.cumsum([0, *totals.counts[:-1]])  # the first video of each class
            first = np.minimum(first, sum(totals.counts) - 1)  # the last classes may have none
            by_class = class_weights_of(totals.labels, fractions)[first]
            self.weights = by_class[videos.labels] * self.weights
            fractions = weighted_fractions(outputs.count)
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
            self.targets,
            self.weights,
            order=lambda epoch: batching.sampled_order(labels, sampling, seed=seed, epoch=epoch),
            batch_size=self._batch_size,
            first_epoch=first_epoch,
            replicas=replicas,
            part=part,
            augment=self._augmentation,
            seed=seed,
        )


def class_weights_of(labels: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Weight of each video for its class, float32 (N,): ``s_c / f_c``, where f_c is the fraction
    of its class in what an epoch draws and s_c the one that it shall have.

    Args:
        labels: int64 (N,).
        fractions: float64 (K,), see `batching.drawn_fractions`.
    """
    shares = weighted_fractions(len(fractions))
    return (shares / np.maximum(fractions, 1 / len(labels)))[labels].astype(np.float32)


def weighted_fractions(classes: int) -> np.ndarray:
    """The fraction of each class after class weights, float64 (K,): one half normal, the others
    equal. With 1 / K for each, a classifier of many classes would start from violence."""
    if classes == 1:
        return np.ones(1)
    return np.array([0.5, *[0.5 / (classes - 1)] * (classes - 1)])


def unscaled_recording_weights(groups: np.ndarray, weighting: str) -> np.ndarray:
    """``n^p``, float64 (N,), where n is the number of videos of a video's recording; see
    `recording_weights_of`."""
    _, recording, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return counts[recording] ** _RECORDING_POWERS[weighting]


def recording_weights_of(
    videos: FeatureDataset, weighting: str, totals: ClassTotals | None = None
) -> np.ndarray:
    """Weight of each video for its recording, float32 (N,), with mean 1 over each class.

    It is proportional to n^-1/2 for `sqrt` and to n^-1 for `balanced`, where n is the number of
    videos of its recording, and 1 for `natural`. Since each class has mean 1, the balance of the
    classes does not change.

    Args:
        videos: N videos.
        weighting: `natural`, `sqrt` or `balanced`.
        totals: Sums over more videos than these, over which the mean is 1.
    """
    weights = unscaled_recording_weights(videos.groups, weighting)
    totals = totals or ClassTotals.from_videos(videos, videos.labels.max() + 1, weighting)
    means = np.asarray(totals.recording_sums) / np.maximum(totals.counts, 1)
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
