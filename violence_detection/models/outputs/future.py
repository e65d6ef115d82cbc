"""Error of a prediction of the next frame's features."""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops

from violence_detection.errors import ConfigError
from violence_detection.models.heads._layers import standardise
from violence_detection.models.outputs._anomaly import Anomaly, Border, values_of
from violence_detection.models.outputs._output import Encoded
from violence_detection.models.outputs.vae import MeanSquare
from violence_detection.registry import Range

_FRAMES = 4096  # that the projection is taken from
_UNROLLED_FRAMES = 48


@keras.saving.register_keras_serializable(package="violence_detection")
class FixedProjection(keras.layers.Layer):
    """A projection by a matrix that is not trained: (B, T, D) -> float32 (B, T, size).

    Args:
        size: Dimensions of the result.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size = size

    def build(self, input_shape) -> None:
        self.matrix = self.add_weight(
            name="matrix",
            shape=(input_shape[-1], self.size),
            initializer="orthogonal",
            trainable=False,
        )

    def call(self, inputs):
        return ops.matmul(inputs, self.matrix)

    def call_with_constants(self, inputs):
        """The same with an array instead of the weight, for the graph of an exported model."""
        return ops.matmul(inputs, np.array(self.matrix, np.float32))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.size)

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size}


class Future(Anomaly):
    """The output that scores a clip by how badly each frame is predicted from those before it.

    What is predicted is a fixed orthonormal projection of the standardised features: of a learned
    one, training would make a constant, which is predicted without error.
    """

    name = "future"

    def __init__(self, weight: float, units: int, size: int) -> None:
        self.weight, self._units, self._size = weight, units, size

    def build(self, encoded: Encoded, others) -> keras.KerasTensor:
        """float32 (B, 3), the columns of `Border`.

        Raises:
            ConfigError: If clips have a single frame.
        """
        frames, dimensions = encoded.features.shape[1:]
        if frames < 2:
            raise ConfigError(f"`future` must have clips of 2 frames or more. Received: {frames}")
        standardised = standardise(encoded.examples, "future_standardise")(encoded.features)
        size = min(self._size, dimensions)
        projected = FixedProjection(size, name="future_projection")(standardised)
        unrolled = encoded.recurrence == "unrolled" and frames <= _UNROLLED_FRAMES
        hidden = keras.layers.LSTM(
            self._units,
            return_sequences=True,
            use_cudnn="auto" if encoded.recurrence == "cudnn" else False,
            unroll=unrolled,
            name="future_lstm",
        )(projected[:, :-1])
        estimate = keras.layers.Dense(size, dtype="float32", name="future_estimate")(hidden)
        error = MeanSquare(name="future_error")(estimate, projected[:, 1:])
        return Border(name="future_border")(error)

    def loss(self, targets, outputs, state):
        return outputs[:, 0]

    def prepare(self, model: keras.Model, normal_clips: np.ndarray) -> None:
        """Sets the projection, the principal directions of normal frames, and the border."""
        layer = model.get_layer("future_projection")
        clips = normal_clips[:: -(-len(normal_clips) * normal_clips.shape[1] // _FRAMES)]
        frames = values_of(model, "future_standardise", clips)
        frames = frames.reshape(-1, frames.shape[-1]).astype(np.float64)
        layer.matrix.assign(principal_directions(frames, layer.size).astype(np.float32))
        super().prepare(model, normal_clips)


def principal_directions(rows: np.ndarray, size: int) -> np.ndarray:
    """An orthonormal basis of the directions of largest variance, float64 (D, size).

    With fewer rows than directions, drawn ones complete the basis.

    Args:
        rows: float64 (N, D).
        size: At most D.
    """
    from sklearn.utils.extmath import randomized_svd

    known = min(size, *rows.shape)
    _, _, directions = randomized_svd(rows - rows.mean(0), known, random_state=0)
    drawn = np.random.default_rng(0).normal(size=(rows.shape[1], size - known))
    basis, _ = np.linalg.qr(np.concatenate([directions.T, drawn], axis=1))
    return basis


def build(
    *,
    count: int,
    weight: Annotated[float, Range(0, 1000)] = 1.0,
    units: Annotated[int, Range(1, 4096)] = 256,
    size: Annotated[int, Range(1, 8192)] = 256,
) -> Future:
    """The output of a prediction of the next frame.

    Args:
        count: Not used: the score is the same for every number of classes.
        weight: Factor of the loss.
        units: Units of the LSTM, which reads the frames forwards.
        size: Dimensions of the projection that is predicted; at most those of the features.
    """
    return Future(weight, units, size)
