"""TensorFlow on the GPU if it finds one, else on the CPU; always installed."""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

ON_GPU = True
SINGLE_IMAGES = False


def missing() -> str:
    """The extra that must be installed: none."""
    return ""


def preference(*, gpus: int) -> int:
    """The preference for the engine on a machine with so many GPUs; `auto` takes the highest."""
    return 1


def gains(*, depthwise: bool, gpus: int) -> bool:
    """True if reduced precision is faster.

    On a CPU it is not for depthwise convolutions: MobileNetV2 in bfloat16 ran at 0.68 of the rate
    in float32, VGG19 at 1.95.
    """
    return gpus > 0 or not depthwise


def policy(precision: str) -> str:
    """The dtype policy of the backbone."""
    return precision


def build(
    *, backbone: keras.Model, precision: str, kept: Path | None
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images, uint8 (N, S, S, 3) RGB, to features, float32 (N, D).

    On a CPU each image is run by itself, as many at a time as there are cores. In a batch the last
    bits of an image would depend on its place: matrix products sum their last rows in another order
    (observed on AVX2).

    Args:
        backbone: From float32 (B, S, S, 3) to (B, D), built under `policy(precision)`.
        precision, kept: Not used, as the backbone is not converted.
    """
    shape = backbone.input_shape
    signature = tf.TensorSpec((None, *shape[1:]), tf.uint8)
    on_gpu = bool(tf.config.list_logical_devices("GPU"))

    def features_of(images: tf.Tensor) -> tf.Tensor:
        return backbone(tf.cast(images, tf.float32), training=False)

    @tf.function(input_signature=[signature])
    def encode(images: tf.Tensor) -> tf.Tensor:
        if on_gpu:
            return features_of(images)
        return tf.map_fn(
            lambda image: features_of(image[None])[0],
            images,
            fn_output_signature=tf.float32,
            parallel_iterations=len(os.sched_getaffinity(0)),
        )

    return lambda images: encode(tf.constant(images)).numpy()
