"""Trivial answers to compare a classifier with: what its features alone, the files alone, the
background alone and the motion alone give.

A classifier that is no better than the file's metadata or the background may have learned where
its videos come from, and not what violence looks like.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection import dataset, guards
from violence_detection.cache import Entry, FeatureCache
from violence_detection.dataset import Clips
from violence_detection.errors import DatasetError, ViolenceDetectionError
from violence_detection.sights import Sights

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

    def __init__(self, clips: Clips, classes: int, sights: Sights | str) -> None:
        """
        Args:
            clips: All videos.
            classes: K.
            sights: Of the videos, or why there are none.
        """
        self._labels, self._classes = clips.labels, classes
        self._tables = {
            "linear": np.concatenate(list(guards.pooled(clips, np.arange(len(clips))))),
            "metadata": metadata_of(clips.entries),
        }
        self.notes: list[str] = []
        if isinstance(sights, str):
            self.notes.append(
                "The baselines mean_picture and motion_energy are left out, and metadata goes "
                f"without width and height: {sights}."
            )
        else:
            self._tables["metadata"] = np.hstack(
                [self._tables["metadata"], sights.sizes]
            )
            pictures = sights.pictures.reshape(len(clips), -1)
            self._tables["mean_picture"] = pictures
            self._tables["motion_energy"] = energies_of(sights)
        self.names = [*self._tables, "majority"]

    def answers(
        self, name: str, train: np.ndarray, test: np.ndarray, *, seed: int
    ) -> np.ndarray:
        """Probabilities of one baseline.

        Args:
            name: Of `names`.
            train: Rows to learn from; every class is among them.
            test: M rows to answer for.
            seed: Of what it draws.

        Returns:
            float64 (M, K), rows sum to 1.
        """
        labels = self._labels[train]
        if name == "majority":
            commonest = np.bincount(labels, minlength=self._classes).argmax()
            return np.eye(self._classes)[np.full(len(test), commonest)]
        table = self._tables[name]
        if name == "metadata":
            fit = _forest_fit(table[train], labels, seed)
        else:
            fit = guards.linear_fit(table[train], labels)
        return fit.predict_proba(table[test])


def metadata_of(entries: Sequence[Entry]) -> np.ndarray:
    """What the container says of each video, float64 (N, 4): bytes, seconds, frames/s, and
    bytes per second. Of a part of a file, the bytes are the file's."""
    rows = [
        (one.size, one.duration_s, one.fps, one.size / max(one.duration_s, 1e-3))
        for one in entries
    ]
    return np.array(rows, np.float64)


def energies_of(sights: Sights) -> np.ndarray:
    """Mean, deviation and maximum over time of how much moves, float32 (N, 3)."""
    energies = sights.energies
    return np.stack(
        [energies.mean(axis=1), energies.std(axis=1), energies.max(axis=1)], axis=1
    )


def sights_of(
    cache: FeatureCache, entries: Sequence[Entry], kept: Path
) -> Sights | str:
    """Glances at the videos behind some features, read once and then kept in a file; or why
    there are none.

    Args:
        cache: Which names the videos' folder.
        entries: Rows of its manifest.
        kept: The file.
    """
    if found := Sights.load(kept, len(entries)):
        return found
    try:
        found = Sights.of(dataset.videos_behind(cache, entries))
    except DatasetError as error:
        return str(error)
    except ViolenceDetectionError as error:
        return f"the videos cannot be read ({str(error).rstrip('.')})"
    found.save(kept)
    return found


def _forest_fit(
    table: np.ndarray, labels: np.ndarray, seed: int
) -> "RandomForestClassifier":
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, min_samples_leaf=3, random_state=seed)
    return forest.fit(table, labels)
