"""Scores of a cross-validation: of one fold, over folds, and of the predictions of all folds.

Rates are in [0, 1]; an interval is [low, high] at 95%, or None where it is not defined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

MODEL = "model"  # the name of the trained model among the predictors; the others are baselines
LINEAR = "linear"


@dataclass(frozen=True)
class Estimate:
    """A score, or a difference of scores, and its interval over recordings.

    Attributes:
        value: None where the score is not defined.
        ci: Its interval.
    """

    value: float | None
    ci: Sequence[float] | None

    @property
    def sign(self) -> int:
        """1 or -1 for a difference whose interval is above or below 0; else 0."""
        if self.ci is None:
            return 0
        low, high = self.ci
        return int(low > 0) - int(high < 0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], name: str) -> Self:
        return cls(values[name], values[f"{name}_ci"])

    def to_json(self, name: str) -> dict[str, Any]:
        return {name: self.value, f"{name}_ci": self.ci}


@dataclass(frozen=True)
class ScoreDifference:
    """Accuracy and AUC of one predictor minus those of another, on the same videos."""

    accuracy: Estimate
    auc: Estimate

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(Estimate.from_json(values, "accuracy"), Estimate.from_json(values, "auc"))

    def to_json(self) -> dict[str, Any]:
        return self.accuracy.to_json("accuracy") | self.auc.to_json("auc")


@dataclass(frozen=True)
class FoldMean:
    """A score over folds.

    Attributes:
        mean: Over the folds in which the score is defined; None if there is no such fold.
        sd: Sample deviation; 0.0 for fewer than two folds.
        ci: Interval of the mean; None for fewer than two folds.
    """

    mean: float | None
    sd: float
    ci: Sequence[float] | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class PredictorMeans:
    """Scores of the model or of a baseline over folds."""

    accuracy: FoldMean
    auc: FoldMean

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(FoldMean(**values["accuracy"]), FoldMean(**values["auc"]))

    def to_json(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy.to_json(), "auc": self.auc.to_json()}


@dataclass(frozen=True)
class FoldScores:
    """Scores of the model or of a baseline on one fold; `auc` is None for one class only."""

    accuracy: float
    auc: float | None


_POOLED = ("accuracy", "auc", "recall", "false_positive_rate", "brier_score")


@dataclass(frozen=True)
class PooledScores:
    """Scores of the predictions of all folds together; of several repeats, the mean.

    Attributes:
        recall: Fraction of the violent videos that are found.
        false_positive_rate: Fraction of the normal videos that are flagged.
        calibration_error: Expected gap between probability and fraction of violent videos.
    """

    accuracy: Estimate
    auc: Estimate
    recall: Estimate
    false_positive_rate: Estimate
    brier_score: Estimate
    calibration_error: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        estimates = {name: Estimate.from_json(values, name) for name in _POOLED}
        return cls(**estimates, calibration_error=values["calibration_error"])

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name in _POOLED:
            row |= getattr(self, name).to_json(name)
        return row | {"calibration_error": self.calibration_error}
