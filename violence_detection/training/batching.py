"""Batches of training clips: sampling, order, augmentation, and the tf.data pipeline."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.training.augmentations._batch import Augmentation, Batch

if TYPE_CHECKING:
    import tensorflow as tf

_GATHERED_AT_ONCE, _AUGMENTED_AT_ONCE, _READY = 8, 4, 2  # batches
_GATHERED_BYTES = 2**24


def epoch_order(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of the videos in an epoch, int64 (count,).

    It is a function of the seed and the epoch alone, so that a resumed training draws the same
    batches as one that was not interrupted.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def steps_per_epoch(videos: int, batch_size: int) -> int:
    return math.ceil(videos / batch_size)


def drawn_fractions(labels: np.ndarray, classes: int, sampling: str) -> np.ndarray:
    """The fraction of each class in what an epoch draws, float64 (K,).

    It is proportional to ``n_c``, the videos of the class, for natural sampling, to ``sqrt(n_c)``
    for sqrt, and equal for balanced.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = {"natural": counts, "sqrt": np.sqrt(counts), "balanced": counts > 0}
    return weights[sampling] / weights[sampling].sum()


def sampled_order(labels: np.ndarray, sampling: str, *, seed: int, epoch: int) -> np.ndarray:
    """The rows that an epoch draws, in order, int64 (N,): a function of these arguments alone.

    Natural sampling is `epoch_order`. Otherwise `drawn_fractions`, rounded by the largest
    remainders, says how many of the N draws each class gets. Within a class the draws go through
    all of its videos before any video is drawn again.
    """
    if sampling == "natural":
        return epoch_order(len(labels), seed=seed, epoch=epoch)
    rng = np.random.default_rng((seed, epoch))
    numbers = _apportioned(drawn_fractions(labels, 0, sampling), len(labels))
    drawn = [
        _in_rounds(np.flatnonzero(labels == label), number, rng)
        for label, number in enumerate(numbers)
    ]
    return rng.permutation(np.concatenate(drawn))


