"""The contract between a head, which encodes a clip, and an output, which answers a question."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras


class Encoded(NamedTuple):
    """A clip as a head encodes it.

    Attributes:
        name: Of the head.
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
    """One question and its answer: layers, targets and the score that all later steps go by.

    Thresholds, calibration, segments, alerts and reports read `score`, never the answer itself.
    """

    name: str

    def build(self, encoded: Encoded) -> "keras.KerasTensor":
        """The layers that answer, on what a head encodes."""

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The goals of the loss for some labels, int (N,)."""

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """The answer of some raw outputs of the model; probabilities, where there are any."""

    def score(self, answer: np.ndarray) -> np.ndarray:
        """Violence, or how unusual a clip is, float (N,) in [0, 1]; higher is worse."""
