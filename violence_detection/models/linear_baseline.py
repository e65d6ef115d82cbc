"""The linear baseline: a logistic regression on statistics of the features over time."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.features.dataset import FeatureDataset

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


_BASELINE_VIDEOS = 4000


_BASELINE_CELLS = 1 << 24  # videos x pooled features: 64 MB


_BLOCK = 256  # videos pooled at a time


def baseline_predictions(
    clips: Mapping[str, FeatureDataset], splits: Iterable[str], classes: int
) -> tuple[dict[str, np.ndarray], int]:
    """Probabilities of a logistic regression (C = 1) on the standardised mean, deviation and
    mean absolute difference over time.

    It learns from 4,000 videos, or fewer of long features, evenly taken from each class.

    Args:
        clips: Of train and `splits`.
        splits: To answer for.
        classes: K.

    Returns:
        float64 (N, K) of each split, and the number of videos that it learned from.
    """
    train = clips["train"]
    most = min(_BASELINE_VIDEOS, _BASELINE_CELLS // (3 * train.features.shape[-1]))
    rows = evenly_spaced_rows(train.labels, classes, most)
    features = np.empty((len(rows), 3 * train.features.shape[-1]), np.float32)
    start = 0
    for block in pooled_blocks(train, rows):
        features[start : start + len(block)] = block
        start += len(block)
    fit = fit_logistic_regression(features, train.labels[rows])
    answers = {}
    for split in splits:
        blocks = pooled_blocks(clips[split], np.arange(len(clips[split])))
        answers[split] = np.concatenate([fit.predict_proba(one) for one in blocks])
    return answers, len(rows)


def fit_logistic_regression(features: np.ndarray, labels: np.ndarray) -> "Pipeline":
    """A logistic regression (C = 1) on features (N, F), which are standardised in place: a copy
    of all that is pooled would be most of the memory of a training."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = make_pipeline(StandardScaler(copy=False), LogisticRegression(C=1, max_iter=1000))
    with warnings.catch_warnings():
        # Where it has not converged after 1000 steps it is a baseline all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit.fit(features, labels)


def evenly_spaced_rows(labels: np.ndarray, classes: int, most: int) -> np.ndarray:
    """About `most` rows, or all where there are fewer, int64: the same share of each of K
    classes, evenly spaced, at least one."""
    share = min(1.0, most / max(1, len(labels)))
    rows = [np.flatnonzero(labels == number) for number in range(classes)]
    return np.concatenate([_evenly(one, share) for one in rows])


def _evenly(rows: np.ndarray, share: float) -> np.ndarray:
    """A share of some rows, evenly spaced, at least one."""
    if not len(rows):
        return rows
    count = max(1, int(share * len(rows)))
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def pooled_blocks(clips: FeatureDataset, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Statistics over time of some clips, blocks of float32 (at most 256, 3 D)."""
    from violence_detection.models.heads._layers import statistics_of

    for start in range(0, len(rows), _BLOCK):
        yield statistics_of(clips.features[rows[start : start + _BLOCK]])
