"""The linear baseline: a logistic regression on statistics of the features over time."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.features.dataset import FeatureDataset, balanced_rows

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_MAX_CELLS = 1 << 24  # videos x pooled features: 64 MB
_BLOCK = 256  # videos pooled at a time


@dataclass(frozen=True)
class BaselinePredictions:
    """The predictions of the linear baseline.

    Attributes:
        probability: Probability of each class for the videos of each split, float64 (N, K).
        videos: Training videos of the fit.
    """

    probability: Mapping[str, np.ndarray]
    videos: int


def baseline_predictions(
    clips: Mapping[str, FeatureDataset], splits: Iterable[str], *, max_videos: int = 4000
) -> BaselinePredictions:
    """Probabilities of a logistic regression (C = 1) on the standardised mean, deviation and
    mean absolute difference over time.

    It is fitted to the same fraction of the training videos of each class.

    Args:
        clips: The videos of `train` and of `splits`.
        splits: The splits to predict.
        max_videos: Training videos of the fit at most; fewer if features are long.
    """
    train = clips["train"]
    most = min(max_videos, _MAX_CELLS // (3 * train.features.shape[-1]))
    rows = balanced_rows(train.labels, most, proportional=True)
    features = np.empty((len(rows), 3 * train.features.shape[-1]), np.float32)
    start = 0
    for block in pooled_blocks(train, rows):
        features[start : start + len(block)] = block
        start += len(block)
    fit = fit_logistic_regression(features, train.labels[rows])
    predicted = {}
    for split in splits:
        blocks = pooled_blocks(clips[split], np.arange(len(clips[split])))
        predicted[split] = np.concatenate([fit.predict_proba(block) for block in blocks])
    return BaselinePredictions(predicted, len(rows))


def fit_logistic_regression(features: np.ndarray, labels: np.ndarray) -> "Pipeline":
    """A logistic regression (C = 1) fitted to features (N, F).

    The features are standardised in place: a copy would take most of the memory of a training.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = make_pipeline(StandardScaler(copy=False), LogisticRegression(C=1, max_iter=1000))
    with warnings.catch_warnings():
        # A fit that has not converged after 1000 steps is still a baseline.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit.fit(features, labels)


def pooled_blocks(clips: FeatureDataset, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Statistics over time of the clips of some rows, in blocks of float32 (at most 256, 3 D)."""
    for start in range(0, len(rows), _BLOCK):
        yield pooled(clips.features[rows[start : start + _BLOCK]])


def pooled(features: np.ndarray) -> np.ndarray:
    """Mean, deviation and mean absolute difference over time of features (N, T, D), float32
    (N, 3 D)."""
    from violence_detection.models.heads._layers import statistics_of

    return statistics_of(features)
