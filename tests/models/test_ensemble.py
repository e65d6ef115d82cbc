"""Several classifiers as one: the mean of the probabilities, in logarithms."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from violence_detection.models import classifier
from violence_detection.models.heads import _ensemble
from violence_detection.models.outputs.classes import Classes

# Members, videos, outputs.
LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)),
    elements=st.floats(-30, 30, width=32),
)


def mean_of(logits: np.ndarray) -> np.ndarray:
    layer = _ensemble.MeanProbability()
    return keras.ops.convert_to_numpy(layer([*logits]))


# -- golden


@given(LOGITS)
def test_it_is_the_mean_of_the_probabilities(logits):
    expected = np.mean([Classes(2).predictions(member) for member in logits], axis=0)
    answered = Classes(2).predictions(mean_of(logits))
    np.testing.assert_allclose(answered, expected, atol=2e-6)


def test_rare_events_keep_their_probability():
    """Of e^-40 and e^-41 the mean is not 0."""
    mean = mean_of(np.array([[[-40.0]], [[-41.0]]], np.float32))
    assert mean.item() == pytest.approx(np.log((np.exp(-40) + np.exp(-41)) / 2), rel=1e-6)


# -- relation


@given(LOGITS)
def test_members_that_agree_change_nothing(logits):
    same = np.repeat(logits[:1], 3, axis=0)
    answered = Classes(2).predictions(mean_of(same))
    expected = Classes(2).predictions(logits[0])
    np.testing.assert_allclose(answered, expected, atol=2e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_certain_members_leave_finite_logits(outputs):
    logits = np.full((2, 1, outputs), -3e4, np.float32)
    logits[..., -1] = 3e4
    assert np.isfinite(mean_of(logits)).all()


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_saved_answers_the_same(rng, tmp_path, classes):
    clips = rng.normal(size=(12, 5, 4)).astype(np.float16)
    members = []
    for _ in range(2):
        member = classifier.build_classifier(
            head="linear", features=clips, classes=classes, recurrence="loop"
        )
        for weight in member.trainable_variables:
            weight.assign(rng.normal(size=weight.shape))
        members.append(member)
    built = _ensemble.build(members)
    built.save(tmp_path / "ensemble.keras")
    loaded = classifier.load_model(tmp_path / "ensemble.keras")
    of_ensemble = classifier.probabilities(loaded, clips)
    np.testing.assert_allclose(of_ensemble, classifier.probabilities(built, clips), atol=1e-6)
    of_members = [classifier.probabilities(member, clips) for member in members]
    np.testing.assert_allclose(of_ensemble, np.mean(of_members, axis=0), atol=1e-6)
