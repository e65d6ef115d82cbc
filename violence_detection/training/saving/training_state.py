"""The state of a training after an epoch, besides its variables; `Checkpoint` saves it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

HISTORY_COLUMNS = (
    "epoch",
    "loss",
    "val_loss",
    "val_accuracy",
    "val_auc",
    "learning_rate",
    "gradient_norm",
    "videos_per_s",
)


@dataclass(frozen=True)
class ValidationScores:
    """Scores of a classifier on the validation videos after an epoch.

    Attributes:
        loss: Mean loss of the training.
        accuracy: Fraction of videos whose class has the highest probability.
        auc: Area under the ROC curve; None if all videos are normal or all violent.
        recalls: By class, for each class that has videos.
        by_output: Mean loss of each output, not weighted, by `val_loss_<output>`; empty where
            `classes` is the only output.
    """

    loss: float
    accuracy: float
    auc: float | None
    recalls: Mapping[str, float]
    by_output: Mapping[str, float] = field(default_factory=dict)

    def columns(self) -> dict[str, float | None]:
        """The values by their column of the history: `val_loss` and so on."""
        return {
            "val_loss": self.loss,
            "val_accuracy": self.accuracy,
            "val_auc": self.auc,
            **{f"val_recall_{name}": recall for name, recall in self.recalls.items()},
            **self.by_output,
        }


@dataclass(frozen=True)
class EpochResult:
    """An epoch of a training: a row of its history.

    Attributes:
        epoch: From 1.
        loss, gradient_norm: Means over the steps; the norm before clipping.
        learning_rate: The rate of the last step.
        videos_per_s: Speed without validation.
        validation: None on machines other than the chief.
        by_output: Mean loss of each output, not weighted, by `loss_<output>`, and mean weight, by
            `weight_<output>`; empty where `classes` is the only output.
    """

    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    videos_per_s: float
    validation: ValidationScores | None = None
    by_output: Mapping[str, float] = field(default_factory=dict)

    def columns(self) -> dict[str, float | None]:
        """The values by their column of the history."""
        names = ("epoch", "loss", "learning_rate", "gradient_norm", "videos_per_s")
        validation = self.validation.columns() if self.validation else {}
        return {name: getattr(self, name) for name in names} | dict(self.by_output) | validation

    @classmethod
    def from_columns(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `columns`."""
        prefix = "val_recall_"
        validation = None
        if "val_loss" in row:
            validation = ValidationScores(
                row["val_loss"],
                row["val_accuracy"],
                row["val_auc"],
                {
                    name.removeprefix(prefix): value
                    for name, value in row.items()
                    if name.startswith(prefix)
                },
                {name: row[name] for name in row if name.startswith("val_loss_")},
            )
        return cls(
            row["epoch"],
            row["loss"],
            row["learning_rate"],
            row["gradient_norm"],
            row["videos_per_s"],
            validation,
            {name: row[name] for name in row if name.startswith(("loss_", "weight_"))},
        )


@dataclass(frozen=True)
class StepState:
    """The counters of a `TrainingStep`.

    Attributes:
        steps: Steps done.
        scale: Loss scale in float16, else 1.
        sound_steps: Steps since the last one that was skipped.
    """

    steps: int
    scale: float
    sound_steps: int


@dataclass(frozen=True)
class SelectionState:
    """The epochs of an `EpochSelection`; see there.

    Attributes:
        best: Losses of the validation videos in the epoch with the best score; None before the
            first epoch.
        best_epoch: The epoch with the best score.
        kept_epoch: The epoch that is kept.
    """

    best: Sequence[float] | None
    best_epoch: int
    kept_epoch: int


@dataclass(frozen=True)
class TrainingState:
    """The state of a training after an epoch.

    Attributes:
        history: A result for each epoch so far.
        step, selection: States of these parts of the `Trainer`.
    """

    history: Sequence[EpochResult]
    step: StepState
    selection: SelectionState

    def to_json(self) -> dict[str, Any]:
        return {
            "history": [row.columns() for row in self.history],
            "step": asdict(self.step),
            "selection": asdict(self.selection),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            [EpochResult.from_columns(row) for row in values["history"]],
            StepState(**values["step"]),
            SelectionState(**values["selection"]),
        )
