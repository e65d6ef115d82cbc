"""The class of a clip: one logit for two classes, a softmax for more. Class 0 is the normal one."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np

from violence_detection.models.outputs._output import Encoded, Kind, OutputDefaults
from violence_detection.registry import Range

if TYPE_CHECKING:
    import keras

name = "classes"


class Classes(OutputDefaults):
    """The output that predicts the class of a clip. Its loss is the run's, see `Objective`.

    Attributes:
        count: K, the number of classes; class 0 is the normal one.
        logits: Logits of the model: 1 for two classes, else K.
        weight: Factor of the loss.
        units, dropout: Units of the first of two hidden layers, of which the second has half, and
            the fraction dropped after each; 0 units is none.
    """

    name = name
    kind: Kind = "classes"

    def __init__(
        self, count: int, *, weight: float = 1.0, units: int = 0, dropout: float = 0.3
    ) -> None:
        self.count, self.weight = count, weight
        self.units, self.dropout = units, dropout
        self.logits = 1 if count == 2 else count

    def build(
        self, encoded: Encoded, others: "Mapping[str, keras.KerasTensor] | None" = None
    ) -> "keras.KerasTensor":
        """The float32 logits (B, logits): of hidden layers on context and statistics, or without
        hidden layers those of the context plus those of the statistics."""
        import keras

        if self.units:
            return self._deep_logits(encoded)
        logits = _logits(self.logits, bias=self._first_bias())(encoded.context)
        if encoded.statistics is None:
            return logits
        dropout = keras.layers.Dropout(encoded.dropout, name="dropout_statistics")
        of_statistics = _logits(self.logits, "logits_of_statistics")(dropout(encoded.statistics))
        return keras.layers.Add(dtype="float32", name="sum")([logits, of_statistics])

    def _deep_logits(self, encoded: Encoded) -> "keras.KerasTensor":
        import keras

        hidden = encoded.context
        if encoded.statistics is not None:
            read = [encoded.context, encoded.statistics]
            hidden = keras.layers.Concatenate(dtype="float32", name="classes_read")(read)
        for number, units in enumerate((self.units, max(1, self.units // 2)), 1):
            dense = keras.layers.Dense(units, activation="relu", name=f"classes_hidden_{number}")
            dropout = keras.layers.Dropout(self.dropout, name=f"classes_dropout_{number}")
            hidden = dropout(dense(hidden))
        return _logits(self.logits, bias=self._first_bias())(hidden)

    def _first_bias(self) -> list[float] | None:
        """The logits before training, where zeros would predict 1 - 1/K violence; else None."""
        return None if self.count == 2 else [math.log(self.count - 1)] + [0.0] * (self.count - 1)

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
            outputs: Logits, float (N, logits).

        Returns:
            float64 (N, K), rows sum to 1.
        """
        logits = outputs.astype(np.float64)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    def score(self, outputs: np.ndarray) -> np.ndarray:
        """The probability of violence, float64 (N,)."""
        return violence_score(self.predictions(outputs))

    def evidence(self, outputs: "keras.KerasTensor") -> "keras.KerasTensor":
        """The probability of each class, or for two classes that of the second."""
        return self.probability_layers(outputs)

    def score_layers(self, outputs: "keras.KerasTensor") -> "keras.KerasTensor":
        by_class = self.probability_layers(outputs)
        return by_class if self.logits == 1 else 1 - by_class[:, :1]

    def probability_layers(self, outputs: "keras.KerasTensor") -> "keras.KerasTensor":
        """`predictions` in a graph, (B, K), or for two classes the second column, (B, 1)."""
        import keras

        return keras.ops.sigmoid(outputs) if self.logits == 1 else keras.ops.softmax(outputs)


def build(
    *,
    count: int,
    weight: Annotated[float, Range(0, 1000)] = 1.0,
    units: Annotated[int, Range(0, 8192)] = 0,
    dropout: Annotated[float, Range(0, 0.99)] = 0.3,
) -> Classes:
    """The output of K = `count` classes.

    Args:
        count: K.
        weight: Factor of the loss.
        units: Units of the first of two hidden layers, the second has half; 0 for none.
        dropout: Fraction dropped after each hidden layer.
    """
    return Classes(count, weight=weight, units=units, dropout=dropout)


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


def _logits(
    units: int, layer_name: str = "logits", *, bias: list[float] | None = None
) -> "keras.layers.Layer":
    """A dense layer in float32; its first predictions are 50% normal, whatever the seed."""
    import keras

    initial = "zeros" if bias is None else keras.initializers.Constant(bias)
    return keras.layers.Dense(
        units,
        dtype="float32",
        kernel_initializer="zeros",
        bias_initializer=initial,
        name=layer_name,
    )
