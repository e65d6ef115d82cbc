"""Attention weights are those that the pooling layer uses, and reading them changes nothing."""

import keras
import numpy as np
import pytest

from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.classifier import build_classifier

HEAD = "bilstm_attention(units=2, projection=2, statistics=false)"


@pytest.fixture
def clips(rng) -> np.ndarray:
    return rng.normal(size=(8, 6, 5)).astype(np.float16)


def classifier_of(head: str, clips: np.ndarray) -> keras.Model:
    return build_classifier(head=head, features=clips, classes=2, recurrence="loop")


def test_attention_is_what_the_pooling_weighs(clips):
    model = classifier_of(HEAD, clips)
    (weights,) = attention_weights(model, clips).values()
    assert weights.shape == (8, 6)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    pooling = model.get_layer("attention")
    before = model.layers[model.layers.index(pooling) - 1]
    parts = keras.Model(model.input, [before.output, pooling.output])
    hidden, pooled = parts(clips.astype(np.float32), training=False)
    np.testing.assert_allclose(np.einsum("bt,btd->bd", weights, hidden), pooled, atol=1e-5)


def test_reading_the_attention_leaves_the_model_as_it_was(clips):
    model = classifier_of("bilstm_attention(units=2)", clips)
    before = model.to_json()
    attention_weights(model, clips)
    assert model.to_json() == before


def test_a_head_without_attention_has_no_weights(clips):
    assert attention_weights(classifier_of("linear", clips), clips) == {}
