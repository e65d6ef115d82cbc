"""Score of each frame from labels of whole clips (multiple instance learning)."""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from violence_detection.models.heads._layers import standardise
from violence_detection.models.outputs._output import Encoded, OutputDefaults
from violence_detection.registry import Range

_KEPT = 0.9  # of a running mean in a step


@keras.saving.register_keras_serializable(package="violence_detection")
class BagScore(keras.layers.Layer):
    """Puts the score of the bag behind those of its frames: (B, T) -> float32 (B, T + 1).

    Args:
        top: The mean of so many largest scores is the bag's.
    """

    def __init__(self, top: int = 1, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.top = top

    def call(self, inputs):
        inputs = ops.cast(inputs, "float32")
        count = inputs.shape[-1]  # None for bags of any number of segments
        top = self.top if count is None else min(self.top, count)
        if top == 1:
            bag = ops.max(inputs, axis=-1, keepdims=True)
        else:
            bag = ops.mean(ops.top_k(inputs, top)[0], axis=-1, keepdims=True)
        return ops.concatenate([inputs, bag], axis=-1)

    def compute_output_shape(self, input_shape):
        count = input_shape[1]
        return (input_shape[0], None if count is None else count + 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "top": self.top}


class Mil(OutputDefaults):
    """The output that ranks frames, or segments, of violent clips above those of normal ones.

    The hinge loss over pairs of bags is taken against running means of the scores of violent bags
    (A) and of normal bags (N), so that it is a sum over rows:
    ``relu(margin + s - A)`` of a normal bag, ``relu(margin + N - s)`` of a violent one; and of a
    violent one also ``smooth * sum (a[n] - a[n + 1])^2 + sparse * sum a[n]``.

    Reference:
        Sultani, Chen and Shah, 2018, https://arxiv.org/abs/1801.04264
    """

    name = "mil"
    state = (0.5, 0.5)  # A, N
    observed = 4

    def __init__(
        self, weight: float, top: int, margin: float, smooth: float, sparse: float
    ) -> None:
        self.weight, self._top, self._margin = weight, top, margin
        self._smooth, self._sparse = smooth, sparse

    def build(self, encoded: Encoded, others) -> keras.KerasTensor:
        """float32 (B, T + 1): the score of each frame, and of the bag, in [0, 1]."""
        sequence = encoded.sequence
        if sequence is None:
            sequence = standardise(encoded.examples, "mil_standardise")(encoded.features)
        frames = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="mil_frames")
        scores = keras.layers.Reshape((-1,), dtype="float32", name="mil_scores")(frames(sequence))
        return BagScore(self._top, name="mil_bag")(scores)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """1 for a violent row, float32 (N, 1)."""
        return (labels > 0).astype(np.float32)[:, None]

    def loss(self, targets, outputs, state):
        violent, frames, bag = targets[:, 0], outputs[:, :-1], outputs[:, -1]
        ranked = ops.relu(self._margin + state[1] - bag)
        if frames.shape[-1] > 1:
            change = ops.square(frames[:, 1:] - frames[:, :-1])
            ranked = ranked + self._smooth * ops.sum(change, axis=-1)
        ranked = ranked + self._sparse * ops.sum(frames, axis=-1)
        return violent * ranked + (1 - violent) * ops.relu(self._margin + bag - state[0])

    def observe(self, targets, outputs):
        """Score and number of violent bags, and of normal ones, (B, 4)."""
        violent, bag = targets[:, 0], outputs[:, -1]
        columns = [violent * bag, violent, (1 - violent) * bag, 1 - violent]
        return ops.stack(columns, axis=-1)

    def move(self, state, sums):
        means = ops.stack([_mean(sums[0], sums[1], state[0]), _mean(sums[2], sums[3], state[1])])
        return _KEPT * state + (1 - _KEPT) * means

    def score(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, -1].astype(np.float64)

    def evidence(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.reshape(outputs[:, -1:], (-1, 1))  # also of an unknown number of segments

    def score_layers(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.evidence(outputs)


def _mean(total, count, without):
    """total / count, or `without` where nothing was counted."""
    return ops.where(count > 0, total / ops.maximum(count, 1e-12), without)


def build(
    *,
    count: int,
    weight: Annotated[float, Range(0, 1000)] = 1.0,
    top: Annotated[int, Range(1, 4096)] = 1,
    margin: Annotated[float, Range(0, 1)] = 0.5,
    smooth: Annotated[float, Range(0, 1)] = 8e-5,
    sparse: Annotated[float, Range(0, 1)] = 8e-5,
) -> Mil:
    """The output of multiple instance learning.

    Args:
        count: Not used: bags are normal or violent.
        weight: Factor of the loss.
        top: The score of a clip is the mean of its so many highest frames.
        margin: Distance that violent bags shall have from normal ones.
        smooth, sparse: Factors of the change from frame to frame, and of the sum, in violent bags.
    """
    return Mil(weight, top, margin, smooth, sparse)