def _apportioned(fractions: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers nearest to ``fractions * total`` that add up to `total`."""
    exact = fractions * total
    numbers = exact.astype(np.int64)
    remainders = np.argsort(numbers - exact, kind="stable")
    numbers[remainders[: total - numbers.sum()]] += 1
    return numbers


def _in_rounds(rows: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """The first `number` of endless permutations of `rows`."""
    rounds = -(-number // len(rows)) if number else 0
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:number]


def reads_views(augment: str) -> bool:
    """True if an augmentation of this spec chooses among cached views."""
    return augment != "none" and any(map(_reads_views, registry.parse(augment)))


def further_views(augment: str) -> int:
    """The number of further views of each video that an augmentation needs in the features.

    Args:
        augment: Spec of the augmentation.
    """
    return 1 if reads_views(augment) else 0


def _reads_views(part: registry.Spec) -> bool:
    return getattr(registry.module("augmentations", part.name), "READS_VIEWS", False)


def check_augmentation(augment: str, *, in_segments: bool = False) -> None:
    """Checks the arguments and the order of the augmentations of a spec.

    Args:
        augment: The spec.
        in_segments: The features are of videos in segments.

    Raises:
        ConfigError: If a part does not take its arguments, replaces clips after another part has
            changed them, or mixes videos that are in segments.
    """
    for place, part in enumerate(registry.parse(augment) if augment != "none" else ()):
        registry.check_arguments("augmentations", str(part))
        if place and _reads_views(part):
            raise ConfigError(
                f"`{part.name}` must come first: it replaces clips, and earlier changes would be "
                f"lost. Received: augment={augment}"
            )
        if in_segments and getattr(registry.module("augmentations", part.name), "MIXES", False):
            raise ConfigError(
                f"`augment` must not have {part.name} for features in segments: which segment of "
                "a violent video is violent is not known, so a mixture has no label. Received: "
                f"augment={augment}"
            )


def build_augmentation(augment: str, clips: FeatureDataset) -> Augmentation | None:
    """A function that applies the augmentations of a spec in order; None for `none`.

    Raises:
        ConfigError: If a part does not take its arguments, needs views that are not cached, or
            mixes videos that are in segments.
    """
    if augment == "none":
        return None
    in_segments = len(clips.features.shape) == 4
    check_augmentation(augment, in_segments=in_segments)
    context = {"clips": clips.features, "views": clips.views}
    steps = []
    for part in registry.parse(augment):
        step = registry.load("augmentations", str(part), **context)
        if in_segments and not _reads_views(part):
            step = _on_segments(step)
        steps.append(step)

    def all_steps(batch: Batch, rng: np.random.Generator) -> Batch:
        for step in steps:
            batch = step(batch, rng)
        return batch

    return all_steps


def _on_segments(step: Augmentation) -> Augmentation:
    """An augmentation of clips that changes each segment of a video, (B, N, T, D), by itself."""

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        shape = batch.features.shape
        segments = batch._replace(features=batch.features.reshape(-1, *shape[2:]))
        return batch._replace(features=step(segments, rng).features.reshape(shape))

    return augment


def batch_indices(
    order: np.ndarray, batch_size: int, replicas: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of each batch, and which of them are real.

    Every batch has B rows, `batch_size` rounded up to a multiple of `replicas`. A short batch is
    padded with row 0 marked 0.0, so that shapes are static and every replica gets as many rows.

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
    clips: FeatureDataset,
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    order: Callable[[int], np.ndarray],
    batch_size: int,
    first_epoch: int = 1,
    replicas: int = 1,
    augment: Augmentation | None = None,
    seed: int = 0,
    part: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """Training batches of one epoch after the other, without end.

    Several batches are gathered at a time and prefetched, the first batches of the next epoch
    included.

    Args:
        clips: N videos.
        targets: float32 (N, C), see `OutputSet.targets`.
        weights: float32 (N,), weight of each video.
        order: The N rows that an epoch draws, see `sampled_order`.
        batch_size: Videos in a batch, over all replicas; at most N are used.
        first_epoch: The epoch to begin with.
        replicas: B is `batch_size` rounded up to a multiple of these.
        augment: Changes each batch. Its generator is a function of seed, epoch and the number of
            the batch, and it gets the real videos only: neither a resumed training nor the
            number of replicas changes its output.
        seed: Seed of the augmentation.
        part: The part of each batch to return: its number, of M equal parts.

    Returns:
        Dataset of features (B / M, T, D), float16 as cached, or float32 if augmented; targets
        float32 (B / M, C); and weights float32 (B / M,) divided by the number of real videos
        in the whole batch.
    """
    import tensorflow as tf

    # A larger batch would be padding: time and memory for nothing.
    batch_size = min(batch_size, len(clips))
    width = -(-batch_size // replicas) * replicas
    number, parts = part
    own_rows = slice(number * width // parts, (number + 1) * width // parts)
    source = _BatchSource(
        clips,
        targets,
        weights,
        order=order,
        batch_size=batch_size,
        replicas=replicas,
        first_epoch=first_epoch,
    )
    # An augmentation may mix any two clips of a batch, so it needs the whole batch.
    gathered = own_rows if augment is None else slice(0, width)
    videos = gathered.stop - gathered.start
    at_once = _GATHERED_BYTES // (videos * math.prod(clips.features.shape[1:]) * 2)
    at_once = min(max(at_once, 1), _GATHERED_AT_ONCE)

    def gather(first):
        function = functools.partial(source.gather, count=at_once, rows=gathered)
        dtypes = (tf.float16, tf.float32, tf.float32)
        return with_shapes(tf.numpy_function(function, (first,), dtypes), at_once, videos)

    def change(number, batch):
        # TensorFlow converts features to float32 ten times as fast as NumPy.
        arguments = (number, tf.cast(batch[0], tf.float32), *batch[1:])
        function = functools.partial(source.augment, augment, seed=seed, rows=own_rows)
        dtypes = (tf.float32, tf.float32, tf.float32)
        changed = tf.numpy_function(function, arguments, dtypes)
        return with_shapes(changed, own_rows.stop - own_rows.start)

    def with_shapes(batch, *sizes):
        shapes = (clips.features.shape[1:], targets.shape[1:], ())
        for tensor, shape in zip(batch, shapes, strict=True):
            tensor.set_shape((*sizes, *shape))
        return tuple(batch)

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Each call of Python holds the thread of the training up: one call gathers several batches.
    dataset = tf.data.Dataset.counter(step=at_once).map(gather).prefetch(1).unbatch()
    if augment is not None:
        dataset = dataset.enumerate().map(change, _AUGMENTED_AT_ONCE)
    return dataset.prefetch(_READY).with_options(options)


class _BatchSource:
    """The batches of all epochs as arrays, by their number from 0."""

    def __init__(
        self,
        clips: FeatureDataset,
        targets: np.ndarray,
        weights: np.ndarray,
        *,
        order: Callable[[int], np.ndarray],
        batch_size: int,
        replicas: int,
        first_epoch: int,
    ) -> None:
        self._clips, self._targets, self._weights = clips, targets, weights
        self._order, self._first_epoch = order, first_epoch
        self._batch_size, self._replicas = batch_size, replicas
        self._steps = steps_per_epoch(len(clips), batch_size)
        # Two epochs: prefetched batches may already be of the next one.
        self._epoch = functools.lru_cache(maxsize=2)(self._batches_of)

    def gather(self, first: int, *, count: int, rows: slice) -> tuple[np.ndarray, ...]:
        """Features, targets and weights of these rows of some batches, (count, videos, ...)."""
        gathered, weights = [], []
        for number in range(first, first + count):
            _, _, drawn, real = self._locate(number)
            gathered.append(drawn[rows])
            weights.append((self._weights[drawn] * (real / real.sum()))[rows])
        features = self._clips.features[np.concatenate(gathered)]
        features = features.reshape(count, -1, *features.shape[1:])
        return features, self._targets[np.stack(gathered)], np.stack(weights)

    def augment(
        self,
        augment: Augmentation,
        number: int,
        *batch: np.ndarray,
        seed: int,
        rows: slice,
    ) -> list[np.ndarray]:
        """These rows of a batch, after the real videos of the whole batch were augmented."""
        epoch, step, drawn, real = self._locate(number)
        count = np.count_nonzero(real)
        # Step 0 is not used: (seed, epoch, 0) is the stream of `epoch_order`.
        rng = np.random.default_rng((seed, epoch, 1 + step))
        changed = augment(Batch(*(array[:count] for array in batch), drawn[:count]), rng)
        return [
            np.concatenate([array, padded[count:]])[rows]
            for array, padded in zip(changed, batch, strict=False)
        ]

    def _locate(self, number: int) -> tuple[int, int, np.ndarray, np.ndarray]:
        """The epoch of a batch, its step in the epoch, its rows, and which of them are real."""
        epochs, step = divmod(int(number), self._steps)
        epoch = self._first_epoch + epochs
        return (epoch, step, *self._epoch(epoch)[step])

    def _batches_of(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        order = self._order(epoch)
        return list(batch_indices(order, self._batch_size, self._replicas))
