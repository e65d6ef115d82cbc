"""TensorFlow on whatever device it finds; always there."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


def build(*, backbone: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pictures, uint8 (N, S, S, 3) RGB, to features, float32 (N, D)."""
    shape = backbone.input_shape
    signature = tf.TensorSpec((None, *shape[1:]), tf.uint8)

    @tf.function(input_signature=[signature])
    def encode(pictures: tf.Tensor) -> tf.Tensor:
        return backbone(tf.cast(pictures, tf.float32), training=False)

    return lambda pictures: encode(tf.constant(pictures)).numpy()
