"""The contract between a head, which encodes clips, and an output, which predicts from them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras

Kind = Literal["classes", "violence", "anomaly"]


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
        examples: Training clips, float16 (N, T, D), for the constants of an output's layers.
        recurrence: How a recurrence is computed, see `classifier.build_classifier`.
    """

    name: str
    features: "keras.KerasTensor"
    context: "keras.KerasTensor"
    sequence: "keras.KerasTensor | None" = None
    statistics: "keras.KerasTensor | None" = None
    dropout: float = 0.0
    examples: np.ndarray | None = None
    recurrence: str = "loop"


class Output(Protocol):
    """A question about a clip: its layers, its targets, its loss, and its score.

    `OutputSet` holds the outputs of a run. Tensors that a method takes and gives are float32, of
    `keras.ops`; arrays are NumPy's.

    Attributes:
        name: Name of the part.
        kind: `classes`, the class of a clip; `violence`, the probability of violence; or
            `anomaly`, a score of what is unusual.
        weight: Factor of the loss.
        state: First values of the numbers that the loss needs from the steps before; mostly none.
        observed: Columns of what `observe` gives; 0 without a state.
    """

    name: str
    kind: Kind
    weight: float
    state: Sequence[float]
    observed: int

    def build(
        self, encoded: Encoded, others: "Mapping[str, keras.KerasTensor]"
    ) -> "keras.KerasTensor":
        """The layers of the output, on an encoded clip: float32 (B, columns).

        Args:
            encoded: From a head.
            others: What `evidence` gives for the outputs that were built before, by name. An
                output of the kind `violence` is built last.
        """

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The targets of the loss, float32 (N, width); width may be 0.

        Args:
            labels: int (N,), in [0, K); 0 is the normal class.
        """

    def loss(self, targets, outputs, state):
        """The loss of each row, (B,).

        Args:
            targets: (B, width), possibly mixed by an augmentation.
            outputs: (B, columns), from the layers.
            state: The numbers of `state`, (S,).
        """

    def observe(self, targets, outputs):
        """Values of each row, whose sums over a batch move the state, (B, observed)."""

    def move(self, state, sums):
        """The state after a step.

        Args:
            state: (S,).
            sums: The weighted sums of `observe` over all rows of the batch.
        """

    def score(self, outputs: np.ndarray) -> np.ndarray:
        """The violence or unusualness of each clip, float64 (N,) in [0, 1]."""

    def evidence(self, outputs: "keras.KerasTensor") -> "keras.KerasTensor":
        """The values that the output `violence` reads of this one, (B, any)."""

    def score_layers(self, outputs: "keras.KerasTensor") -> "keras.KerasTensor":
        """`score` in the graph of an exported model, (B, 1)."""

    def prepare(self, model: "keras.Model", normal_clips: np.ndarray) -> None:
        """Sets the constants of the output's layers, before the first step.

        Args:
            model: The classifier with all outputs.
            normal_clips: Training clips of the normal class, float16 (N, T, D).
        """

    def calibrate(self, model: "keras.Model", normal_clips: np.ndarray) -> None:
        """Sets the constants of the score anew, for the kept model; see `prepare`."""


class OutputDefaults:
    """The methods of an output that needs no state, no constants and no targets."""

    kind: Kind = "anomaly"
    weight: float = 1.0
    state: Sequence[float] = ()
    observed: int = 0

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return np.zeros((len(labels), 0), np.float32)

    def observe(self, targets, outputs):
        return None

    def move(self, state, sums):
        return state

    def prepare(self, model: "keras.Model", normal_clips: np.ndarray) -> None:
        pass

    def calibrate(self, model: "keras.Model", normal_clips: np.ndarray) -> None:
        pass
