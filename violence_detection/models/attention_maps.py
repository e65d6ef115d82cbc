"""Which frames of a clip a classifier looks at."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def attention_weights(classifier: "keras.Model", features: np.ndarray) -> dict[str, np.ndarray]:
    """Where a classifier looks.

    Args:
        classifier: Of any head, or several of them as one.
        features: float16 (N, T, D).

    Returns:
        Of each of its `AttentionPooling` layers, by name, the weights, float32 (N, T); rows sum
        to 1.
    """
    import tensorflow as tf

    inputs = tf.constant(features, tf.float32)
    return {name: found.numpy() for name, found in _weights(classifier)(inputs).items()}


@functools.lru_cache(maxsize=2)
def _weights(classifier: "keras.Model") -> Callable:
    """The weights of all layers as one graph."""
    import tensorflow as tf

    parts = list(_pooling_layers(classifier))

    @tf.function(reduce_retracing=True)
    def weights(inputs):
        found = {}
        for name, before, layer in parts:
            _, found[name] = layer(before(inputs, training=False), return_weights=True)
        return found

    return weights


def _pooling_layers(
    classifier: "keras.Model", prefix: str = ""
) -> Iterator[tuple[str, "keras.Model", "keras.layers.Layer"]]:
    """Name, model from features to the layer's input, and layer, of each, in members too."""
    import keras

    from violence_detection.models.heads._layers import AttentionPooling

    for layer in classifier.layers:
        if isinstance(layer, keras.Model):
            yield from _pooling_layers(layer, f"{prefix}{layer.name}/")
        elif isinstance(layer, AttentionPooling):
            before = keras.Model(classifier.input, layer.input)
            yield prefix + layer.name, before, layer
