"""Projection, bidirectional LSTMs and attention over time, with pooled statistics."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads import _sequence
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range

_BLOCK_HEADS = 4


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    projection: Annotated[int, Range(1, 8192)] = 64,
    layers: Annotated[int, Range(1, 8)] = 1,
    units: Annotated[int, Range(1, 4096)] = 32,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
    layer_dropout: Annotated[float, Range(0, 0.99)] = 0.0,
    norm: bool = False,
    block: Annotated[int, Range(0, 8192)] = 0,
    change: bool = True,
    statistics: bool = True,
) -> Encoded:
    """Encodes features (B, T, D).

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Implementation of the recurrence, see `classifier.build_classifier`.
        projection: Size of the features after the projection, before the recurrence.
        layers, units: Number of LSTM layers, and units of each direction.
        feature_dropout: Fraction of the features dropped before the recurrence, for a whole
            clip at a time.
        dropout: Fraction dropped before the output.
        layer_dropout: Fraction dropped after each LSTM layer, and in the block.
        norm: Normalise each frame after the recurrence (layer normalisation).
        block: Units of the first dense layer of a Transformer block of 4 heads between recurrence
            and attention; 0 for none.
        change: Give the recurrence also the change of each feature from frame to frame.
        statistics: Give the output also the mean, deviation and mean absolute first and
            second difference over time of the features: on a few hundred videos the
            recurrence alone overfits.
    """
    recur = _sequence.recurrence(
        keras.layers.LSTM,
        "bilstm",
        layers=layers,
        units=units,
        computed=recurrence,
        dropout=layer_dropout,
    )

    def encode(hidden):
        hidden = recur(hidden)
        if norm:
            hidden = keras.layers.LayerNormalization(name="norm")(hidden)
        if block:
            hidden = _sequence.transformer_block(
                hidden, heads=_BLOCK_HEADS, units=block, dropout=layer_dropout, name="block"
            )
        return hidden

    return _sequence.build(
        "bilstm_attention",
        encode,
        examples=examples,
        projection=projection,
        attention=units,
        feature_dropout=feature_dropout,
        dropout=dropout,
        change=change,
        statistics=statistics,
    )
