"""The predictions of a cross-validation as arrays, and their scores by fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from violence_detection.experiments.cross_validation.out_of_fold import OutOfFoldRow
from violence_detection.experiments.cross_validation.pooled_scores import value_of
from violence_detection.metrics import intervals


@dataclass(frozen=True)
class HeldOutPredictions:
    """Predictions of a cross-validation for N held-out videos in R repeats.

    Attributes:
        paths: Keys of the videos (N,), sorted.
        labels, groups: Their classes and recordings, str (N,).
        probability: The probability of violence, float64 (R, N).
        correct: Whether the predicted class is the label, bool (R, N).
        fold: The fold that held a video out, int64 (R, N).
    """

    paths: Sequence[str]
    labels: np.ndarray
    groups: np.ndarray
    probability: np.ndarray
    correct: np.ndarray
    fold: np.ndarray

    @classmethod
    def of_rows(cls, rows: Sequence[OutOfFoldRow], *, repeats: int) -> Self:
        """The predictions of the first repeats, for the videos that are in all of them."""
        by_video: dict[str, dict[int, OutOfFoldRow]] = {}
        for row in rows:
            if row.repeat <= repeats:
                by_video.setdefault(row.prediction.path, {})[row.repeat] = row
        paths = sorted(path for path, by_repeat in by_video.items() if len(by_repeat) == repeats)
        table = [
            [by_video[path][repeat] for path in paths] for repeat in range(1, repeats + 1)
        ]  # (R, N)
        predictions = [[row.prediction for row in line] for line in table]
        return cls(
            paths,
            np.array([row.label for row in predictions[0]], str),
            np.array([row.group for row in predictions[0]], str),
            np.array([[row.probability for row in line] for line in predictions], np.float64),
            np.array([[row.correct for row in line] for line in predictions], bool),
            np.array([[row.fold for row in line] for line in table], np.int64),
        )

    def take(self, paths: Sequence[str]) -> Self:
        """The predictions for some of the videos, in this order."""
        number = {path: index for index, path in enumerate(self.paths)}
        columns = [number[path] for path in paths]
        return replace(
            self,
            paths=paths,
            labels=self.labels[columns],
            groups=self.groups[columns],
            probability=self.probability[:, columns],
            correct=self.correct[:, columns],
            fold=self.fold[:, columns],
        )

    def scores_by_fold(self, violent: np.ndarray) -> tuple[list[float], list[float | None]]:
        """Accuracy and AUC of each fold, the repeats one after another; an AUC is None for videos
        of one class only."""
        accuracies, areas = [], []
        for fold, correct, probability in zip(
            self.fold, self.correct, self.probability, strict=True
        ):
            for number in np.unique(fold):
                rows = fold == number
                accuracies.append(float(correct[rows].mean()))
                auc = intervals.weighted_auc(violent[rows], probability[rows])
                areas.append(value_of(auc, int(rows.sum())))
        return accuracies, areas

    def auc(self, violent: np.ndarray) -> float | None:
        """The area under the curve of all folds together, the mean of the repeats."""
        areas = [
            value_of(intervals.weighted_auc(violent, row), len(violent)) for row in self.probability
        ]
        return None if None in areas else float(np.mean(areas))
