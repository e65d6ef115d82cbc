"""Runs a model on features, batch by batch."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def run_model(
    model: "keras.Model", features: np.ndarray, *, batch_size: int = 64
) -> "np.ndarray | dict[str, np.ndarray]":
    """The outputs of a model without dropout, float32 (N, ...), or a dict of such arrays.

    Args:
        model: From features (B, T, D).
        features: float16 (N, T, D).
        batch_size: Clips at a time.
    """
    import tensorflow as tf

    forward = _forward(model)
    blocks = [
        forward(tf.constant(features[start : start + batch_size], tf.float32))
        for start in range(0, len(features), batch_size)
    ]
    if isinstance(blocks[0], dict):
        return {
            name: np.concatenate([block[name].numpy() for block in blocks]) for name in blocks[0]
        }
    return np.concatenate([block.numpy() for block in blocks])


@functools.lru_cache(maxsize=2)
def _forward(model: "keras.Model") -> Callable:
    """The forward pass as a graph, traced once and not at every epoch's validation."""
    import tensorflow as tf

    return tf.function(functools.partial(model, training=False), reduce_retracing=True)
