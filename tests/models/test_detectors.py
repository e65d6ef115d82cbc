"""Detectors of unusual clips: their errors are those of the definition."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from violence_detection import registry
from violence_detection.models import linear_baseline
from violence_detection.models.forward_pass import run_model


@pytest.fixture
def clips(rng) -> np.ndarray:
    scales = rng.uniform(0.5, 2, size=(1, 1, 5))
    return (rng.normal(size=(60, 4, 5)) * scales).astype(np.float16)


def standardised(clips, of):
    pooled, reference = (linear_baseline.pooled(part).astype(float) for part in (clips, of))
    deviation = np.sqrt(np.maximum(reference.var(0), 1e-3 * reference.var(0).mean()))
    return (pooled - reference.mean(0)) / deviation


def test_mahalanobis_is_the_distance_by_the_covariance_of_ledoit_and_wolf(clips, rng):
    others = rng.normal(0.5, 1, size=(7, 4, 5)).astype(np.float16)
    fit = LedoitWolf().fit(standardised(clips, clips))
    expected = fit.mahalanobis(standardised(others, clips))
    detector = registry.load("detectors", "mahalanobis", clips=clips)
    np.testing.assert_allclose(run_model(detector, others)[:, 0], expected, rtol=2e-3)


def test_directions_without_a_component_have_the_mean_variance_of_the_rest(clips):
    whole = registry.load("detectors", "mahalanobis", clips=clips)
    part = registry.load("detectors", "mahalanobis(components=3)", clips=clips)
    # Both are normalised by the covariance: their mean over the fitted clips is about F.
    means = [run_model(model, clips).mean() for model in (whole, part)]
    assert means[1] == pytest.approx(means[0], rel=0.25)


def test_knn_is_the_mean_distance_to_the_nearest(clips, rng):
    others = rng.normal(size=(7, 4, 5)).astype(np.float16)
    points, references = standardised(others, clips), standardised(clips, clips)
    distances = np.linalg.norm(points[:, None] - references[None], axis=2)
    expected = np.sort(distances, axis=1)[:, :5].mean(axis=1)
    detector = registry.load("detectors", "knn", clips=clips)
    np.testing.assert_allclose(run_model(detector, others)[:, 0], expected, rtol=1e-3)
