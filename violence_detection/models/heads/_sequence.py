"""The common frame of heads that encode frames in order: layers before and after the encoder."""

from collections.abc import Callable

import keras
import numpy as np

from violence_detection.models.heads._layers import (
    AttentionPooling,
    TemporalChange,
    TemporalStatistics,
    standardise,
)
from violence_detection.models.outputs._output import Encoded

_UNROLLED_STEPS = 48  # unrolling more steps delays the start of a training by seconds


def build(
    name: str,
    encode: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    examples: np.ndarray,
    projection: int,
    attention: int,
    feature_dropout: float,
    dropout: float,
    change: bool,
    statistics: bool,
) -> Encoded:
    """Standardises, projects, encodes and pools the features by attention.

    Args:
        name: Name of the head.
        encode: From projected features (B, T, projection) to (B, T, any).
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        projection: Size of the features after the projection.
        attention: Hidden units of the attention over time.
        feature_dropout: Fraction of the features dropped, for a whole clip at a time.
        dropout: Fraction dropped before the output.
        change: Encode also the change of each feature from frame to frame.
        statistics: Give the output also the mean, deviation and mean absolute first and
            second difference over time of the features.

    Returns:
        The encoded clip; its statistics are None without `statistics`.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    hidden = standardise(examples, "standardise")(features)
    if change:
        difference = TemporalChange(dtype="float32", name="change")
        changes = difference(features)
        changes = standardise(examples, "standardise_change", of=difference)(changes)
        hidden = keras.layers.Concatenate(dtype="float32", name="both")([hidden, changes])
    hidden = keras.layers.SpatialDropout1D(feature_dropout, name="dropout_features")(hidden)
    hidden = keras.layers.Dense(projection, activation="gelu", name="projection")(hidden)
    hidden = encode(hidden)
    pooled = AttentionPooling(attention, name="attention")(hidden)
    pooled = keras.layers.Dropout(dropout, name="dropout_pooled")(pooled)
    pooled_statistics = None
    if statistics:
        pool = TemporalStatistics(second_difference=True, dtype="float32", name="statistics")
        pooled_statistics = pool(features)
        scale = standardise(examples, "standardise_statistics", of=pool)
        pooled_statistics = scale(pooled_statistics)
    return Encoded(name, features, pooled, hidden, pooled_statistics, dropout)


def recurrence(
    cell: type[keras.layers.RNN],
    name: str,
    *,
    layers: int,
    units: int,
    computed: str,
    dropout: float = 0.0,
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """An encoder of stacked bidirectional recurrences, (B, T, any) -> (B, T, 2 units).

    Args:
        cell: LSTM or GRU.
        name: Prefix of the layer names.
        layers, units: Number of layers, and units of each direction.
        computed: `cudnn`, `loop`, or `unrolled`: a copy of the cell for each frame, if layers
            times frames are few.
        dropout: Fraction dropped after each layer.
    """

    def encode(hidden):
        for number in range(1, layers + 1):
            few = layers * hidden.shape[1] <= _UNROLLED_STEPS
            forward = cell(
                units,
                return_sequences=True,
                use_cudnn="auto" if computed == "cudnn" else False,
                unroll=computed == "unrolled" and few,
            )
            hidden = keras.layers.Bidirectional(forward, name=f"{name}_{number}")(hidden)
            if dropout:
                hidden = keras.layers.Dropout(dropout, name=f"{name}_dropout_{number}")(hidden)
        return hidden

    return encode


def transformer_block(
    hidden: keras.KerasTensor, *, heads: int, units: int, dropout: float, name: str
) -> keras.KerasTensor:
    """Self-attention between frames and two dense layers, norms first: (B, T, H) to the same.

    Args:
        hidden: The frames.
        heads: Heads of the self-attention; each has H / heads dimensions, rounded up.
        units: Units of the first dense layer.
        dropout: Fraction dropped of the output of each half.
        name: Prefix of the layer names.
    """
    size = hidden.shape[-1]
    # No dropout inside: with it Keras computes the softmax in the reduced precision. No biases:
    # a bias of the keys cancels in the softmax.
    attention = keras.layers.MultiHeadAttention(
        heads, -(-size // heads), use_bias=False, name=f"{name}_attention"
    )
    normed = keras.layers.LayerNormalization(name=f"{name}_attention_norm")(hidden)
    residual = attention(normed, normed)
    residual = keras.layers.Dropout(dropout, name=f"{name}_attention_dropout")(residual)
    hidden = keras.layers.Add(name=f"{name}_attention_sum")([hidden, residual])

    residual = keras.layers.LayerNormalization(name=f"{name}_norm")(hidden)
    residual = keras.layers.Dense(units, activation="gelu", name=f"{name}_hidden")(residual)
    residual = keras.layers.Dense(size, name=f"{name}_output")(residual)
    residual = keras.layers.Dropout(dropout, name=f"{name}_dropout")(residual)
    return keras.layers.Add(name=f"{name}_sum")([hidden, residual])
