"""Pooled statistics, then dense layers: what hidden layers add to `linear`."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads._layers import TemporalStatistics, standardise
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    layers: Annotated[int, Range(1, 8)] = 1,
    units: Annotated[int, Range(1, 8192)] = 128,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.5,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
) -> Encoded:
    """Encodes features (B, T, D) by mean, deviation and mean absolute difference over time.

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Not used: this head has no recurrence.
        layers, units: Number of dense layers, and their units.
        feature_dropout: Fraction of the statistics dropped in training.
        dropout: Fraction dropped after each dense layer.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    pool = TemporalStatistics(dtype="float32", name="statistics")
    hidden = standardise(examples, "standardise", of=pool)(pool(features))
    hidden = keras.layers.Dropout(feature_dropout, name="dropout_features")(hidden)
    for number in range(1, layers + 1):
        hidden = keras.layers.Dense(units, activation="gelu", name=f"hidden_{number}")(hidden)
        hidden = keras.layers.Dropout(dropout, name=f"dropout_hidden_{number}")(hidden)
    return Encoded("mlp", features, hidden)
