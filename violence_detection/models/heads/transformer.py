"""Projection, self-attention between frames and attention over time, with pooled statistics."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads import _sequence
from violence_detection.models.heads._layers import SinePositions
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    projection: Annotated[int, Range(1, 8192)] = 64,
    layers: Annotated[int, Range(1, 12)] = 1,
    heads: Annotated[int, Range(1, 64)] = 4,
    units: Annotated[int, Range(1, 8192)] = 128,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    block_dropout: Annotated[float, Range(0, 0.99)] = 0.1,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
    change: bool = True,
    statistics: bool = True,
) -> Encoded:
    """Encodes features (B, T, D).

    The norms stand before each half of a block, so that training needs no long warm-up.

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Not used: this head has no recurrence.
        projection: Size of the features after the projection, and of the encoder.
        layers: Number of blocks of self-attention and two dense layers.
        heads: Heads of the self-attention; each has projection / heads dimensions, rounded up.
        units: Units of the first dense layer of a block.
        feature_dropout: Fraction of the features dropped before the encoder, for a whole clip
            at a time.
        block_dropout: Fraction dropped of the output of each half of a block.
        dropout: Fraction dropped before the output.
        change: Give the encoder also the change of each feature from frame to frame.
        statistics: Give the output also the mean, deviation and mean absolute first and
            second difference over time of the features.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
        Xiong et al., 2020, https://arxiv.org/abs/2002.04745 (norms first)
    """

    def encode(hidden):
        hidden = SinePositions(name="positions")(hidden)
        for number in range(1, layers + 1):
            hidden = _sequence.transformer_block(
                hidden,
                heads=heads,
                units=units,
                dropout=block_dropout,
                name=f"block_{number}",
            )
        return keras.layers.LayerNormalization(name="norm")(hidden)

    return _sequence.build(
        "transformer",
        encode,
        examples=examples,
        projection=projection,
        attention=projection,
        feature_dropout=feature_dropout,
        dropout=dropout,
        change=change,
        statistics=statistics,
    )
