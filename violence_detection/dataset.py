"""What training and evaluation read: the features of a split, and batches of them."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection import packed, parts
from violence_detection.augmentations._batch import Augmentation, Batch
from violence_detection.cache import Entry, FeatureCache
from violence_detection.errors import CacheError, ConfigError
from violence_detection.kept_splits import KeptSplits
from violence_detection.packed import Rows

if TYPE_CHECKING:
    import tensorflow as tf


_AUGMENTED_AT_ONCE = 4  # batches


@dataclass(frozen=True)
class Clips:
    """Features and labels of some videos.

    Attributes:
        features: float16 (N, T, D), indexed by numbers of rows or by slices; of a cache, they
            are in memory only once they are asked for.
        labels: int64 (N,), index in the classes; 0 is the normal one.
        entries: The N rows of the manifest.
        views: The features of the same videos in further views, where they were asked for.
    """

    features: np.ndarray | Rows
    labels: np.ndarray
    entries: tuple[Entry, ...]
    views: tuple[np.ndarray | Rows, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def groups(self) -> np.ndarray:
        """The recording of each video, (N,)."""
        return np.array([entry.group for entry in self.entries], dtype=object)

    def take(self, rows: Sequence[int]) -> Self:
        """Some of them, in this order."""
        rows = np.asarray(rows, np.int64)
        return dataclasses.replace(
            self,
            features=Rows(self.features, rows),
            labels=self.labels[rows],
            entries=tuple(self.entries[row] for row in rows),
            views=tuple(Rows(view, rows) for view in self.views),
        )


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
    """The features of some videos, each checked against its digest; see `packed`.

    Raises:
        CacheError: If an array is missing or altered, or a label is not in `classes`.
    """
    for entry in entries:
        if entry.label not in classes:
            raise CacheError(
                f"Labels must be among {', '.join(classes)}. Received: {entry.label} ({entry.path})"
            )
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    return Clips(packed.read(cache, entries), labels, tuple(entries))


def view_count(entries: Sequence[Entry]) -> int:
    """Further views that every one of some videos has, >= 1.

    Raises:
        ConfigError: If there are none.
    """
    count = min(len(entry.digests) - 1 for entry in entries)
    if not count:
        raise ConfigError(
            "The augmentation `views` must have views to choose among. Received: features "
            "without any (extract-features --views N keeps them)"
        )
    return count


def with_views(cache: FeatureCache, clips: Clips) -> Clips:
    """Clips of a cache, with the further views that all of them have.

    Raises:
        ConfigError: If there are none.
        CacheError: If an array is missing or altered.
    """
    numbers = range(1, 1 + view_count(clips.entries))
    views = tuple(packed.read(cache, clips.entries, view) for view in numbers)
    return dataclasses.replace(clips, views=views)


def targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """What a loss compares logits with: float32 (N, 1) for two classes, else one-hot (N, K)."""
    if classes == 2:
        return labels[:, None].astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels]


def epoch_order(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, int64 (count,): a function of the seed and the epoch alone, so
    that a resumed training sees what the uninterrupted one would have."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def drawn_shares(labels: np.ndarray, classes: int, sampling: str) -> np.ndarray:
    """Share of each class in what an epoch draws, float64 (K,): proportional to ``n_c`` for
    natural sampling, to ``sqrt(n_c)`` for sqrt, and equal for balanced."""
    counts = np.bincount(labels, minlength=classes)
    wanted = {"natural": counts, "sqrt": np.sqrt(counts), "balanced": counts > 0}
    return wanted[sampling] / wanted[sampling].sum()


def sampled_order(
    labels: np.ndarray, sampling: str, *, seed: int, epoch: int
) -> np.ndarray:
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
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[
        :number
    ]


def reads_views(augment: str) -> bool:
    """Whether an augmentation in this spec chooses among views."""
    return augment != "none" and any(map(_reads_views, parts.parse(augment)))


def _reads_views(part: parts.Spec) -> bool:
    return getattr(parts.module("augmentations", part.name), "READS_VIEWS", False)


def check_augmentation(augment: str) -> None:
    """Whether each part takes its arguments, and comes where it can.

    Raises:
        ConfigError: If one does not.
    """
    for place, part in enumerate(parts.parse(augment) if augment != "none" else ()):
        known = ("clips", "views")
        parts.check_arguments("augmentations", str(part), known=known)
        if place and _reads_views(part):
            raise ConfigError(
                f"`{part.name}` must come first: it takes clips anew, and what was done before it "
                f"would be lost. Received: augment={augment}"
            )


def augmentation(augment: str, clips: Clips) -> Augmentation | None:
    """All that this spec does to a batch of training clips, in its order; None for `none`.

    Raises:
        ConfigError: If a part does not take its arguments, or wants views that are not there.
    """
    if augment == "none":
        return None
    check_augmentation(augment)
    context = {"clips": clips.features, "views": clips.views}
    steps = [
        parts.load("augmentations", str(part), **context)
        for part in parts.parse(augment)
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
    clips: Clips,
    weights: np.ndarray,
    *,
    classes: int,
    order: np.ndarray,
    batch_size: int,
    replicas: int = 1,
    augment: Augmentation | None = None,
    seed: int = 0,
    epoch: int = 0,
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
        augment: What is done to each batch. It draws as a function of seed, epoch and the
            number of the batch, and sees the real videos only: neither a resumption nor the
            replicas change what it does.
        seed, epoch: Of what it draws.
        share: Which part of each batch to gather: its number, of how many equal ones, B / M.

    Returns:
        Dataset of features float32 (B / M, T, D), targets float32 (B / M, 1 or K), and weights
        float32 (B / M,) divided by the number of real videos in the whole batch.
    """
    import tensorflow as tf

    goals = targets(clips.labels, classes)
    shape = clips.features.shape[1:]

    def gather(rows: np.ndarray, real: np.ndarray):
        return clips.features[rows], goals[rows], weights[rows] * real

    def gather_in_graph(number, rows, real):
        kinds = (tf.float16, tf.float32, tf.float32)
        features, *others = tf.numpy_function(gather, (rows, real), kinds)
        # TensorFlow does this ten times as fast as NumPy.
        features = tf.cast(features, tf.float32)
        return (number, rows, real), in_shape(features, *others)

    def augmented(number, rows, real, *batch: np.ndarray):
        count = np.count_nonzero(real)
        # 0 in place of the number would be the stream of `epoch_order`.
        rng = np.random.default_rng((seed, epoch, 1 + number))
        changed = augment(Batch(*(part[:count] for part in batch), rows[:count]), rng)
        return [
            np.concatenate([part, rest[count:]]) if count < len(rows) else part
            for part, rest in zip(changed, batch, strict=False)
        ]

    def augmented_in_graph(which, batch):
        kinds = (tf.float32, tf.float32, tf.float32)
        return in_shape(*tf.numpy_function(augmented, (*which, *batch), kinds))

    def in_shape(features, goal, weight):
        features.set_shape((width, *shape))
        goal.set_shape((width, goals.shape[1]))
        weight.set_shape((width,))
        return features, goal, weight

    rows, real = map(
        np.stack, zip(*batch_indices(order, batch_size, replicas), strict=True)
    )
    real = real / real.sum(1, keepdims=True)
    number, of = share
    if augment is None:  # else the whole batch is needed: its clips are mixed
        rows, real = (np.split(one, of, axis=1)[number] for one in (rows, real))
    width = rows.shape[1]
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    dataset = tf.data.Dataset.from_tensor_slices((np.arange(len(rows)), rows, real))
    dataset = dataset.map(gather_in_graph)
    if augment is None:
        dataset = dataset.map(lambda which, batch: batch)
    else:
        dataset = dataset.map(augmented_in_graph, num_parallel_calls=_AUGMENTED_AT_ONCE)
        mine = slice(number * width // of, (number + 1) * width // of)
        dataset = dataset.map(lambda *batch: tuple(part[mine] for part in batch))
    return dataset.prefetch(4).with_options(options)
