"""The common frame of outputs that score by an error: e / (e + border)."""

from typing import Any

import keras
import numpy as np
from keras import ops

from violence_detection.models.forward_pass import run_model
from violence_detection.models.heads._layers import TemporalStatistics, standardise
from violence_detection.models.outputs._output import Encoded, OutputDefaults

QUANTILE = 0.95  # of the errors of normal training clips: the error with the score 0.5
_SMALLEST = 1e-12


@keras.saving.register_keras_serializable(package="violence_detection")
class Border(keras.layers.Layer):
    """Puts the constants of an anomaly score beside each error.

    The constants are weights that are not trained: `first`, the border before the first step, and
    `border`, that of the score.

    Input: errors (B, 1). Output: float32 (B, 3): the error, `first`, `border`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape) -> None:
        self.first = self.add_weight(name="first", shape=(), initializer="ones", trainable=False)
        self.border = self.add_weight(name="border", shape=(), initializer="ones", trainable=False)

    def call(self, errors):
        return self._beside(errors, self.first, self.border)

    def call_with_constants(self, errors):
        """The same with numbers instead of weights, for the graph of an exported model."""
        return self._beside(errors, *(float(np.array(w)) for w in (self.first, self.border)))

    def _beside(self, errors, first, border):
        errors = ops.cast(errors, "float32")
        ones = ops.ones_like(errors)
        return ops.concatenate([errors, first * ones, border * ones], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 3)


@keras.saving.register_keras_serializable(package="violence_detection")
class FirstScore(keras.layers.Layer):
    """e / (e + first) of the columns of `Border`, float32 (B, any) -> (B, 1): the score by the
    border of the first step, which does not change after it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        return inputs[:, :1] / (inputs[:, :1] + inputs[:, 1:2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)


class Anomaly(OutputDefaults):
    """An output whose first columns are those of `Border`; its score is e / (e + border).

    Subclasses have `name`, `weight`, `build` and `loss`. The layer of the border is
    `<name>_border`.
    """

    name: str
    kind = "anomaly"

    def score(self, outputs: np.ndarray) -> np.ndarray:
        error, border = outputs[:, 0].astype(np.float64), outputs[:, 2].astype(np.float64)
        return error / (error + np.maximum(border, _SMALLEST))

    def evidence(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return FirstScore(name=f"{self.name}_evidence")(outputs)

    def score_layers(self, outputs: keras.KerasTensor) -> keras.KerasTensor:
        return outputs[:, :1] / (outputs[:, :1] + outputs[:, 2:3])

    def prepare(self, model: keras.Model, normal_clips: np.ndarray) -> None:
        layer, border = model.get_layer(f"{self.name}_border"), self._border(model, normal_clips)
        layer.first.assign(border)
        layer.border.assign(border)

    def calibrate(self, model: keras.Model, normal_clips: np.ndarray) -> None:
        layer = model.get_layer(f"{self.name}_border")
        layer.border.assign(self._border(model, normal_clips))

    def _border(self, model: keras.Model, normal_clips: np.ndarray) -> float:
        errors = run_model(
            keras.Model(model.input, model.get_layer(f"{self.name}_border").output), normal_clips
        )[:, 0]
        return max(float(np.quantile(errors.astype(np.float64), QUANTILE)), _SMALLEST)


def standardised_statistics(encoded: Encoded, name: str) -> keras.KerasTensor:
    """The standardised statistics over time of a clip, float32 (B, D').

    Those of the head, or where it has none, of layers `<name>_statistics` and
    `<name>_standardise`. They hold nothing that is trained: an error on something that is trained
    could be made small by making everything equal.
    """
    if encoded.statistics is not None:
        return encoded.statistics
    pool = TemporalStatistics(second_difference=True, dtype="float32", name=f"{name}_statistics")
    scale = standardise(encoded.examples, f"{name}_standardise", of=pool)
    return scale(pool(encoded.features))


def values_of(model: keras.Model, layer: str, clips: np.ndarray) -> np.ndarray:
    """The output of a layer of a model for clips, float32 (N, ...)."""
    return run_model(keras.Model(model.input, model.get_layer(layer).output), clips)
