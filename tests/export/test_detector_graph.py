"""Detectors are exported with Keras' own layers alone."""

import numpy as np
import pytest

from violence_detection import registry
from violence_detection.export.graphs.classifier_graph import build_plain_classifier
from violence_detection.models.detectors import _error
from violence_detection.models.forward_pass import run_model


@pytest.mark.parametrize("name", registry.available("detectors"))
def test_the_exported_graph_has_the_score_of_the_detector(name, rng):
    clips = rng.normal(size=(40, 4, 5)).astype(np.float16)
    detector = registry.load("detectors", name, clips=clips)
    errors = run_model(detector, clips)[:, 0]
    classifier = _error.with_border(detector, 7.0)
    plain = build_plain_classifier(classifier, temperature=1.0, unrolled=False)
    modules = {type(layer).__module__.split(".")[0] for layer in plain.layers}
    assert "violence_detection" not in modules
    score = run_model(plain, clips)["probability"][:, 0]
    np.testing.assert_allclose(
        score, errors / (errors + 7.0), atol=1e-4
    )  # the distance of a clip to itself is rounding
