"""Mean over time of projected features, then a dense layer; ignores the order of frames."""

from typing import Annotated

import keras
import numpy as np

from violence_detection.models.heads._layers import standardise
from violence_detection.models.outputs._output import Encoded
from violence_detection.registry import Range


def build(
    *,
    examples: np.ndarray,
    recurrence: str,
    projection: Annotated[int, Range(1, 8192)] = 64,
    units: Annotated[int, Range(1, 8192)] = 64,
    feature_dropout: Annotated[float, Range(0, 0.99)] = 0.7,
    dropout: Annotated[float, Range(0, 0.99)] = 0.5,
) -> Encoded:
    """Encodes features (B, T, D).

    It does not use the order of the frames: another head that is better gains by the order.

    Args:
        examples: Training clips that set mean and variance of the standardisation, float16
            (N, T, D).
        recurrence: Not used: this head has no recurrence.
        projection: Size of the features of each frame after the projection.
        units: Units of the dense layer after the mean.
        feature_dropout: Fraction of the features dropped, for a whole clip at a time.
        dropout: Fraction dropped before the dense layer and before the output.
    """
    features = keras.Input(examples.shape[1:], dtype="float32", name="features")
    hidden = standardise(examples, "standardise")(features)
    hidden = keras.layers.SpatialDropout1D(feature_dropout, name="dropout_features")(hidden)
    hidden = keras.layers.Dense(projection, activation="gelu", name="projection")(hidden)
    pooled = keras.layers.GlobalAveragePooling1D(dtype="float32", name="mean")(hidden)
    pooled = keras.layers.Dropout(dropout, name="dropout_mean")(pooled)
    pooled = keras.layers.Dense(units, activation="gelu", name="hidden")(pooled)
    pooled = keras.layers.Dropout(dropout, name="dropout_hidden")(pooled)
    return Encoded("mean_pool", features, pooled)
