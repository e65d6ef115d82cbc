"""Projection, dilated convolutions over time and attention, with pooled statistics."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads import _sequence
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    projection: Annotated[int, Range(1, 8192)] = 64,
    layers: Annotated[int, Range(1, 10)] = 2,
    kernel: Annotated[int, Range(2, 15)] = 3,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    block_dropout: Annotated[float, Range(0, 0.99)] = 0.1,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
    change: bool = True,
    statistics: bool = True,
) -> Encoded:
    """Encodes features (B, T, D).

    The convolutions are not causal, since a clip is complete. They are normalised over their
    channels, because statistics of a batch would differ between replicas.

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Not used: this head has no recurrence.
        projection: Size of the features after the projection, and channels of the convolutions.
        layers: Number of blocks of two convolutions, dilated by 1, 2, 4, ... frames.
        kernel: Frames in the kernel of a convolution.
        feature_dropout: Fraction of the features dropped before the convolutions, for a whole
            clip at a time.
        block_dropout: Fraction of the channels dropped after each convolution, likewise.
        dropout: Fraction dropped before the output.
        change: Give the convolutions also the change of each feature from frame to frame.
        statistics: Give the output also the mean, deviation and mean absolute first and
            second difference over time of the features.

    Reference:
        Bai, Kolter and Koltun, 2018, https://arxiv.org/abs/1803.01271
    """

    def encode(hidden):
        for number in range(layers):
            residual = hidden
            for half in (1, 2):
                residual = _convolution(
                    residual,
                    kernel=kernel,
                    dilation=2**number,
                    dropout=block_dropout,
                    name=f"block_{number + 1}_{half}",
                )
            hidden = keras.layers.Add(name=f"block_{number + 1}_sum")([hidden, residual])
        return hidden

    return _sequence.build(
        "tcn",
        encode,
        examples=examples,
        projection=projection,
        attention=projection,
        feature_dropout=feature_dropout,
        dropout=dropout,
        change=change,
        statistics=statistics,
    )


def _convolution(
    hidden: keras.KerasTensor, *, kernel: int, dilation: int, dropout: float, name: str
) -> keras.KerasTensor:
    convolution = keras.layers.Conv1D(
        hidden.shape[-1], kernel, dilation_rate=dilation, padding="same", name=name
    )
    hidden = keras.layers.LayerNormalization(name=f"{name}_norm")(convolution(hidden))
    hidden = keras.layers.Activation("gelu", name=f"{name}_gelu")(hidden)
    return keras.layers.SpatialDropout1D(dropout, name=f"{name}_dropout")(hidden)
