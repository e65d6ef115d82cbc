"""What heads share that read a clip in its order: all that is before and after the reading."""

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

_UNROLLED_STEPS = 48  # of more, the start takes seconds longer


def build(
    name: str,
    read: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    examples: np.ndarray,
    projection: int,
    attention: int,
    feature_dropout: float,
    dropout: float,
    change: bool,
    statistics: bool,
) -> Encoded:
    """Standardised features, projected, read, pooled by attention; pooled statistics beside.

    Args:
        name: Of the model.
        read: From what is projected (B, T, projection) to (B, T, any).
        examples: Training clips to standardise by, float16 (N, T, D).
        projection: Size that the features are reduced to.
        attention: Units behind the scores of the attention over time.
        feature_dropout: Share of the features that are not read, for a whole clip at a time.
        dropout: Before the logits.
        change: Also read how much each feature changes from frame to frame.
        statistics: Also give the logits the mean, deviation and mean absolute first and
            second difference over time of the features.

    Returns:
        From features (B, T, D) to float32 logits (B, outputs).
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
    hidden = read(hidden)
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
    cell: type[keras.layers.RNN], name: str, *, layers: int, units: int, computed: str
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """A `read`: bidirectional recurrences one after the other, (B, T, any) -> (B, T, 2 units).

    Args:
        computed: `cudnn`, `loop`, or `unrolled`: frame after frame in the graph, where they are
            few over all layers.
    """

    def read(hidden):
        for number in range(1, layers + 1):
            few = layers * hidden.shape[1] <= _UNROLLED_STEPS
            one_way = cell(
                units,
                return_sequences=True,
                use_cudnn="auto" if computed == "cudnn" else False,
                unroll=computed == "unrolled" and few,
            )
            both_ways = keras.layers.Bidirectional(one_way, name=f"{name}_{number}")
            hidden = both_ways(hidden)
        return hidden

    return read
