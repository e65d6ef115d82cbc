"""Probability of violence, from the context and from what the other outputs say."""

from collections.abc import Mapping
from typing import Annotated

import keras
import numpy as np
from keras import ops

from violence_detection.models.outputs._output import Encoded, OutputDefaults
from violence_detection.models.outputs.classes import Classes
from violence_detection.registry import Range


class Violence(OutputDefaults):
    """The output that predicts violence or none, whatever the number of classes."""

    name = "violence"
    kind = "violence"

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def build(self, encoded: Encoded, others: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor:
        """The float32 logit, (B, 1).

        Before training it is `4 (p - 1/2)` of the probability p of violence that `classes` gives,
        the log-odds of p near one half, and 0 without `classes`. So the output follows `classes`
        from the first step; from weights of 0 that would take hundreds of steps.
        """
        read = [encoded.context, *others.values()]
        if others:
            read = [keras.layers.Concatenate(dtype="float32", name="violence_evidence")(read)]
        logit = keras.layers.Dense(
            1, dtype="float32", kernel_initializer="zeros", name="violence_logit"
        )
        outputs = logit(read[0])
        if Classes.name in others:
            names = list(others)
            before = names[: names.index(Classes.name)]
            column = encoded.context.shape[-1] + sum(others[name].shape[-1] for name in before)
            # Two classes give one column, that of violence; more give one each, the normal first.
            slope = 4.0 if others[Classes.name].shape[-1] == 1 else -4.0
            kernel = np.zeros(logit.kernel.shape, np.float32)
            kernel[column] = slope
            logit.kernel.assign(kernel)
            logit.bias.assign([-slope / 2])
        return outputs

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """1 for a violent row, float32 (N, 1)."""
        return (labels > 0).astype(np.float32)[:, None]

    def loss(self, targets, outputs, state):
        """Binary cross-entropy on the logit."""
        logit = outputs[:, 0]
        return ops.softplus(logit) - targets[:, 0] * logit

    def score(self, outputs: np.ndarray) -> np.ndarray:
        logit = outputs[:, 0].astype(np.float64)
        return np.exp(-np.logaddexp(0, -logit))

    def evidence(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.sigmoid(outputs)

    def score_layers(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Activation("sigmoid", name="violence_sigmoid")(outputs)


def build(*, count: int, weight: Annotated[float, Range(0, 1000)] = 1.0) -> Violence:
    """The output of violence.

    Args:
        count: Not used: violence is every class but the normal one.
        weight: Factor of the loss.
    """
    return Violence(weight)
