"""The linear baseline: a logistic regression on pooled statistics of every class."""

from types import SimpleNamespace

import numpy as np
from sklearn.linear_model import LogisticRegression

from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import linear_baseline
from violence_detection.models.heads._layers import statistics_of


def clips_of(labels, *, shift=1.0, seed=0) -> FeatureDataset:
    """Random clips, those of class k shifted by k."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (len(labels), 6, 8)) + shift * labels[:, None, None]
    entries = tuple(SimpleNamespace(group=str(row)) for row in range(len(labels)))
    return FeatureDataset(features.astype(np.float16), np.asarray(labels), entries)


def test_the_baseline_is_a_logistic_regression_on_pooled_statistics():
    labels = np.arange(40) % 2
    train, validation = clips_of(labels, shift=0.3), clips_of(labels, shift=0.3, seed=1)
    clips = {"train": train, "validation": validation}
    baseline = linear_baseline.baseline_predictions(clips, ["validation"])
    pooled = statistics_of(train.features).astype(np.float64)
    mean, deviation = pooled.mean(0), pooled.std(0)
    fit = LogisticRegression(C=1, max_iter=1000)
    fit.fit((pooled - mean) / deviation, labels)
    expected = fit.predict_proba((statistics_of(validation.features) - mean) / deviation)
    np.testing.assert_allclose(baseline.probability["validation"], expected, atol=1e-3)
    assert baseline.videos == 40


def test_every_class_is_in_the_fit_of_a_few_videos():
    labels = np.array([0] * 98 + [1, 2])
    clips = {"train": clips_of(labels), "validation": clips_of(np.arange(12) % 3)}
    baseline = linear_baseline.baseline_predictions(clips, ["validation"], max_videos=10)
    assert baseline.probability["validation"].shape == (12, 3)
    assert baseline.videos == 9 + 1 + 1
