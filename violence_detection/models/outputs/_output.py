"""The contract between a head, which encodes clips, and an output, which predicts from them."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras


class Encoded(NamedTuple):
    """A clip as a head encodes it.

    Attributes:
        name: Name of the head.
        features: The input of the model, float32 (B, T, D).
        context: The clip in one vector, (B, H).
        sequence: The clip frame by frame, (B, T, H); None for a head without order.
        statistics: Standardised statistics of the features over time, float32 (B, D'); None for
            a head that adds none to its context.
        dropout: Fraction of the statistics that an output drops in training.
    """

    name: str
    features: "keras.KerasTensor"
    context: "keras.KerasTensor"
    sequence: "keras.KerasTensor | None" = None
    statistics: "keras.KerasTensor | None" = None
    dropout: float = 0.0


class Output(Protocol):
    """A prediction task: its layers, its targets, its predictions and their score.

    `classifier.build_output` finds the output of a run; `Classifier.scores` applies it to
    features. Thresholds, segments and reports read scores.
    """

    name: str

    def build(self, encoded: Encoded) -> "keras.KerasTensor":
        """The layers of the output, on an encoded clip; their raw outputs."""

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The targets of the loss for labels, int (N,)."""

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """The predictions that the model's raw outputs stand for, such as probabilities."""

    def score(self, predictions: np.ndarray) -> np.ndarray:
        """The violence or unusualness of each clip, float (N,) in [0, 1]."""
