"""A projection, bidirectional LSTMs, and attention over time."""

import keras
import numpy as np

from violence_detection.heads._layers import (
    AttentionPooling,
    TemporalStatistics,
    standardise,
    statistics_of,
)


def build(
    *,
    examples: np.ndarray,
    outputs: int,
    use_cudnn: bool,
    projection: int = 64,
    layers: int = 1,
    units: int = 64,
    dropout: float = 0.5,
    statistics: bool = True,
) -> keras.Model:
    """A model from features (B, T, D) to float32 logits (B, outputs).

    Args:
        examples: Training clips to standardise by, float16 (N, T, D).
        outputs: K.
        use_cudnn: Let a GPU use cuDNN's LSTM, which XLA cannot compile.
        projection: Size that the features are reduced to before the recurrence.
        layers, units: Of the LSTMs, in each direction.
        dropout: Before the recurrence and before the logits.
        statistics: Also give the logits the mean, deviation and mean absolute difference
            over time of the features: on a few hundred videos the recurrence alone overfits.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    standard = standardise(examples, "standardise")(features)
    hidden = keras.layers.Dropout(dropout, name="dropout_features")(standard)
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
    dense = keras.layers.Dense(outputs, dtype="float32", name="logits")
    logits = dense(pooled)
    if statistics:
        pooled = TemporalStatistics(dtype="float32", name="statistics")(features)
        pooled = standardise(statistics_of(examples), "standardise_statistics")(pooled)
        pooled = keras.layers.Dropout(dropout, name="dropout_statistics")(pooled)
        dense = keras.layers.Dense(
            outputs,
            dtype="float32",
            name="logits_of_statistics",
            kernel_initializer="zeros",
        )
        logits = keras.layers.Add(dtype="float32", name="sum")([logits, dense(pooled)])
    return keras.Model(features, logits, name="bilstm_attention")
