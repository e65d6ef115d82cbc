"""What training and evaluation read: the features of a split, and batches of them."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.cache import Entry, FeatureCache
from violence_detection.errors import CacheError
from violence_detection.kept_splits import KeptSplits

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Clips:
    """Features and labels of some videos.

    Attributes:
        features: float16 (N, T, D).
        labels: int64 (N,), index in the classes; 0 is the normal one.
        entries: The N rows of the manifest.
    """

    features: np.ndarray
    labels: np.ndarray
    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def groups(self) -> np.ndarray:
        """The recording of each video, (N,)."""
        return np.array([entry.group for entry in self.entries], dtype=object)


def usable_entries(cache: FeatureCache) -> list[Entry]:
    """Rows of the videos that have an array.

    Raises:
        CacheError: If the extraction was not finished, or nothing is usable.
    """
    settings = cache.settings()
    if not settings.get("complete"):
        reason = settings.get("stopped", "interrupted")
        raise CacheError(
            f"Features must be of a finished extraction. Received: {cache.dir} (start "
            f"extract-features again; it was stopped: {reason})"
        )
    # One split for all feature spaces of a dataset: it may have been redrawn through another.
    kept = KeptSplits(cache.dir.parent).read()
    entries = [
        dataclasses.replace(entry, split=kept.get(entry.path, entry.split))
        for entry in cache.entries()
        if entry.usable
    ]
    if not entries:
        raise CacheError(
            f"There must be features of at least one video. Received: {cache.dir}"
        )
    return entries


def read_clips(
    cache: FeatureCache, entries: Sequence[Entry], classes: Sequence[str]
) -> Clips:
    """Read the arrays of some videos, each checked against its digest.

    Raises:
        CacheError: If an array is missing or altered, or a label is not in `classes`.
    """
    space = cache.space()
    shape = (space.frames, space.dim)
    features = np.empty((len(entries), *shape), np.float16)
    for row, entry in enumerate(entries):
        if entry.label not in classes:
            raise CacheError(
                f"Labels must be among {', '.join(classes)}. Received: {entry.label} ({entry.path})"
            )
        features[row] = cache.read_array(entry, shape)
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    return Clips(features, labels, tuple(entries))


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """What a loss compares logits with: float32 (N, 1) for two classes, else one-hot (N, K)."""
    if classes == 2:
        return labels[:, None].astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels]


def epoch_order(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, int64 (count,): a function of the seed and the epoch alone, so
    that a resumed training sees what the uninterrupted one would have."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def batch_indices(
    order: np.ndarray, batch_size: int, replicas: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of each batch, and which of them count.

    Every batch has B rows, `batch_size` rounded up to a multiple of `replicas`: it is filled
    up with row 0 and 0.0, so that shapes are static and every replica gets its share.

    Yields:
        indices int64 (B,), real float32 (B,) of 0.0 and 1.0.
    """
    width = -(-batch_size // replicas) * replicas
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        empty = width - len(rows)
        yield (
            np.pad(rows, (0, empty)),
            np.pad(np.ones(len(rows), np.float32), (0, empty)),
        )


def batches(
    clips: Clips,
    weights: np.ndarray,
    *,
    classes: int,
    order: np.ndarray,
    batch_size: int,
    replicas: int = 1,
    share: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """An epoch of training batches, gathered a batch at a time and prefetched.

    Args:
        clips: N videos.
        weights: float32 (N,), weight of each video.
        classes: K.
        order: From `epoch_order`.
        batch_size: Videos in a batch, over all replicas.
        replicas: B is `batch_size` rounded up to a multiple of these.
        share: Which part of each batch to gather: its number, of how many equal ones, B / M.

    Returns:
        Dataset of features float32 (B / M, T, D), targets float32 (B / M, 1 or K), and weights
        float32 (B / M,) divided by the number of real videos in the whole batch.
    """
    import tensorflow as tf

    goals = targets(clips.labels, classes)
    shape = clips.features.shape[1:]

    def gather(rows: np.ndarray, real: np.ndarray):
        return (
            clips.features[rows].astype(np.float32),
            goals[rows],
            weights[rows] * real,
        )

    def gather_in_graph(rows, real):
        kinds = (tf.float32, tf.float32, tf.float32)
        features, goal, weight = tf.numpy_function(gather, (rows, real), kinds)
        features.set_shape((rows.shape[0], *shape))
        goal.set_shape((rows.shape[0], goals.shape[1]))
        weight.set_shape((rows.shape[0],))
        return features, goal, weight

    rows, real = map(
        np.stack, zip(*batch_indices(order, batch_size, replicas), strict=True)
    )
    number, of = share
    real = real / real.sum(1, keepdims=True)
    rows, real = (np.split(one, of, axis=1)[number] for one in (rows, real))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    dataset = tf.data.Dataset.from_tensor_slices((rows, real))
    return dataset.map(gather_in_graph).prefetch(4).with_options(options)
