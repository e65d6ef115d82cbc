"""The contract of every detector: an error that is finite, larger far from the normal clips, and
the same after its file is read."""

import inspect

import keras
import numpy as np
import pytest

from violence_detection import registry
from violence_detection.models.classifier import load_model
from violence_detection.models.detectors import _error
from violence_detection.models.forward_pass import run_model
from violence_detection.models.output_set import OutputSet

each_detector = pytest.mark.parametrize("name", registry.available("detectors"))


@pytest.fixture
def clips(rng) -> np.ndarray:
    scales = rng.uniform(0.5, 2, size=(1, 1, 5))
    return (rng.normal(size=(60, 4, 5)) * scales).astype(np.float16)


@each_detector
def test_a_detector_has_its_name_and_says_what_it_is(name):
    part = registry.module("detectors", name)
    assert part.name == name
    assert part.__doc__ and part.build.__doc__
    assert inspect.signature(part.build).parameters["clips"].kind == inspect.Parameter.KEYWORD_ONLY


@each_detector
def test_a_detector_gives_a_float32_error_per_clip(name, clips):
    detector = registry.load("detectors", name, clips=clips)
    assert isinstance(detector, keras.Model)
    assert detector.input_shape == (None, *clips.shape[1:])
    errors = run_model(detector, clips[:7])
    assert errors.shape == (7, 1) and errors.dtype == np.float32 and (errors >= 0).all()


@each_detector
def test_a_saved_detector_scores_the_border_with_one_half(name, clips, tmp_path):
    detector = registry.load("detectors", name, clips=clips)
    errors = run_model(detector, clips)[:, 0]
    border = float(np.quantile(errors, 0.95))
    classifier = _error.with_border(detector, border)
    classifier.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    probability = OutputSet.of_model(loaded).predictions(run_model(loaded, clips))
    np.testing.assert_allclose(probability[:, 1], errors / (errors + border), atol=1e-5)
    assert np.mean(probability[:, 1] >= 0.5) == pytest.approx(0.05, abs=0.02)


@each_detector
def test_a_clip_far_from_the_normal_ones_has_a_larger_error(name, clips):
    detector = registry.load("detectors", name, clips=clips)
    far = clips[:5] + np.float16(8)
    assert run_model(detector, far).min() > run_model(detector, clips).max()


@each_detector
def test_few_and_equal_clips_give_a_finite_detector(name):
    clips = np.ones((2, 3, 4), np.float16)
    detector = registry.load("detectors", name, clips=clips)
    assert np.isfinite(run_model(detector, np.zeros((3, 3, 4), np.float16))).all()
