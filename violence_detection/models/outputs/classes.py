"""The class of a clip: one logit for two classes, a softmax for more. Class 0 is the normal one."""

from typing import TYPE_CHECKING

import numpy as np

from violence_detection.models.outputs._output import Encoded

if TYPE_CHECKING:
    import keras

name = "classes"


class Classes:
    """The output that predicts the class of a clip.

    Attributes:
        count: K, the number of classes; class 0 is the normal one.
        units: Logits of the model: 1 for two classes, else K.
    """

    name = name

    def __init__(self, count: int) -> None:
        self.count = count
        self.units = 1 if count == 2 else count

    def build(self, encoded: Encoded) -> "keras.KerasTensor":
        """The float32 logits (B, units): of the context, plus those of the statistics."""
        import keras

        logits = _logits(self.units)(encoded.context)
        if encoded.statistics is None:
            return logits
        dropout = keras.layers.Dropout(encoded.dropout, name="dropout_statistics")
        of_statistics = _logits(self.units, "logits_of_statistics")(dropout(encoded.statistics))
        return keras.layers.Add(dtype="float32", name="sum")([logits, of_statistics])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The goals of a loss on the logits: float32 (N, 1) for two classes, else one-hot (N, K).

        Args:
            labels: int (N,), in [0, K).
        """
        if self.count == 2:
            return labels[:, None].astype(np.float32)
        return np.eye(self.count, dtype=np.float32)[labels]

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """The probability of each class: sigmoid or softmax of the logits, in float64.

        Args:
            outputs: Logits, float (N, units).

        Returns:
            float64 (N, K), rows sum to 1.
        """
        logits = outputs.astype(np.float64)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    def score(self, predictions: np.ndarray) -> np.ndarray:
        return violence_score(predictions)


def build(*, count: int) -> Classes:
    """The output of K = `count` classes."""
    return Classes(count)


def violence_score(probability: np.ndarray) -> np.ndarray:
    """The probability of violence, ``1 - P(normal class)``, float (...,) in [0, 1].

    Args:
        probability: Probability of each class, float (..., K), the normal class first.
    """
    return 1 - probability[..., 0]


def is_violent(labels: np.ndarray) -> np.ndarray:
    """True for each label of another class than the normal one, bool (N,).

    Args:
        labels: int (N,), in [0, K); 0 is the normal class.
    """
    return np.asarray(labels) > 0


def decide(probability: np.ndarray, threshold: float) -> np.ndarray:
    """The class of each row, int64 (N,): normal below the threshold, else the likeliest other.

    Args:
        probability: Probability of each class, float (N, K), the normal class first.
        threshold: On the score.
    """
    return np.where(violence_score(probability) >= threshold, 1 + probability[:, 1:].argmax(1), 0)


def _logits(units: int, layer_name: str = "logits") -> "keras.layers.Layer":
    """A dense layer in float32; its first predictions are 50%, whatever the seed."""
    import keras

    return keras.layers.Dense(units, dtype="float32", kernel_initializer="zeros", name=layer_name)
