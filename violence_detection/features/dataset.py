"""The features and labels of videos, as training and evaluation read them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features import packed
from violence_detection.features.cache import FeatureCache
from violence_detection.features.packed import LazyRows


@dataclass(frozen=True)
class FeatureDataset:
    """Features and labels of some videos.

    Attributes:
        features: float16 (N, T, D), indexed by row numbers or slices; those of a cache are
            read when they are indexed.
        labels: int64 (N,), index in the classes; 0 is the normal class.
        entries: The N rows of the manifest.
        views: The features of the same videos in further views, if these were read.
    """

    features: np.ndarray | LazyRows
    labels: np.ndarray
    entries: tuple[ManifestEntry, ...]
    views: tuple[np.ndarray | LazyRows, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def groups(self) -> np.ndarray:
        """The recording of each video, (N,)."""
        return np.array([entry.group for entry in self.entries], dtype=object)

    def take(self, rows: Sequence[int]) -> Self:
        """The videos of some rows, in this order."""
        rows = np.asarray(rows, np.int64)
        return dataclasses.replace(
            self,
            features=LazyRows(self.features, rows),
            labels=self.labels[rows],
            entries=tuple(self.entries[row] for row in rows),
            views=tuple(LazyRows(view, rows) for view in self.views),
        )


def usable_entries(cache: FeatureCache) -> list[ManifestEntry]:
    """Rows of the videos that have an array.

    Raises:
        CacheError: If the extraction was not finished, or nothing is usable.
    """
    record = cache.record()
    if not record.complete:
        reason = record.stopped or "interrupted"
        raise CacheError(
            f"Features must be of a finished extraction. Received: {cache.dir} (start "
            f"extract-features again; it was stopped: {reason})"
        )
    # All feature spaces of a dataset share a split: an extraction into another may have redrawn it.
    kept = SplitStore(cache.dir.parent).split_by_key()
    entries = [
        dataclasses.replace(entry, split=kept.get(entry.path, entry.split))
        for entry in cache.entries()
        if entry.usable
    ]
    if not entries:
        raise CacheError(f"There must be features of at least one video. Received: {cache.dir}")
    return entries


def has_all_recordings(cache: FeatureCache) -> bool:
    """True if the recording of every video was named at extraction."""
    return cache.record().has_all_recordings


def read_dataset(
    cache: FeatureCache, entries: Sequence[ManifestEntry], classes: Sequence[str]
) -> FeatureDataset:
    """The features and labels of some videos; each array is checked against its digest.

    Raises:
        CacheError: If an array is missing or altered, or a label is not in `classes`.
    """
    for entry in entries:
        if entry.label not in classes:
            raise CacheError(
                f"Labels must be among {', '.join(classes)}. Received: {entry.label} ({entry.path})"
            )
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    return FeatureDataset(packed.read_packed(cache, entries), labels, tuple(entries))


def view_count(entries: Sequence[ManifestEntry]) -> int:
    """The number of further views that all of some videos have, >= 1.

    Raises:
        ConfigError: If it is 0.
    """
    count = min(len(entry.digests) - 1 for entry in entries)
    if not count:
        raise ConfigError(
            "The augmentation `views` must have views to choose among. Received: features "
            "without any (extract-features --views N keeps them)"
        )
    return count


def with_views(cache: FeatureCache, clips: FeatureDataset) -> FeatureDataset:
    """The same videos, with the further views that all of them have.

    Raises:
        ConfigError: If there are no further views.
        CacheError: If an array is missing or altered.
    """
    numbers = range(1, 1 + view_count(clips.entries))
    views = tuple(packed.read_packed(cache, clips.entries, view) for view in numbers)
    return dataclasses.replace(clips, views=views)


def balanced_rows(labels: np.ndarray, most: int, *, proportional: bool = False) -> np.ndarray:
    """About `most` rows, int64, class by class, evenly spaced within each class.

    Args:
        labels: Class of each of N videos, (N,).
        most: Rows wanted; all rows of a class that has fewer.
        proportional: Take the same fraction of each class, not the same number.

    Returns:
        At least one row of each class that has videos.
    """
    rows_by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    fraction = min(1.0, most / max(1, len(labels)))
    chosen = [np.zeros(0, np.int64)]
    for rows in rows_by_class:
        wanted = fraction * len(rows) if proportional else most / len(rows_by_class)
        count = min(len(rows), max(1, int(wanted)))
        chosen.append(rows[np.linspace(0, len(rows) - 1, count).astype(int)])
    return np.concatenate(chosen)
