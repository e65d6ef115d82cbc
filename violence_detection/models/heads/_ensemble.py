"""Several classifiers as one model, which predicts the mean of their probabilities."""

from collections.abc import Sequence

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="violence_detection")
class MeanProbability(keras.layers.Layer):
    """The logits of the mean of the members' probabilities, float32.

    ``p = mean_m sigmoid(z_m)``, ``output = log p - log (1 - p)`` for one output, else
    ``output = log mean_m softmax(z_m)``, computed in logarithms, so that probabilities near 0 and 1
    stay finite.

    Input: a list of M times (B, K). Output: float32 (B, K).
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs):
        logits = ops.cast(ops.stack(inputs), "float32")
        if logits.shape[-1] == 1:
            # The number of members cancels in the difference.
            violent = ops.logsumexp(ops.log_sigmoid(logits), axis=0)
            return violent - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)
        mean = ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
        return mean - ops.log(ops.cast(logits.shape[0], "float32"))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def build(members: Sequence[keras.Model]) -> keras.Model:
    """A model from features (B, T, D) to the logits (B, K) of the members' mean probability.

    Args:
        members: From features (B, T, D) to logits (B, K).
    """
    features = keras.Input(members[0].input_shape[1:], dtype="float32", name="features")
    # New names: all members have the name of their head.
    logits = [
        keras.Model(member.input, member.output, name=f"member_{number}")(features)
        for number, member in enumerate(members, start=1)
    ]
    return keras.Model(features, MeanProbability(name="mean_probability")(logits), name="ensemble")
