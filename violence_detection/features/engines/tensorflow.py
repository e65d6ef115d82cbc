"""TensorFlow on whatever device it finds; always there."""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

ON_GPU = True


def missing() -> str:
    """What must be installed for it: nothing."""
    return ""


def rank(*, gpus: int) -> int:
    """How good a choice it is on a machine with so many GPUs."""
    return 1


def gains(*, depthwise: bool, gpus: int) -> bool:
    """Whether reduced precision is faster: on a CPU not for depthwise convolutions (MobileNetV2
    in bfloat16 ran at 0.68 of float32's rate, VGG19 at 1.95)."""
    return gpus > 0 or not depthwise


def policy(precision: str) -> str:
    """The dtype policy that the backbone is built under."""
    return precision


def build(
    *, backbone: keras.Model, precision: str, kept: Path | None
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pictures, uint8 (N, S, S, 3) RGB, to features, float32 (N, D).

    On a CPU each picture is run by itself, as many at a time as there are cores. In a batch
    the last bits of a picture would depend on its place: the last rows of a product, whatever
    picture they are of, are summed in another order (seen on AVX2).

    Args:
        backbone: From float32 (B, S, S, 3) to (B, D), built under `policy(precision)`.
        precision, kept: Not used: there is nothing to convert.
    """
    shape = backbone.input_shape
    signature = tf.TensorSpec((None, *shape[1:]), tf.uint8)
    on_gpu = bool(tf.config.list_logical_devices("GPU"))

    def features_of(pictures: tf.Tensor) -> tf.Tensor:
        return backbone(tf.cast(pictures, tf.float32), training=False)

    @tf.function(input_signature=[signature])
    def encode(pictures: tf.Tensor) -> tf.Tensor:
        if on_gpu:
            return features_of(pictures)
        return tf.map_fn(
            lambda picture: features_of(picture[None])[0],
            pictures,
            fn_output_signature=tf.float32,
            parallel_iterations=len(os.sched_getaffinity(0)),
        )

    return lambda pictures: encode(tf.constant(pictures)).numpy()
