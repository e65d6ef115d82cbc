"""What training and evaluation read: the features and labels of a split."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.split_store import SplitStore
from violence_detection.errors import (
    CacheError,
    ConfigError,
)
from violence_detection.features import packed
from violence_detection.features.cache import FeatureCache
from violence_detection.features.packed import LazyRows


@dataclass(frozen=True)
class FeatureDataset:
    """Features and labels of some videos.

    Attributes:
        features: float16 (N, T, D), indexed by numbers of rows or by slices; of a cache, they
            are in memory only once they are asked for.
        labels: int64 (N,), index in the classes; 0 is the normal one.
        entries: The N rows of the manifest.
        views: The features of the same videos in further views, where they were asked for.
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
        """Some of them, in this order."""
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
    settings = cache.settings()
    if not settings.get("complete"):
        reason = settings.get("stopped", "interrupted")
        raise CacheError(
            f"Features must be of a finished extraction. Received: {cache.dir} (start "
            f"extract-features again; it was stopped: {reason})"
        )
    # One split for all feature spaces of a dataset: it may have been redrawn through another.
    kept = SplitStore(cache.dir.parent).read()
    entries = [
        dataclasses.replace(entry, split=kept.get(entry.path, entry.split))
        for entry in cache.entries()
        if entry.usable
    ]
    if not entries:
        raise CacheError(f"There must be features of at least one video. Received: {cache.dir}")
    return entries


def has_all_recordings(cache: FeatureCache) -> bool:
    """Whether the recording of every video is known."""
    settings = cache.settings()
    return settings.get("grouping") != "none" and not settings.get("ungrouped")


def read_dataset(
    cache: FeatureCache, entries: Sequence[ManifestEntry], classes: Sequence[str]
) -> FeatureDataset:
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
    return FeatureDataset(packed.read_packed(cache, entries), labels, tuple(entries))


def view_count(entries: Sequence[ManifestEntry]) -> int:
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


def with_views(cache: FeatureCache, clips: FeatureDataset) -> FeatureDataset:
    """Clips of a cache, with the further views that all of them have.

    Raises:
        ConfigError: If there are none.
        CacheError: If an array is missing or altered.
    """
    numbers = range(1, 1 + view_count(clips.entries))
    views = tuple(packed.read_packed(cache, clips.entries, view) for view in numbers)
    return dataclasses.replace(clips, views=views)
