"""Distance to the centre of normal clips in a learned space (Deep SVDD)."""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops

from violence_detection.models.outputs._anomaly import (
    Anomaly,
    Border,
    standardised_statistics,
    values_of,
)
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range

_SMALLEST_COORDINATE = 0.1  # of the centre: a coordinate of 0 is reached by weights of 0


@keras.saving.register_keras_serializable(package="violence_detection")
class DistanceToCentre(keras.layers.Layer):
    """The squared distance to a centre, a weight that is not trained: (B, U) -> float32 (B, 1)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape) -> None:
        self.centre = self.add_weight(
            name="centre", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )

    def call(self, inputs):
        square = self._square(inputs, self.centre)
        return ops.sum(square, axis=-1, keepdims=True)

    def call_with_constants(self, inputs):
        """The same with an array instead of the weight, for the graph of an exported model."""
        square = self._square(inputs, np.array(self.centre, np.float32))
        return ops.sum(square, axis=-1, keepdims=True)

    def _square(self, inputs, centre):
        return ops.square(ops.cast(inputs, "float32") - centre)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)


class Svdd(Anomaly):
    """The output that scores a clip by its distance d to the centre of normal clips.

    Its layers have no biases and start from statistics that are not trained: else they could map
    every clip to the centre.

    Reference:
        Ruff et al., 2018, http://proceedings.mlr.press/v80/ruff18a.html (Deep SVDD)
    """

    name = "svdd"

    def __init__(self, weight: float, units: int, size: int, labelled: bool) -> None:
        self.weight, self._units, self._size, self._labelled = weight, units, size, labelled

    def build(self, encoded: Encoded, others) -> keras.KerasTensor:
        """float32 (B, 3): d², and the columns of `Border`: R² of the first step, and R²."""
        hidden = standardised_statistics(encoded, self.name)
        hidden = keras.layers.Dense(
            self._units, activation="relu", use_bias=False, name="svdd_hidden"
        )(hidden)
        phi = keras.layers.Dense(self._size, use_bias=False, name="svdd_phi")(hidden)
        return Border(name="svdd_border")(DistanceToCentre(name="svdd_distance")(phi))

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """1 for a normal row, float32 (N, 1)."""
        return (labels == 0).astype(np.float32)[:, None]

    def loss(self, targets, outputs, state):
        """d² of normal rows; of others 0, or max(0, 2 R - d)² if they are used; over `size`."""
        squared, radius_squared = outputs[:, 0], outputs[:, 1]
        normal = targets[:, 0]
        loss = normal * squared
        if self._labelled:
            # The slope of a root is infinite at 0.
            distance = ops.sqrt(squared + 1e-6)
            missing = ops.relu(2 * ops.sqrt(radius_squared) - distance)
            loss = loss + (1 - normal) * ops.square(missing)
        return loss / self._size

    def prepare(self, model: keras.Model, normal_clips: np.ndarray) -> None:
        """Sets the centre, the mean of phi over normal clips, and R²."""
        centre = values_of(model, "svdd_phi", normal_clips).mean(0, dtype=np.float64)
        small = np.abs(centre) < _SMALLEST_COORDINATE
        centre[small] = np.where(centre[small] < 0, -1, 1) * _SMALLEST_COORDINATE
        model.get_layer("svdd_distance").centre.assign(centre.astype(np.float32))
        super().prepare(model, normal_clips)


def build(
    *,
    count: int,
    weight: Annotated[float, Range(0, 1000)] = 1.0,
    units: Annotated[int, Range(1, 8192)] = 512,
    size: Annotated[int, Range(1, 8192)] = 256,
    labelled: bool = False,
) -> Svdd:
    """The output of Deep SVDD.

    Args:
        count: Not used: the score is the same for every number of classes.
        weight: Factor of the loss.
        units: Units of the hidden layer.
        size: Dimensions of the space of the distance.
        labelled: Push clips of other classes to twice the radius.
    """
    return Svdd(weight, units, size, labelled)
