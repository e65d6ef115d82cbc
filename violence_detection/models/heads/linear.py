"""Pooled statistics, then one dense layer: the baseline for all other heads."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads._layers import TemporalStatistics, standardise
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    dropout: Annotated[float, Range(0, 0.99)] = 0.0,
) -> Encoded:
    """Encodes features (B, T, D).

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Not used: this head has no recurrence.
        dropout: Fraction of the statistics dropped in training.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    pool = TemporalStatistics(dtype="float32", name="statistics")
    hidden = standardise(examples, "standardise", of=pool)(pool(features))
    hidden = keras.layers.Dropout(dropout, name="dropout")(hidden)
    return Encoded("linear", features, hidden)
