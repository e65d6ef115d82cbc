"""Distance to the mean of normal clips, by their shrunk covariance (Mahalanobis)."""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops

from violence_detection.models.detectors._error import examples_of, standardised_statistics
from violence_detection.registry import Range

name = "mahalanobis"


@keras.saving.register_keras_serializable(package="violence_detection")
class SumOfSquares(keras.layers.Layer):
    """``|w|^2 + rest (|z|^2 - |p|^2)``: w and p (B, r), z (B, F) -> float32 (B, 1).

    Args:
        rest: The inverse variance of the directions that p leaves out.
    """

    def __init__(self, rest: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.rest = rest

    def call(self, inputs):
        weighted, projected, whole = (
            ops.sum(ops.square(values), axis=-1, keepdims=True) for values in inputs
        )
        return weighted + self.rest * ops.maximum(whole - projected, 0.0)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "rest": self.rest}


def build(*, clips: np.ndarray, components: Annotated[int, Range(1, 4096)] = 512) -> keras.Model:
    """The squared Mahalanobis distance, of standardised statistics over time.

    The covariance is shrunk towards a multiple of the identity by the factor of Ledoit and Wolf.
    Its leading components have their own variance; all other directions have their mean one.

    Args:
        clips: Normal clips, float16 (N, T, D).
        components: Components with a variance of their own; fewer where there are fewer clips.

    Reference:
        Ledoit and Wolf, 2004, https://doi.org/10.1016/S0047-259X(03)00096-4
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    features, statistics, values = standardised_statistics(examples_of(clips))
    values = values.astype(np.float64)
    centre = values.mean(axis=0)
    centred = values - centre
    count, size = centred.shape
    shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    total = np.square(centred).sum() / count
    mean_variance = total / size
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    kept = min(components, len(singular))
    variances = np.square(singular[:kept]) / count
    shrunk = (1 - shrinkage) * variances + shrinkage * mean_variance
    left = max(total - variances.sum(), 0.0) / max(size - kept, 1)
    rest = (1 - shrinkage) * left + shrinkage * mean_variance
    smallest = 1e-6 * mean_variance + 1e-12
    shrunk, rest = np.maximum(shrunk, smallest), max(rest, smallest)

    kernel = directions[:kept].T
    centred_statistics = keras.layers.Normalization(
        mean=centre.astype(np.float32),
        variance=np.ones(size, np.float32),
        dtype="float32",
        name="centre",
    )(statistics)
    projected = keras.layers.Dense(
        kept, use_bias=False, trainable=False, dtype="float32", name="components"
    )
    weighted = keras.layers.Rescaling(
        (1 / np.sqrt(shrunk)).astype(np.float32).tolist(), dtype="float32", name="weights"
    )
    projection = projected(centred_statistics)
    projected.set_weights([kernel.astype(np.float32)])
    error = SumOfSquares(1 / rest if kept < size else 0.0, name="error")(
        [weighted(projection), projection, centred_statistics]
    )
    return keras.Model(features, error, name=name)
