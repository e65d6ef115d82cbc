"""What a training step is given: which videos an epoch draws, in which order and batches, and what
is done to them."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features.dataset import FeatureDataset, targets
from violence_detection.training.augmentations._batch import Augmentation, Batch

if TYPE_CHECKING:
    import tensorflow as tf

_GATHERED_AT_ONCE, _AUGMENTED_AT_ONCE, _READY = 8, 4, 2  # batches
_GATHERED_BYTES = 2**24


def epoch_order(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, int64 (count,): a function of the seed and the epoch alone, so
    that a resumed training sees what the uninterrupted one would have."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def steps_per_epoch(videos: int, batch_size: int) -> int:
    return math.ceil(videos / batch_size)


def drawn_shares(labels: np.ndarray, classes: int, sampling: str) -> np.ndarray:
    """Share of each class in what an epoch draws, float64 (K,): proportional to ``n_c`` for
    natural sampling, to ``sqrt(n_c)`` for sqrt, and equal for balanced."""
    counts = np.bincount(labels, minlength=classes)
    wanted = {"natural": counts, "sqrt": np.sqrt(counts), "balanced": counts > 0}
    return wanted[sampling] / wanted[sampling].sum()


def sampled_order(labels: np.ndarray, sampling: str, *, seed: int, epoch: int) -> np.ndarray:
    """What an epoch draws, in its order, int64 (N,), as a function of these arguments alone.

    Natural sampling is `epoch_order`. Otherwise the N draws are given to the classes by
    `drawn_shares`, rounded by the largest remainders, and no video of a class comes once more
    before the others of it have come as often.
    """
    if sampling == "natural":
        return epoch_order(len(labels), seed=seed, epoch=epoch)
    rng = np.random.default_rng((seed, epoch))
    numbers = _apportioned(drawn_shares(labels, 0, sampling), len(labels))
    drawn = [
        _in_rounds(np.flatnonzero(labels == kind), number, rng)
        for kind, number in enumerate(numbers)
    ]
    return rng.permutation(np.concatenate(drawn))


def _apportioned(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers nearest to ``shares * total`` that add up to `total`."""
    exact = shares * total
    numbers = exact.astype(np.int64)
    remainders = np.argsort(numbers - exact, kind="stable")
    numbers[remainders[: total - numbers.sum()]] += 1
    return numbers


