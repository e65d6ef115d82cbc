"""Trivial answers to compare a classifier with: what its features alone, the files alone, the
background alone and the motion alone give.

A classifier that is no better than the file's metadata or the background may have learned where
its videos come from, and not what violence looks like.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_summary import VideoSummaries
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import linear_baseline

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

log = logging.getLogger(__name__)

# What no classifier should owe its answers to: the source of a video.
SOURCES = ("metadata", "mean_picture")
_TREES = 100


class Baselines:
    """Baselines on the same videos as a classifier; each learns anew for every fold.

    ``linear``: logistic regression (C = 1) on the standardised mean, deviation and mean
    absolute difference over time of the features. ``metadata``: 100 trees on what the
    container says: bytes, duration, frames/s, bytes per second, and width and height where
    the videos are there. ``mean_picture`` and ``motion_energy``: the same regression as
    ``linear`` on 16 x 16 pixels of the mean picture, and on how much moves. ``majority``: the
    commonest class.

    Attributes:
        names: In the order in which they are told.
        notes: What is left out, and why.
    """

    def __init__(
        self,
        clips: FeatureDataset,
        classes: int,
        sights: VideoSummaries | str,
        seen: np.ndarray | None = None,
    ) -> None:
        """
        Args:
            clips: All N videos.
            classes: K.
            sights: Of the videos, or why there are none.
            seen: int64 (M,), the rows that `sights` are of, if not of all.
        """
        self._labels, self._classes = clips.labels, classes
        self._tables = {
            "linear": np.concatenate(
                list(linear_baseline.pooled_blocks(clips, np.arange(len(clips))))
            ),
            "metadata": container_metadata(clips.entries),
        }
        self.notes: list[str] = []
        if isinstance(sights, str):
            self.notes.append(
                "The baselines mean_picture and motion_energy are left out, and metadata goes "
                f"without width and height: {sights}."
            )
        else:
            rows = np.arange(len(clips)) if seen is None else seen
            self._tables["metadata"] = np.hstack(
                [self._tables["metadata"], _scatter_rows(sights.sizes, rows, len(clips))]
            )
            for name, table in (
                ("mean_picture", sights.mean_images.reshape(len(rows), -1)),
                ("motion_energy", motion_statistics(sights)),
            ):
                self._tables[name] = _scatter_rows(table, rows, len(clips))
        self.names = [*self._tables, "majority"]

    def answers(self, name: str, train: np.ndarray, test: np.ndarray, *, seed: int) -> np.ndarray:
        """Probabilities of one baseline.

        Args:
            name: Of `names`.
            train: Rows to learn from; every class is among those that were seen.
            test: M rows to answer for.
            seed: Of what it draws.

        Returns:
            float64 (M, K), rows sum to 1.
        """
        if name != "majority":
            train = train[np.isfinite(self._tables[name][train]).all(axis=1)]
        labels = self._labels[train]
        if name == "majority":
            commonest = np.bincount(labels, minlength=self._classes).argmax()
            return np.eye(self._classes)[np.full(len(test), commonest)]
        table = self._tables[name]
        if name == "metadata":
            fit = _forest_fit(table[train], labels, seed)
        else:
            fit = linear_baseline.fit_logistic_regression(table[train], labels)
        return fit.predict_proba(table[test])


def _scatter_rows(table: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """float (N, F), of a table (M, F) that is of some rows; NaN in the others."""
    whole = np.full((count, table.shape[1]), np.nan, np.result_type(table, np.float32))
    whole[rows] = table
    return whole


def container_metadata(entries: Sequence[ManifestEntry]) -> np.ndarray:
    """What the container says of each video, float64 (N, 4): bytes, seconds, frames/s, and
    bytes per second. Of a part of a file, the bytes are the file's."""
    rows = [
        (one.size, one.duration_s, one.fps, one.size / max(one.duration_s, 1e-3)) for one in entries
    ]
    return np.array(rows, np.float64)


def motion_statistics(sights: VideoSummaries) -> np.ndarray:
    """Mean, deviation and maximum over time of how much moves, float32 (N, 3)."""
    energies = sights.energies
    return np.stack([energies.mean(axis=1), energies.std(axis=1), energies.max(axis=1)], axis=1)


def complete_summaries(
    cache: FeatureCache, entries: Sequence[ManifestEntry], kept: Path | None = None
) -> VideoSummaries | str:
    """Glances at the videos behind some features, made once and then kept; or why there are
    not of all.

    Args:
        cache: Which names the videos' folder.
        entries: Rows of its manifest.
        kept: The file; see `FeatureCache.summaries`.
    """
    found = cache.summaries(entries, kept)
    return found.missing_reason or found.summaries


def close_sources(pooled: Mapping[str, Mapping[str, Any]], model: str) -> list[str]:
    """Names of the baselines that know the source of a video only and come close: whose
    interval over recordings reaches that of the model.

    Args:
        pooled: `accuracy_ci` by name, of baselines and the model.
        model: The model's name in it.
    """
    there = [name for name in SOURCES if name in pooled]
    low = pooled[model]["accuracy_ci"][0]
    return [name for name in there if pooled[name]["accuracy_ci"][1] >= low]


def source_warnings(pooled: Mapping[str, Mapping[str, Any]], model: str) -> list[str]:
    """A line for each of `close_sources`."""
    ours = _percent(pooled[model]["accuracy_ci"])
    return [
        f"The baseline {name} comes close: {_percent(pooled[name]['accuracy_ci'])} over "
        f"recordings, the model {ours}. The model may have learned the source of the videos "
        "and not the violence."
        for name in close_sources(pooled, model)
    ]


def _percent(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{low:.1%} to {high:.1%}"


def _forest_fit(table: np.ndarray, labels: np.ndarray, seed: int) -> "RandomForestClassifier":
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, min_samples_leaf=3, random_state=seed)
    return forest.fit(table, labels)
