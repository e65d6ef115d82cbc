"""Constants of the standardisation from the summed moments of several parts."""

import numpy as np
import pytest

from violence_detection.models import classifier, standardisation
from violence_detection.models.standardisation import Moments


def build(features: np.ndarray, head: str):
    return classifier.build_classifier(head=head, features=features, classes=2, recurrence="loop")


@pytest.fixture
def features(rng) -> np.ndarray:
    return (rng.normal(size=(90, 5, 8)) * rng.uniform(0.1, 3, 8) + 5).astype(np.float16)


@pytest.mark.parametrize("head", ["linear", "bilstm_attention"])
def test_one_part_gives_the_constants_of_the_head_and_several_those_of_the_pool(features, head):
    model = build(features, head)
    alone = standardisation.moments_of(model, features)
    parts = [standardisation.moments_of(model, part) for part in np.array_split(features, [7, 40])]
    constants = standardisation.constants_of(model)
    assert len(constants) == (1 if head == "linear" else 3)
    for name, wanted in constants.items():
        same = Moments.joined([alone[name]]).constants()
        assert np.array_equal(same.mean, wanted.mean)
        assert np.array_equal(same.variance, wanted.variance)
        joined = Moments.joined([part[name] for part in parts]).constants()
        np.testing.assert_allclose(joined.mean, wanted.mean, rtol=1e-6)
        np.testing.assert_allclose(joined.variance, wanted.variance, rtol=1e-6)


def test_replaced_constants_are_used_and_saved(features, tmp_path):
    model, of_few = build(features, "linear"), build(features[:4], "linear")
    clips = features[:6].astype(np.float32)
    model.set_weights([np.ones(weight.shape) for weight in model.weights])
    of_few.set_weights(model.get_weights())
    assert not np.array_equal(of_few(clips), model(clips))
    standardisation.set_constants(of_few, standardisation.constants_of(model))
    of_few.save(tmp_path / "model.keras")
    loaded = classifier.load_model(tmp_path / "model.keras")
    assert np.array_equal(of_few(clips), model(clips))
    assert np.array_equal(loaded(clips), model(clips))
