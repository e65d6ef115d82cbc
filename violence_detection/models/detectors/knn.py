"""Mean distance to the nearest normal clips."""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops

from violence_detection.models.detectors._error import examples_of, standardised_statistics
from violence_detection.models.neighbours.clip_distances import NEIGHBOURS
from violence_detection.registry import Range

name = "knn"


@keras.saving.register_keras_serializable(package="violence_detection")
class MeanOfNearest(keras.layers.Layer):
    """The mean of the k smallest distances.

    Inputs: ``|b|^2 - 2 a.b`` of M references, (B, M), and a, (B, F). Output: float32 (B, 1).

    Args:
        k: How many are averaged.
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.k = k

    def call(self, inputs):
        partial, point = inputs
        # Keras' `add` takes (B, 1) for a bias (B,) where B = M, and adds it to the wrong axis.
        squared = partial - ops.negative(ops.sum(ops.square(point), axis=-1, keepdims=True))
        nearest = -ops.top_k(-squared, self.k, sorted=True)[0]
        distances = ops.sqrt(ops.maximum(nearest, 0.0))
        return ops.mean(distances, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "k": self.k}


def build(
    *,
    clips: np.ndarray,
    k: Annotated[int, Range(1, 1000)] = NEIGHBOURS,
    references: Annotated[int, Range(1, 4096)] = 1024,
) -> keras.Model:
    """The mean distance to the k nearest normal clips, of standardised statistics over time.

    Args:
        clips: Normal clips, float16 (N, T, D).
        k: How many are averaged; fewer where there are fewer clips.
        references: Clips that are kept in the model, evenly spaced; they are most of its size.
    """
    examples = examples_of(clips)
    features, statistics, values = standardised_statistics(examples)
    values = values[:: -(-len(values) // references)]
    partial = keras.layers.Dense(len(values), trainable=False, dtype="float32", name="references")
    products = partial(statistics)
    partial.set_weights([-2 * values.T, np.square(values).sum(axis=1)])
    error = MeanOfNearest(min(k, len(values)), name="error")([products, statistics])
    return keras.Model(features, error, name=name)
