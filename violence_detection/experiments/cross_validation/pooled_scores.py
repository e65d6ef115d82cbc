"""Scores of the predictions of all folds together, and means over folds, each with an interval."""

import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from scipy import stats

from violence_detection.metrics import calibration, intervals
from violence_detection.reports.cross_validation.cross_validation_scores import (
    Estimate,
    FoldMean,
    PooledScores,
    ScoreDifference,
)

_LEVEL = 0.95
_RESAMPLES = 2000

Statistic = Callable[[np.ndarray], np.ndarray]  # of counts (R, N), returns (R,), NaN if undefined


class PooledPredictions:
    """Predictions of one predictor for all videos, in one or several repeats, summed up by video.

    Sums by video let the bootstrap weigh each video by how often its recording is drawn.
    """

    def __init__(self, violent: np.ndarray) -> None:
        """
        Args:
            violent: bool (N,), the truth.
        """
        self._violent = violent
        self._predictions = np.zeros(len(violent))
        self._correct = np.zeros(len(violent))
        self._alarms = np.zeros(len(violent))
        self._squares = np.zeros(len(violent))
        self._auc_functions: list[tuple[np.ndarray, Statistic]] = []
        self._calibration_errors: list[float] = []

    def add(
        self, rows: np.ndarray, predicted: np.ndarray, violence: np.ndarray, correct: np.ndarray
    ) -> None:
        """Adds the predictions of one repeat.

        Args:
            rows: The videos, int64 (M,).
            predicted: Their predicted classes, int64 (M,).
            violence: Their probabilities of violence, float64 (M,).
            correct: Whether the predicted class is the label, bool (M,).
        """
        violent = self._violent[rows]
        self._predictions[rows] += 1
        self._correct[rows] += correct
        self._alarms[rows] += predicted > 0
        self._squares[rows] += (violence - violent) ** 2
        self._auc_functions.append((rows, intervals.weighted_auc(violent, violence)))
        error = calibration.expected_calibration_error(violent, violence)
        self._calibration_errors.append(error)

    def scores(self, groups: np.ndarray, seed: int) -> PooledScores:
        """All scores, with a bootstrap over recordings.

        Args:
            groups: The recording of each video, str (N,).
            seed: The seed of the bootstrap.
        """
        violent = self._violent
        statistics = {
            "accuracy": self.accuracy,
            "auc": self.auc,
            "recall": self._mean(self._alarms, violent),
            "false_positive_rate": self._mean(self._alarms, ~violent),
            "brier_score": self._mean(self._squares, np.ones(len(violent))),
        }
        return PooledScores(
            **{name: estimate(groups, value, seed) for name, value in statistics.items()},
            calibration_error=float(np.mean(self._calibration_errors)),
        )

    def minus(self, baseline: Self, groups: np.ndarray, seed: int) -> ScoreDifference:
        """The scores of this predictor minus those of another one, on the same videos.

        Args:
            baseline: The other predictor.
            groups: The recording of each video, str (N,).
            seed: The seed of the bootstrap.
        """
        return ScoreDifference(
            estimate(
                groups, lambda counts: self.accuracy(counts) - baseline.accuracy(counts), seed
            ),
            estimate(groups, lambda counts: self.auc(counts) - baseline.auc(counts), seed),
        )

    def accuracy(self, counts: np.ndarray) -> np.ndarray:
        """The accuracy where each video counts so often, float (R,) of int (R, N)."""
        return self._mean(self._correct, np.ones(len(self._violent)))(counts)

    def auc(self, counts: np.ndarray) -> np.ndarray:
        """The area under the curve, the mean over the repeats, float (R,) of int (R, N)."""
        return np.mean([auc(counts[:, rows]) for rows, auc in self._auc_functions], axis=0)

    def _mean(self, sums: np.ndarray, among: np.ndarray) -> Statistic:
        """The mean of what was summed up, over the predictions for some of the videos."""
        return lambda counts: intervals.ratio(
            counts @ (sums * among), counts @ (self._predictions * among)
        )


def estimate(groups: np.ndarray, statistic: Statistic, seed: int) -> Estimate:
    """The value of a statistic, and its bootstrap interval over recordings."""
    ci = intervals.bootstrap_over_recordings(
        groups, statistic, resamples=_RESAMPLES, seed=seed, level=_LEVEL
    )
    return Estimate(value_of(statistic, len(groups)), ci)


def value_of(statistic: Statistic, count: int) -> float | None:
    """The value of a statistic when each of `count` videos counts once; None if undefined."""
    value = float(statistic(np.ones((1, count), int))[0])
    return None if math.isnan(value) else value


def mean_over_folds(values: Sequence[float | None], test_to_train: float) -> FoldMean:
    """Mean, sample deviation, and a 95% t-interval of a score over n folds.

    ``mean -+ t(n - 1) sd sqrt(1 / n + test_to_train)``, within [0, 1]. Folds share most of their
    training videos, so their scores are not independent; the second term under the root corrects
    for it.

    Args:
        values: In [0, 1]; None for a fold in which the score is undefined.
        test_to_train: Held-out videos over training videos, the mean over the folds: 1 / (k - 1)
            for k equal folds that hold out every video once.

    Reference:
        Nadeau and Bengio, Inference for the generalization error, 2003,
        https://doi.org/10.1023/A:1024068626366
    """
    scores = np.array([value for value in values if value is not None], np.float64)
    if scores.size < 2:
        return FoldMean(mean=float(scores[0]) if scores.size else None, sd=0.0, ci=None)
    mean, sd = float(scores.mean()), float(scores.std(ddof=1))
    quantile = stats.t.ppf((1 + _LEVEL) / 2, scores.size - 1)
    half = float(quantile * sd * math.sqrt(1 / scores.size + test_to_train))
    return FoldMean(mean, sd, [max(0.0, mean - half), min(1.0, mean + half)])
