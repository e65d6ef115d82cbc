"""Trains the folds of a setup, and keeps each finished one on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.experiments.cross_validation.drawn_folds import Fold, draw_test_folds
from violence_detection.experiments.cross_validation.fold_processes import FoldProcesses
from violence_detection.experiments.cross_validation.fold_results import FoldResult
from violence_detection.experiments.cross_validation.fold_runner import FoldSetup, TrainedFold
from violence_detection.experiments.cross_validation.fold_store import FoldStore
from violence_detection.experiments.cross_validation.pooled_scores import PooledPredictions
from violence_detection.models.outputs.classes import is_violent
from violence_detection.reports.cross_validation.cross_validation_scores import MODEL


@dataclass(frozen=True)
class StoredFolds:
    """All folds of a setup, trained or to be trained.

    Attributes:
        setup: The videos, the folds and the settings of each training; its `study_dir` has the
            finished folds.
        folds: All folds.
        finished: The result of each finished fold, by its name.
    """

    setup: FoldSetup
    folds: Sequence[Fold]
    finished: dict[str, FoldResult]

    @classmethod
    def open(cls, setup: FoldSetup) -> "StoredFolds":
        """Reads the folds that an earlier start finished."""
        folds = draw_test_folds(list(setup.entries), setup.plan)
        store = FoldStore(setup.study_dir)
        finished = {}
        for fold in folds:
            result = store.load(fold.name, fold.rows("test"))
            if result is not None:
                finished[fold.name] = result
        return cls(setup, folds, finished)

    @property
    def missing(self) -> list[Fold]:
        return [fold for fold in self.folds if fold.name not in self.finished]

    def train(self, jobs: int | None, after_each: Callable[[], None] = lambda: None) -> None:
        """Trains the missing folds.

        Args:
            jobs: Folds trained at the same time; None for as many as cores and memory allow.
            after_each: Called after each fold.

        Raises:
            TrainingError: If a training fails.
        """
        if not self.missing:
            return
        store = FoldStore(self.setup.study_dir)
        with FoldProcesses(self.setup, self.folds, jobs) as processes:
            for fold, trained in processes.train(self.missing):
                result = _result_of(fold, trained)
                store.save(fold.name, result)
                self.finished[fold.name] = result
                after_each()

    @property
    def results(self) -> list[FoldResult]:
        """The results of all folds, in their order.

        Raises:
            KeyError: If a fold is missing.
        """
        return [self.finished[fold.name] for fold in self.folds]

    def pooled(self, labels: np.ndarray) -> PooledPredictions:
        """The predictions of all folds together.

        Args:
            labels: Class of each of the N videos of the setup, int64 (N,).
        """
        results = self.results
        tested = np.unique(np.concatenate([result.rows for result in results]))
        pooled = PooledPredictions(is_violent(labels[tested]))
        for repeat in sorted({result.repeat for result in results}):
            parts = [result for result in results if result.repeat == repeat]
            rows = np.concatenate([part.rows for part in parts])
            predicted = np.concatenate([part.predicted(MODEL) for part in parts])
            violence = np.concatenate([part.violence(MODEL) for part in parts])
            right = predicted == labels[rows]
            pooled.add(np.searchsorted(tested, rows), predicted, violence, right)
        return pooled

    @property
    def tested(self) -> list[ManifestEntry]:
        """The videos that are held out by a fold, in the order of `pooled`."""
        rows = np.unique(np.concatenate([fold.rows("test") for fold in self.folds]))
        return [self.setup.entries[row] for row in rows.tolist()]


def _result_of(fold: Fold, trained: TrainedFold) -> FoldResult:
    return FoldResult(
        repeat=fold.repeat,
        fold=fold.number,
        grouped=fold.grouped,
        rows=fold.rows("test"),
        epochs=trained.epochs,
        kept_epoch=trained.kept_epoch,
        threshold=trained.threshold,
        predictions={MODEL: trained.probability},
        temperature=trained.temperature,
        effective=trained.effective,
        left_out=(),
        training_videos=len(fold.training_rows),
        videos_per_s=trained.videos_per_s,
    )


def study_folder(study_dir: Path, name: str) -> Path:
    """The folder of one series of folds in that of its study."""
    return study_dir / "series" / name
