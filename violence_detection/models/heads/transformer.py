"""A projection, self-attention between the frames and attention over time, beside pooled
statistics."""

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

    An encoder with its norms before each half of a block, which trains without a long
    warm-up.

    Args:
        examples: Training clips to standardise by, float16 (N, T, D).
        recurrence: Not used: there is none.
        projection: Size that the features are reduced to, which is the encoder's.
        layers: Blocks of self-attention and two dense layers.
        heads: Of the self-attention; each has projection / heads dimensions, rounded up.
        units: Of the first of the dense layers.
        feature_dropout: Share of the features that the encoder does not see, for a whole
            clip at a time.
        block_dropout: Of what each half of a block adds.
        dropout: Before the logits.
        change: Also show the encoder how much each feature changes from frame to frame.
        statistics: Also give the logits the mean, deviation and mean absolute first and
            second difference over time of the features.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
        Xiong et al., 2020, https://arxiv.org/abs/2002.04745 (norms first)
    """

    def read(hidden):
        hidden = SinePositions(name="positions")(hidden)
        for number in range(1, layers + 1):
            hidden = _block(
                hidden,
                heads=heads,
                units=units,
                dropout=block_dropout,
                name=f"block_{number}",
            )
        return keras.layers.LayerNormalization(name="norm")(hidden)

    return _sequence.build(
        "transformer",
        read,
        examples=examples,
        projection=projection,
        attention=projection,
        feature_dropout=feature_dropout,
        dropout=dropout,
        change=change,
        statistics=statistics,
    )


def _block(
    hidden: keras.KerasTensor, *, heads: int, units: int, dropout: float, name: str
) -> keras.KerasTensor:
    size = hidden.shape[-1]
    # No dropout inside: with it Keras takes a softmax in the reduced precision. No biases:
    # that of the keys would not change a weight of the softmax.
    attention = keras.layers.MultiHeadAttention(
        heads, -(-size // heads), use_bias=False, name=f"{name}_attention"
    )
    normed = keras.layers.LayerNormalization(name=f"{name}_attention_norm")(hidden)
    more = attention(normed, normed)
    more = keras.layers.Dropout(dropout, name=f"{name}_attention_dropout")(more)
    hidden = keras.layers.Add(name=f"{name}_attention_sum")([hidden, more])

    more = keras.layers.LayerNormalization(name=f"{name}_norm")(hidden)
    more = keras.layers.Dense(units, activation="gelu", name=f"{name}_hidden")(more)
    more = keras.layers.Dense(size, name=f"{name}_output")(more)
    more = keras.layers.Dropout(dropout, name=f"{name}_dropout")(more)
    return keras.layers.Add(name=f"{name}_sum")([hidden, more])
