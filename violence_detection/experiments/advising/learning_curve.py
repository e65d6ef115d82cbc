"""The learning curve over recordings: scores by the number of recordings that are trained on, and
what twice as many would bring."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.experiments.cross_validation.drawn_folds import FoldPlan
from violence_detection.experiments.cross_validation.fold_runner import FoldSetup
from violence_detection.experiments.cross_validation.pooled_scores import (
    PooledPredictions,
    estimate,
    value_of,
)
from violence_detection.experiments.cross_validation.stored_folds import StoredFolds, study_folder
from violence_detection.metrics import intervals
from violence_detection.metrics.power_law import PowerLaw
from violence_detection.reports.cross_validation.cross_validation_scores import Estimate
from violence_detection.training.config import TrainConfig

log = logging.getLogger(__name__)

SHARES = (0.25, 0.5, 0.75, 1.0)
_RESAMPLES = 1000
_LEVEL = 0.95
_SCORES = ("accuracy", "auc")


@dataclass(frozen=True)
class CurvePoint:
    """The scores of trainings on a share of the recordings.

    Attributes:
        share: Of the training recordings.
        recordings, videos: That a fold is trained on, the mean over the folds.
        accuracy, auc: Of the predictions of all folds together, with intervals over recordings.
    """

    share: float
    recordings: float
    videos: float
    accuracy: Estimate
    auc: Estimate

    def to_json(self) -> dict[str, Any]:
        own = {"share": self.share, "recordings": self.recordings, "videos": self.videos}
        return own | self.accuracy.to_json("accuracy") | self.auc.to_json("auc")


@dataclass(frozen=True)
class Extrapolation:
    """A score with twice the recordings, by a power law through the errors.

    Attributes:
        expected: The score, with its interval over recordings.
        gain: Its difference from that of the fitted curve today.
        limit: The score that the curve does not exceed.
    """

    expected: Estimate
    gain: Estimate
    limit: float

    def to_json(self) -> dict[str, Any]:
        values = self.expected.to_json("expected") | self.gain.to_json("gain")
        return values | {"limit": self.limit}


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve over recordings.

    Attributes:
        points: One for each share, the smallest first.
        doubled: The extrapolation of accuracy and AUC, by name.
        recordings: Number of recordings of the dataset.
        folds, repeats: Of each point.
    """

    points: Sequence[CurvePoint]
    doubled: Mapping[str, Extrapolation]
    recordings: int
    folds: int
    repeats: int

    def to_json(self) -> dict[str, Any]:
        return {
            "points": [point.to_json() for point in self.points],
            "twice_the_recordings": {
                name: extrapolation.to_json() for name, extrapolation in self.doubled.items()
            },
            "recordings": self.recordings,
            "folds": self.folds,
            "repeats": self.repeats,
        }


def train_curve(
    train: TrainConfig,
    entries: Sequence[ManifestEntry],
    folder: Path,
    *,
    folds: int,
    repeats: int,
    jobs: int | None,
) -> LearningCurve:
    """Trains on each share of the recordings, all on the same grouped folds.

    The last of all epochs is kept, so that no recordings are needed to choose one.

    Args:
        train: Settings of each training.
        entries: All videos, with their recordings.
        folder: Folder of the finished folds, which are not trained again.
        folds, repeats: Number of folds, and of draws.
        jobs: Trainings at the same time; None for as many as cores and memory allow.

    Raises:
        ConfigError: If there are too few recordings for the folds.
        TrainingError: If a training fails.
    """
    series = series_of(train, entries, folder, folds=folds, repeats=repeats)
    for share, stored in series.items():
        log.info(f"Learning curve: {share:.0%} of the recordings.")
        stored.train(jobs)
    classes = classes_of(list(entries), train.normal_class)
    labels = np.array([classes.index(entry.label) for entry in entries])
    tested = next(iter(series.values())).tested
    groups = np.array([entry.group for entry in tested]).astype(str)
    pooled = {share: stored.pooled(labels) for share, stored in series.items()}
    points = [
        _point(share, series[share], predictions, groups, train.seed)
        for share, predictions in pooled.items()
    ]
    sizes = np.array([point.recordings for point in points])
    return LearningCurve(
        points=points,
        doubled={
            name: extrapolate(list(pooled.values()), name, sizes, groups, train.seed)
            for name in _SCORES
        },
        recordings=len({entry.group for entry in entries}),
        folds=folds,
        repeats=repeats,
    )


def series_of(
    train: TrainConfig,
    entries: Sequence[ManifestEntry],
    folder: Path,
    *,
    folds: int,
    repeats: int,
) -> dict[float, StoredFolds]:
    """The folds of each share, trained or not; see `train_curve`."""
    values = train.as_dict() | {"monitor": "none", "early_stopping_patience": 0}
    train = TrainConfig.from_settings(values, given=train.given - {"early_stopping_patience"})
    plan = FoldPlan(
        folds=folds, repeats=repeats, protocols=(True,), seed=train.seed, validation_fraction=0.0
    )
    return {
        share: StoredFolds.open(
            FoldSetup(
                train,
                dataclasses.replace(plan, share=share),
                study_folder(folder, f"share_{round(100 * share)}"),
                tuple(entries),
            )
        )
        for share in SHARES
    }


def _point(
    share: float, stored: StoredFolds, pooled: PooledPredictions, groups: np.ndarray, seed: int
) -> CurvePoint:
    rows = [fold.training_rows for fold in stored.folds]
    entries = stored.setup.entries
    recordings = [len({entries[row].group for row in part.tolist()}) for part in rows]
    return CurvePoint(
        share=share,
        recordings=float(np.mean(recordings)),
        videos=float(np.mean([len(part) for part in rows])),
        accuracy=estimate(groups, pooled.accuracy, seed),
        auc=estimate(groups, pooled.auc, seed),
    )


def extrapolate(
    pooled: Sequence[PooledPredictions],
    score: str,
    sizes: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> Extrapolation:
    """A score at twice the largest size, by `PowerLaw` through the errors.

    The interval is that of a bootstrap over the recordings that are predicted; the draw of those
    that are left out of training, and the form of the curve, are not in it.

    Args:
        pooled: The predictions of each size, of the same videos.
        score: `accuracy` or `auc`.
        sizes: Numbers of recordings, ascending.
        groups: The recording of each video, str (N,).
        seed: Seed of the bootstrap.
    """

    def at_twice(counts: np.ndarray) -> np.ndarray:
        """Score at twice the recordings, gain, and limit, float (R, 3)."""
        errors = 1 - np.stack([getattr(part, score)(counts) for part in pooled], axis=1)
        law = PowerLaw.fit(sizes, errors)
        twice = law.at(2 * sizes[-1])
        return np.stack([1 - twice, law.at(sizes[-1]) - twice, 1 - law.a], axis=1)

    low, high = intervals.bootstrap_band(
        groups, at_twice, resamples=_RESAMPLES, seed=seed, level=_LEVEL
    )
    columns = [value_of(lambda counts, n=n: at_twice(counts)[:, n], len(groups)) for n in range(3)]
    expected, gain = (
        Estimate(columns[n], None if np.isnan(low[n]) else [float(low[n]), float(high[n])])
        for n in range(2)
    )
    return Extrapolation(expected, gain, 1.0 if columns[2] is None else columns[2])
