"""Layers that detectors share, without weights, so that every export format has them."""

from typing import Any

import keras
import numpy as np
from keras import ops

from violence_detection.models.heads._layers import TemporalStatistics, standardise

_PACKAGE = "violence_detection"
_SMALLEST = 1e-12
_MAX_EXAMPLES = 4096  # clips that a detector is fitted to


@keras.saving.register_keras_serializable(package=_PACKAGE)
class LogRatio(keras.layers.Layer):
    """``log(error) - log(border)``, the logit of error / (error + border): (B, 1) -> (B, 1).

    Args:
        border: The error with the score 0.5.
    """

    def __init__(self, border: float, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.border = border

    def call(self, inputs):
        return ops.log(ops.maximum(inputs, _SMALLEST)) - float(np.log(self.border))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "border": self.border}


def examples_of(clips: np.ndarray) -> np.ndarray:
    """At most 4096 of N clips, evenly spaced.

    Args:
        clips: float16 (N, T, D).
    """
    return clips[:: -(-len(clips) // _MAX_EXAMPLES)]


def standardised_statistics(
    clips: np.ndarray,
) -> tuple[keras.KerasTensor, keras.KerasTensor, np.ndarray]:
    """The input of a detector, the standardised statistics of it, and those of its clips.

    Args:
        clips: float16 (N, T, D).

    Returns:
        The input (B, T, D); mean, deviation and mean absolute difference over time, standardised
        over the clips, float32 (B, 3 D); and the same of the clips, float32 (N, 3 D).
    """
    features = keras.Input(clips.shape[1:], dtype="float32", name="features")
    pool = TemporalStatistics(dtype="float32", name="statistics")
    scale = standardise(clips, "standardise", of=pool)
    statistics = scale(pool(features))
    model = keras.Model(features, statistics)
    blocks = [
        ops.convert_to_numpy(model(clips[start : start + 64].astype(np.float32)))
        for start in range(0, len(clips), 64)
    ]
    return features, statistics, np.concatenate(blocks)


def with_border(detector: keras.Model, border: float) -> keras.Model:
    """The detector as a classifier of two classes: from features to the logit of unusual.

    Args:
        detector: From features to the error, float32 (B, 1).
        border: The error with the score 0.5, > 0.
    """
    logits = LogRatio(border, name="logits")(detector.output)
    return keras.Model(detector.input, logits, name=detector.name)
