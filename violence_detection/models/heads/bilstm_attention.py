"""Projection, bidirectional LSTMs and attention over time, with pooled statistics."""

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
    layers: Annotated[int, Range(1, 8)] = 1,
    units: Annotated[int, Range(1, 4096)] = 32,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
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
        change: Give the recurrence also the change of each feature from frame to frame.
        statistics: Give the output also the mean, deviation and mean absolute first and
            second difference over time of the features: on a few hundred videos the
            recurrence alone overfits.
    """
    return _sequence.build(
        "bilstm_attention",
        _sequence.recurrence(
            keras.layers.LSTM, "bilstm", layers=layers, units=units, computed=recurrence
        ),
        examples=examples,
        projection=projection,
        attention=units,
        feature_dropout=feature_dropout,
        dropout=dropout,
        change=change,
        statistics=statistics,
    )
