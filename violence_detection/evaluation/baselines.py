"""Trivial baselines: from the features alone, the file alone, the background alone and the motion
alone.

A classifier that is no better than the file's metadata or the background may have learned where
its videos come from, and not what violence looks like.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.models import linear_baseline
from violence_detection.models.neighbours import clip_distances
from violence_detection.models.neighbours.clip_distances import Standardisation

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

# Baselines that know only the source of a video. A classifier should be better than these.
SOURCES = ("metadata", "mean_picture")
MAJORITY = "majority"
KNN = "knn"
_TREES = 100


class Baselines:
    """Baselines on the same videos as a classifier, fitted again for every fold.

    ``linear``: logistic regression (C = 1) on the standardised mean, deviation and mean
    absolute difference over time of the features. ``knn``: the 5 nearest training clips by the
    same statistics, each with a vote of 1 / distance. ``metadata``: 100 trees on the values of the
    container: bytes, duration, frames/s, bytes per second, and width and height if the videos
    have a summary. ``mean_picture`` and ``motion_energy``: the same regression as ``linear`` on
    16 x 16 pixels of the mean image, and on the amount of motion. ``majority``: always the
    larger class of the training videos.

    Attributes:
        names: Names of the baselines, in the order of the reports.
        notes: A line for each baseline that is left out, with the reason.
    """

    def __init__(
        self,
        clips: FeatureDataset,
        classes: int,
        summaries: VideoSummaries | str,
        summary_rows: np.ndarray | None = None,
    ) -> None:
        """
        Args:
            clips: All N videos.
            classes: K.
            summaries: Summaries of the videos, or the reason why there are none.
            summary_rows: int64 (M,), the rows that have a summary; None if all have one.
        """
        self._labels, self._classes = clips.labels, classes
        pooled = np.concatenate(list(linear_baseline.pooled_blocks(clips, np.arange(len(clips)))))
        self._tables = {
            "linear": pooled,
            KNN: pooled,
            "metadata": container_metadata(clips.entries),
        }
        self.notes: list[str] = []
        if isinstance(summaries, str):
            self.notes.append(
                "The baselines mean_picture and motion_energy are left out, and metadata lacks "
                f"width and height: {summaries}."
            )
        else:
            rows = np.arange(len(clips)) if summary_rows is None else summary_rows
            self._tables["metadata"] = np.hstack(
                [self._tables["metadata"], _scatter_rows(summaries.sizes, rows, len(clips))]
            )
            for name, table in (
                ("mean_picture", summaries.mean_images.reshape(len(rows), -1)),
                ("motion_energy", motion_statistics(summaries)),
            ):
                self._tables[name] = _scatter_rows(table, rows, len(clips))
        self.names = [*self._tables, MAJORITY]

    def predict(self, name: str, train: np.ndarray, test: np.ndarray, *, seed: int) -> np.ndarray:
        """Fits a baseline and predicts.

        Args:
            name: One of `names`.
            train: Training rows; those with a summary hold every class.
            test: M rows to predict.
            seed: Seed of the random forest.

        Returns:
            Probabilities, float64 (M, K), rows sum to 1.
        """
        if name != MAJORITY:
            train = train[np.isfinite(self._tables[name][train]).all(axis=1)]
        labels = self._labels[train]
        if name == MAJORITY:
            majority = classification.majority_class(labels, self._classes)
            return np.eye(self._classes)[np.full(len(test), majority)]
        table = self._tables[name]
        if name == KNN:
            standardisation = Standardisation.fitted_to(table[train])
            points, references = (standardisation.apply(table[rows]) for rows in (test, train))
            neighbours = clip_distances.nearest(points, references)
            return clip_distances.vote(neighbours, labels, self._classes)
        if name == "metadata":
            fit = _fit_forest(table[train], labels, seed)
        else:
            fit = linear_baseline.fit_logistic_regression(table[train], labels)
        return fit.predict_proba(table[test])


def _scatter_rows(table: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """float (N, F) with the rows of a table (M, F) at their places, and NaN elsewhere."""
    whole = np.full((count, table.shape[1]), np.nan, np.result_type(table, np.float32))
    whole[rows] = table
    return whole


def container_metadata(entries: Sequence[ManifestEntry]) -> np.ndarray:
    """The container's values of each video, float64 (N, 4): bytes, seconds, frames/s, and bytes
    per second. For a part of a file, the bytes are those of the file."""
    rows = [
        (entry.size, entry.duration_s, entry.fps, entry.size / max(entry.duration_s, 1e-3))
        for entry in entries
    ]
    return np.array(rows, np.float64)


def motion_statistics(summaries: VideoSummaries) -> np.ndarray:
    """Mean, deviation and maximum over time of the motion energy, float32 (N, 3)."""
    energies = summaries.energies
    return np.stack([energies.mean(axis=1), energies.std(axis=1), energies.max(axis=1)], axis=1)


def complete_summaries(
    cache: FeatureCache, entries: Sequence[ManifestEntry], summaries_path: Path | None = None
) -> VideoSummaries | str:
    """Summaries of all given videos, or the reason why some have none.

    Args:
        cache: Features of the videos.
        entries: Rows of its manifest.
        summaries_path: The file of summaries; see `FeatureCache.summaries`.
    """
    available = cache.summaries(entries, summaries_path)
    return available.missing_reason or available.summaries


def close_sources(accuracy_ci: Mapping[str, Sequence[float]], model: str) -> list[str]:
    """Names of the `SOURCES` that come close to the model: the interval of their accuracy over
    recordings reaches that of the model.

    Args:
        accuracy_ci: Intervals of the accuracy over recordings, of the baselines and the model, by
            name.
        model: The model's name among them.
    """
    low, _ = accuracy_ci[model]
    return [name for name in SOURCES if name in accuracy_ci and accuracy_ci[name][1] >= low]


def source_warnings(accuracy_ci: Mapping[str, Sequence[float]], model: str) -> list[str]:
    """A warning for each of `close_sources`, which has the same arguments."""
    ours = _percent(accuracy_ci[model])
    return [
        f"The baseline {name} comes close: {_percent(accuracy_ci[name])} over "
        f"recordings, the model {ours}. The model may have learned the source of the videos "
        "and not the violence."
        for name in close_sources(accuracy_ci, model)
    ]


def _percent(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{low:.1%} to {high:.1%}"


def _fit_forest(table: np.ndarray, labels: np.ndarray, seed: int) -> "RandomForestClassifier":
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, min_samples_leaf=3, random_state=seed)
    return forest.fit(table, labels)
