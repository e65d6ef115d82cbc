"""A projection, bidirectional LSTMs and attention over time, beside pooled statistics."""

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
        examples: Training clips to standardise by, float16 (N, T, D).
        recurrence: How it is computed, see `model.build_classifier`.
        projection: Size that the features are reduced to before the recurrence.
        layers, units: Of the LSTMs, in each direction.
        feature_dropout: Share of the features that the recurrence does not see, for a
            whole clip at a time.
        dropout: Before the logits.
        change: Also show the recurrence how much each feature changes from frame to frame.
        statistics: Also give the logits the mean, deviation and mean absolute first and
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
