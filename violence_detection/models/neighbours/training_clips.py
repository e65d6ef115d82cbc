"""The training clips of a run by their statistics: the nearest ones of a clip, and its novelty.

A clip is novel if it is farther from the training clips than 99% of these are from the clips of
other recordings: it is unlike anything that the run was trained on.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from violence_detection.errors import RunError
from violence_detection.features.dataset import FeatureDataset, balanced_rows
from violence_detection.models import linear_baseline
from violence_detection.models.neighbours import clip_distances
from violence_detection.models.neighbours.clip_distances import References, Standardisation
from violence_detection.models.neighbours.near_clip import NearClip
from violence_detection.models.run import Run
from violence_detection.system import files

SHOWN = 3  # nearest clips that are shown to people
QUANTILE = 0.99  # of the distances between training clips of different recordings
_MAX_CELLS = 1 << 23  # clips x statistics that are kept: 16 MB
_MAX_CLIPS = 4000
_MAX_STANDARD = 1e4  # larger values do not fit float16 well, and are as far
_TEXTS = ("paths", "labels", "groups")
_ARRAYS = ("mean", "deviation", "statistics", "limit", *_TEXTS)


@dataclass(frozen=True)
class TrainingClips:
    """Training clips of a run: at most 4,000, fewer if features are long.

    Attributes:
        standardisation: The constants of the statistics.
        statistics: Standardised mean, deviation and mean absolute difference over time of each
            clip, float16 (M, F).
        limit: The mean distance to the 5 nearest clips from which on a clip is novel; None with
            clips of a single recording.
        paths, labels, groups: Key, class and recording of each clip, (M,).
    """

    standardisation: Standardisation
    statistics: np.ndarray
    limit: float | None
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def from_features(cls, clips: FeatureDataset) -> Self:
        """The record of N training videos, evenly spaced within each class if there are many."""
        most = min(_MAX_CLIPS, _MAX_CELLS // (3 * clips.features.shape[-1]))
        rows = np.sort(balanced_rows(clips.labels, max(1, most), proportional=True))
        pooled = np.concatenate(list(linear_baseline.pooled_blocks(clips, rows)))
        standardisation = Standardisation.fitted_to(pooled)
        statistics = _float16(standardisation.apply(pooled))
        entries = [clips.entries[row] for row in rows]
        groups = tuple(entry.group for entry in entries)
        return cls(
            standardisation,
            statistics,
            _limit(statistics, groups),
            tuple(entry.path for entry in entries),
            tuple(entry.label for entry in entries),
            groups,
        )

    @classmethod
    def of_run(cls, run: Run) -> Self | None:
        """The training clips in a run's folder; None for a run of an older version.

        Raises:
            RunError: If the file is damaged.
        """
        path = run.training_clips_path
        if not path.is_file():
            return None
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in _ARRAYS}
            texts = {name: tuple(map(str, values[name])) for name in _TEXTS}
            rows, size = values["statistics"].shape
            lengths = {len(texts[name]) for name in _TEXTS} | {rows}
            constants = values["mean"], values["deviation"]
            if len(lengths) > 1 or any(constant.shape != (size,) for constant in constants):
                raise ValueError("its arrays differ in length")
            limit = float(values["limit"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RunError(
                f"{path.name} must be as train writes it. Received: {path} ({error}); `evaluate` "
                "writes it again once it is deleted"
            ) from error
        return cls(
            Standardisation(*constants),
            values["statistics"],
            limit if np.isfinite(limit) else None,
            **texts,
        )

    def write(self, run: Run) -> None:
        """Writes the file into the run's folder."""
        limit = np.float32(np.nan if self.limit is None else self.limit)
        with files.writing(run.training_clips_path) as file:
            np.savez_compressed(
                file,
                mean=self.standardisation.mean,
                deviation=self.standardisation.deviation,
                statistics=self.statistics,
                limit=limit,
                paths=np.array(self.paths, str),
                labels=np.array(self.labels, str),
                groups=np.array(self.groups, str),
            )

    def novelty(self, features: np.ndarray) -> np.ndarray | None:
        """The mean distance to the 5 nearest training clips over the limit, float32 (N,).

        Above 1 a clip is novel. None where there is no limit.

        Args:
            features: float16 (N, T, D).
        """
        if self.limit is None:
            return None
        neighbours = clip_distances.nearest(self._standardised(features), self._references)
        return clip_distances.mean_distances(neighbours) / np.float32(self.limit)

    def nearest(self, features: np.ndarray, count: int = SHOWN) -> list[list[NearClip]]:
        """The nearest training clips of each of N clips, the nearest first.

        Args:
            features: float16 (N, T, D).
            count: How many of each.
        """
        neighbours = clip_distances.nearest(self._standardised(features), self._references, count)
        unit = 1.0 if self.limit is None else self.limit
        return [
            [
                NearClip(self.paths[row], self.labels[row], self.groups[row], float(length) / unit)
                for row, length in zip(rows, distances, strict=True)
            ]
            for rows, distances in zip(neighbours.rows.tolist(), neighbours.distances, strict=True)
        ]

    @cached_property
    def _references(self) -> References:
        return References.from_points(
            self.statistics
        )  # 40 ms for the most clips: too much for each window

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        return _float16(self.standardisation.apply(linear_baseline.pooled(features)))


def missing_line(run: Run) -> str:
    """A line for a run whose windows have no novelty: what is missing, and how to get it."""
    if run.training_clips_path.is_file():
        return "not known: its training clips are of a single recording"
    return (
        f"not known: the run has no {run.training_clips_path.name} (it is of an older version, or "
        "was exported; `evaluate` writes it while the training's features exist)"
    )


def _limit(statistics: np.ndarray, groups: Sequence[str]) -> float | None:
    """The 99% quantile of the mean distances to the 5 nearest clips of other recordings."""
    if len(set(groups)) < 2:
        return None
    neighbours = clip_distances.nearest(
        statistics, statistics, point_groups=groups, reference_groups=groups
    )
    limit = float(np.quantile(clip_distances.mean_distances(neighbours), QUANTILE))
    return limit if limit > 0 else None


def _float16(statistics: np.ndarray) -> np.ndarray:
    return np.clip(statistics, -_MAX_STANDARD, _MAX_STANDARD).astype(np.float16)
