"""The classifier for export: float32, Keras' own layers alone, probabilities as outputs."""

import keras
import numpy as np
import pytest

from violence_detection.export.formats._format import PROBABILITIES, PROBABILITY
from violence_detection.export.graphs import classifier_graph
from violence_detection.system import devices


def lstm(frames: int) -> keras.Model:
    features = keras.Input((frames, 3))
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(2))(features)
    return keras.Model(features, keras.layers.Dense(1)(hidden))


def test_a_model_of_mixed_precision_is_rebuilt_in_float32_with_its_weights():
    with devices.dtype_policy("mixed_bfloat16"):
        model = lstm(4)
    converted = classifier_graph.to_float32(model, unrolled=True)
    assert {layer.compute_dtype for layer in converted.layers} == {"float32"}
    for before, after in zip(model.get_weights(), converted.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_two_classes_have_one_output_the_sigmoid(temperature):
    logits = keras.Input((1,))
    outputs = classifier_graph.probability_outputs(logits, temperature=temperature)
    assert list(outputs) == [PROBABILITY]
    found = keras.Model(logits, outputs)(np.float32([[3.0]]))[PROBABILITY]
    assert float(found[0, 0]) == pytest.approx(1 / (1 + np.exp(-3.0 / temperature)), abs=1e-6)


def test_the_probability_of_several_classes_is_one_less_the_normal_class():
    logits = keras.Input((3,))
    model = keras.Model(logits, classifier_graph.probability_outputs(logits, temperature=1.0))
    found = model(np.log(np.float32([[1.0, 2.0, 5.0]])))
    np.testing.assert_allclose(found[PROBABILITIES], [[0.125, 0.25, 0.625]], atol=1e-6)
    np.testing.assert_allclose(found[PROBABILITY], [[0.875]], atol=1e-6)


def test_gelu_normalisation_and_dropout_become_plain_operations():
    inputs = keras.Input((4,))
    hidden = keras.layers.Normalization(mean=[1.0, 2, 3, 4], variance=[4.0, 1, 9, 1])(inputs)
    hidden = keras.layers.Dropout(0.5)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="gelu")(hidden))
    features = keras.Input((4,))
    rebuilt = keras.Model(features, classifier_graph.call_with_keras_layers(model, features))
    values = np.random.default_rng(0).normal(2, 3, (5, 4)).astype(np.float32)
    np.testing.assert_allclose(rebuilt(values), model(values), atol=1e-6)
    kinds = {type(layer).__name__ for layer in rebuilt.layers}
    assert not kinds & {"Normalization", "Dropout"}
