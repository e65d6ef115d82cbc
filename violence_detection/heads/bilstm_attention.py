"""A projection, bidirectional LSTMs and attention over time, beside pooled statistics."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.heads._layers import (
    AttentionPooling,
    TemporalChange,
    TemporalStatistics,
    changes_of,
    standardise,
    statistics_of,
)
from violence_detection.parts import Range


def build(
    *,
    examples: np.ndarray,
    outputs: int,
    use_cudnn: bool,
    projection: Annotated[int, Range(1, 8192)] = 64,
    layers: Annotated[int, Range(1, 8)] = 1,
    units: Annotated[int, Range(1, 4096)] = 32,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
    change: bool = True,
    statistics: bool = True,
) -> keras.Model:
    """A model from features (B, T, D) to float32 logits (B, outputs).

    Args:
        examples: Training clips to standardise by, float16 (N, T, D).
        outputs: K.
        use_cudnn: Let a GPU use cuDNN's LSTM, which XLA cannot compile.
        projection: Size that the features are reduced to before the recurrence.
        layers, units: Of the LSTMs, in each direction.
        feature_dropout: Share of the features that the recurrence does not see, for a
            whole clip at a time.
        dropout: Before the logits.
        change: Also show the recurrence how much each feature changes from frame to frame.
        statistics: Also give the logits the mean, deviation and mean absolute difference
            over time of the features: on a few hundred videos the recurrence alone overfits.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    hidden = standardise(examples, "standardise")(features)
    if change:
        changes = TemporalChange(dtype="float32", name="change")(features)
        changes = standardise(changes_of(examples), "standardise_change")(changes)
        hidden = keras.layers.Concatenate(dtype="float32", name="both")(
            [hidden, changes]
        )
    hidden = keras.layers.SpatialDropout1D(feature_dropout, name="dropout_features")(
        hidden
    )
    hidden = keras.layers.Dense(projection, activation="gelu", name="projection")(
        hidden
    )
    for number in range(1, layers + 1):
        lstm = keras.layers.LSTM(
            units, return_sequences=True, use_cudnn="auto" if use_cudnn else False
        )
        hidden = keras.layers.Bidirectional(lstm, name=f"bilstm_{number}")(hidden)
    pooled = AttentionPooling(units, name="attention")(hidden)
    pooled = keras.layers.Dropout(dropout, name="dropout_pooled")(pooled)
    logits = _logits(outputs, "logits")(pooled)
    if statistics:
        pooled = TemporalStatistics(dtype="float32", name="statistics")(features)
        pooled = standardise(statistics_of(examples), "standardise_statistics")(pooled)
        pooled = keras.layers.Dropout(dropout, name="dropout_statistics")(pooled)
        more = _logits(outputs, "logits_of_statistics")(pooled)
        logits = keras.layers.Add(dtype="float32", name="sum")([logits, more])
    return keras.Model(features, logits, name="bilstm_attention")


def _logits(outputs: int, name: str) -> keras.layers.Layer:
    # Zeros: the first answers are 50%, whatever the seed.
    return keras.layers.Dense(
        outputs, dtype="float32", kernel_initializer="zeros", name=name
    )
