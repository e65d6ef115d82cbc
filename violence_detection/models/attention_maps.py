"""Attention weights of a classifier over the frames of a clip."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def attention_weights(classifier: "keras.Model", features: np.ndarray) -> dict[str, np.ndarray]:
    """Attention weights of a classifier over time.

    Args:
        classifier: A model of any head, or an ensemble.
        features: float16 (N, T, D); of videos in segments there are none.

    Returns:
        The weights of each `AttentionPooling` layer by its name, float32 (N, T); rows sum to 1.
        Empty for a head without attention.
    """
    import tensorflow as tf

    if len(features.shape) == 4:  # a video in segments has no weights of its own
        return {}
    weights = _weights(classifier)
    if weights is None:
        return {}
    by_layer = weights(tf.constant(features, tf.float32))
    return {name: weights.numpy() for name, weights in by_layer.items()}


@functools.lru_cache(maxsize=2)
def _weights(classifier: "keras.Model") -> Callable | None:
    """A graph from features to the weights of all layers; None without such a layer."""
    import tensorflow as tf

    parts = list(_pooling_layers(classifier))
    if not parts:
        return None

    def weights(inputs):
        by_layer = {}
        for name, before, layer in parts:
            _, by_layer[name] = layer(before(inputs, training=False), return_weights=True)
        return by_layer

    # By `partial` TensorFlow does not take the graphs of several models for one that is traced
    # again and again, and does not warn.
    return tf.function(functools.partial(weights), reduce_retracing=True)


def _pooling_layers(
    classifier: "keras.Model", prefix: str = ""
) -> Iterator[tuple[str, "keras.Model", "keras.layers.Layer"]]:
    """Each attention layer, also of ensemble members: its name, the model from features to its
    input, and the layer."""
    import keras

    from violence_detection.models.heads._layers import AttentionPooling

    for layer in classifier.layers:
        if isinstance(layer, keras.Model):
            yield from _pooling_layers(layer, f"{prefix}{layer.name}/")
        elif isinstance(layer, AttentionPooling):
            before = keras.Model(classifier.input, layer.input)
            yield prefix + layer.name, before, layer
