"""Rows of a cross-validation's predictions.csv: predictions by models not trained on the video."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from violence_detection.evaluation.predictions import PredictionRow


class OutOfFoldRow(NamedTuple):
    """The prediction for a held-out video of a fold.

    Attributes:
        prediction: The columns that evaluate's predictions.csv has too.
        probabilities: The probability of each class; their sum is 1.
        repeat, fold: From 1.
        grouped: Whether all videos of a recording are in one fold.
        seed: The seed of the repeat: of its draw of the folds, its trainings and its baselines.
        threshold: Probability from which on the fold's model predicts violence.
        note: How the folds are drawn, in words.
    """

    prediction: PredictionRow
    probabilities: tuple[float, ...]
    repeat: int
    fold: int
    grouped: bool
    seed: int
    threshold: float
    note: str

    @property
    def kind(self) -> str:
        return "grouped" if self.grouped else "random"

    @staticmethod
    def columns() -> tuple[str, ...]:
        """The columns that `from_csv` needs, without those of the classes."""
        own = ("repeat", "fold", "grouped", "seed", "threshold", "note")
        return (*PredictionRow._fields, *own)

    @classmethod
    def from_csv(cls, values: Mapping[str, str], classes: Sequence[str]) -> Self:
        """The inverse of `to_csv`.

        Raises:
            KeyError, ValueError: If a column is missing or its value is of another type.
        """
        prediction = PredictionRow(
            path=values["path"],
            label=values["label"],
            group=values["group"],
            probability=float(values["probability"]),
            predicted=values["predicted"],
            correct=values["correct"] == "True",
        )
        return cls(
            prediction,
            tuple(float(values[f"probability_{name}"]) for name in classes),
            repeat=int(values["repeat"]),
            fold=int(values["fold"]),
            grouped=values["grouped"] == "True",
            seed=int(values["seed"]),
            threshold=float(values["threshold"]),
            note=values["note"],
        )

    def to_csv(self, classes: Sequence[str]) -> dict[str, Any]:
        """The values by column.

        Args:
            classes: Names, the normal one first.
        """
        by_class = zip(classes, self.probabilities, strict=True)
        return {
            "repeat": self.repeat,
            "fold": self.fold,
            "grouped": self.grouped,
            **self.prediction._asdict(),
            **{f"probability_{name}": value for name, value in by_class},
            "kind": self.kind,
            "seed": self.seed,
            "threshold": self.threshold,
            "note": self.note,
        }