def _in_rounds(rows: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """The first `number` of endless permutations of `rows`."""
    rounds = -(-number // len(rows)) if number else 0
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:number]


def reads_views(augment: str) -> bool:
    """Whether an augmentation in this spec chooses among views."""
    return augment != "none" and any(map(_reads_views, registry.parse(augment)))


def _reads_views(part: registry.Spec) -> bool:
    return getattr(registry.module("augmentations", part.name), "READS_VIEWS", False)


def check_augmentation(augment: str) -> None:
    """Whether each part takes its arguments, and comes where it can.

    Raises:
        ConfigError: If one does not.
    """
    for place, part in enumerate(registry.parse(augment) if augment != "none" else ()):
        known = ("clips", "views")
        registry.check_arguments("augmentations", str(part), known=known)
        if place and _reads_views(part):
            raise ConfigError(
                f"`{part.name}` must come first: it takes clips anew, and what was done before it "
                f"would be lost. Received: augment={augment}"
            )


def build_augmentation(augment: str, clips: FeatureDataset) -> Augmentation | None:
    """All that this spec does to a batch of training clips, in its order; None for `none`.

    Raises:
        ConfigError: If a part does not take its arguments, or wants views that are not there.
    """
    if augment == "none":
        return None
    check_augmentation(augment)
    context = {"clips": clips.features, "views": clips.views}
    steps = [
        registry.load("augmentations", str(part), **context) for part in registry.parse(augment)
    ]

    def all_steps(batch: Batch, rng: np.random.Generator) -> Batch:
        for step in steps:
            batch = step(batch, rng)
        return batch

    return all_steps


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
    clips: FeatureDataset,
    weights: np.ndarray,
    *,
    classes: int,
    order: Callable[[int], np.ndarray],
    batch_size: int,
    first_epoch: int = 1,
    replicas: int = 1,
    augment: Augmentation | None = None,
    seed: int = 0,
    share: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """One epoch of training batches after the other, without end: gathered a few at a time, and
    ready before they are asked for, the next epoch's first ones too.

    Args:
        clips: N videos.
        weights: float32 (N,), weight of each video.
        classes: K.
        order: What an epoch draws, N rows, see `sampled_order`.
        batch_size: Videos in a batch, over all replicas; no more than there are.
        first_epoch: The one to begin with.
        replicas: B is `batch_size` rounded up to a multiple of these.
        augment: What is done to each batch. It draws as a function of seed, epoch and the
            number of the batch, and sees the real videos only: neither a resumption nor the
            replicas change what it does.
        seed: Of what it draws.
        share: Which part of each batch to give: its number, of how many equal ones, B / M.

    Returns:
        Dataset of features (B / M, T, D), float16 as they are kept, or float32 where they are
        augmented; targets float32 (B / M, 1 or K); and weights float32 (B / M,) divided by the
        number of real videos in the whole batch.
    """
    import tensorflow as tf

    # Of more, the rest would be rows that fill up: time and memory for nothing.
    batch_size = min(batch_size, len(clips))
    width = -(-batch_size // replicas) * replicas
    number, of = share
    part = slice(number * width // of, (number + 1) * width // of)
    goals = targets(clips.labels, classes)
    drawn = _Drawn(
        clips,
        goals,
        weights,
        order=order,
        batch_size=batch_size,
        replicas=replicas,
        first_epoch=first_epoch,
    )
    whole = augment is not None  # whose clips are mixed
    gathered = slice(0, width) if whole else part
    videos = gathered.stop - gathered.start
    at_once = _GATHERED_BYTES // (videos * math.prod(clips.features.shape[1:]) * 2)
    at_once = min(max(at_once, 1), _GATHERED_AT_ONCE)

    def gather(first):
        function = functools.partial(drawn.gather, count=at_once, part=gathered)
        kinds = (tf.float16, tf.float32, tf.float32)
        return in_shape(tf.numpy_function(function, (first,), kinds), at_once, videos)

    def change(number, batch):
        # TensorFlow brings features to float32 ten times as fast as NumPy.
        arguments = (number, tf.cast(batch[0], tf.float32), *batch[1:])
        function = functools.partial(drawn.augment, augment, seed=seed, part=part)
        kinds = (tf.float32, tf.float32, tf.float32)
        changed = tf.numpy_function(function, arguments, kinds)
        return in_shape(changed, part.stop - part.start)

    def in_shape(batch, *sizes):
        shapes = (clips.features.shape[1:], goals.shape[1:], ())
        for one, shape in zip(batch, shapes, strict=True):
            one.set_shape((*sizes, *shape))
        return tuple(batch)

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Each call of Python holds the training's own thread up, so that several batches come by one.
    dataset = tf.data.Dataset.counter(step=at_once).map(gather).prefetch(1).unbatch()
    if augment is not None:
        dataset = dataset.enumerate().map(change, _AUGMENTED_AT_ONCE)
    return dataset.prefetch(_READY).with_options(options)


class _Drawn:
    """The batches of all epochs, each by its number from 0 on."""

    def __init__(
        self,
        clips: FeatureDataset,
        goals: np.ndarray,
        weights: np.ndarray,
        *,
        order: Callable[[int], np.ndarray],
        batch_size: int,
        replicas: int,
        first_epoch: int,
    ) -> None:
        self._clips, self._goals, self._weights = clips, goals, weights
        self._order, self._first_epoch = order, first_epoch
        self._batch_size, self._replicas = batch_size, replicas
        self._steps = steps_per_epoch(len(clips), batch_size)
        # Two: what is made ready may be of the next epoch already.
        self._epoch = functools.lru_cache(maxsize=2)(self._batches_of)

    def gather(self, first: int, *, count: int, part: slice) -> tuple[np.ndarray, ...]:
        """Features, targets and weights of a part of some batches, (count, videos, ...)."""
        rows, weights = [], []
        for number in range(first, first + count):
            _, _, drawn, real = self._place(number)
            rows.append(drawn[part])
            weights.append((self._weights[drawn] * (real / real.sum()))[part])
        features = self._clips.features[np.concatenate(rows)]
        features = features.reshape(count, -1, *features.shape[1:])
        return features, self._goals[np.stack(rows)], np.stack(weights)

    def augment(
        self,
        augment: Augmentation,
        number: int,
        *batch: np.ndarray,
        seed: int,
        part: slice,
    ) -> list[np.ndarray]:
        """A part of the batch, after something was done to the real videos of the whole."""
        epoch, step, rows, real = self._place(number)
        count = np.count_nonzero(real)
        # 0 in place of the step would be the stream of `epoch_order`.
        rng = np.random.default_rng((seed, epoch, 1 + step))
        changed = augment(Batch(*(one[:count] for one in batch), rows[:count]), rng)
        return [
            np.concatenate([one, rest[count:]])[part]
            for one, rest in zip(changed, batch, strict=False)
        ]

    def _place(self, number: int) -> tuple[int, int, np.ndarray, np.ndarray]:
        """Its epoch, its step in there, its rows and which of them are real."""
        epochs, step = divmod(int(number), self._steps)
        epoch = self._first_epoch + epochs
        return (epoch, step, *self._epoch(epoch)[step])

    def _batches_of(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        order = self._order(epoch)
        return list(batch_indices(order, self._batch_size, self._replicas))
