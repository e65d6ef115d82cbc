"""The scores of the model of a run as training measures them, and the choice of its threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint


@dataclass(frozen=True)
class SplitScores:
    """Scores of a classifier on the videos of a split.

    Attributes:
        accuracy: At the run's threshold, in [0, 1].
        auc: Area under the ROC curve, in [0, 1]; None if only one class is present.
        loss: Mean log-loss; None for the linear baseline, whose loss is not compared.
        accuracy_ci: [low, high] at 95%; None in runs of older versions, as are those below.
        auc_ci: The same of `auc`; None also where it is not defined.
        videos, recordings: How many were scored.
    """

    accuracy: float
    auc: float | None
    loss: float | None = None
    accuracy_ci: Sequence[float] | None = None
    auc_ci: Sequence[float] | None = None
    videos: int | None = None
    recordings: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        names = ("loss", "accuracy_ci", "auc_ci", "videos", "recordings")
        return cls(values["accuracy"], values["auc"], *map(values.get, names))

    @classmethod
    def of_split(cls, values: Mapping[str, Any] | None) -> Self | None:
        """The scores in JSON; None for a split without videos."""
        return None if values is None else cls.from_json(values)

    def to_json(self) -> dict[str, Any]:
        values = {name: value for name, value in vars(self).items() if value is not None}
        return values | {"auc": self.auc} | ({"auc_ci": self.auc_ci} if self.videos else {})


@dataclass(frozen=True)
class BaselineScores:
    """Scores of the linear baseline, and its comparison with the classifier on validation.

    Attributes:
        validation, test: `test` is None without test videos.
        compared: The result of the comparison, in words.
        videos: Training videos that the baseline was fitted to.
    """

    validation: SplitScores
    test: SplitScores | None
    compared: str
    videos: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            SplitScores.from_json(values["validation"]),
            SplitScores.of_split(values["test"]),
            values["compared"],
            values["videos"],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "validation": self.validation.to_json(),
            "test": self.test and self.test.to_json(),
            "compared": self.compared,
            "videos": self.videos,
        }


@dataclass(frozen=True)
class CalibrationBasis:
    """The predictions that temperature and threshold were chosen on.

    Attributes:
        chosen_on: `validation`, or `folds` for out-of-fold predictions of the training and
            validation videos.
        videos, recordings: How many were predicted.
        folds: Number of folds; 0 for validation.
        reason: The reason for these predictions, in words; empty if they were asked for or are
            the default.
    """

    chosen_on: str
    videos: int
    recordings: int
    folds: int = 0
    reason: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The record; keys of a later version are left out."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})


@dataclass(frozen=True)
class RunScores:
    """Scores of the model of a run, its threshold and temperature, and the sanity checks.

    Attributes:
        validation, test: `test` is None without test videos.
        threshold: On the score, from which on a clip is violent.
        threshold_reason: The reason for it, in words.
        operating_point: What the threshold was chosen for, and the rates that it achieves; None
            in runs of older versions, as are those below.
        temperature: Divides the logits.
        temperature_reason: The reason for it, in words.
        warnings: One line each.
        baseline: Scores of the linear baseline.
        calibration: The predictions that temperature and threshold were chosen on.
        class_thresholds: Thresholds of single classes by name.
    """

    validation: SplitScores
    test: SplitScores | None
    threshold: float
    threshold_reason: str = ""
    operating_point: ChosenOperatingPoint | None = None
    temperature: float = 1.0
    temperature_reason: str = ""
    warnings: Sequence[str] = ()
    baseline: BaselineScores | None = None
    calibration: CalibrationBasis | None = None
    class_thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        point, baseline = values.get("operating_point"), values.get("baseline")
        calibration = values.get("calibration")
        return cls(
            validation=SplitScores.from_json(values["validation"]),
            test=SplitScores.of_split(values["test"]),
            threshold=float(values["threshold"]),
            threshold_reason=values.get("threshold_reason", ""),
            operating_point=ChosenOperatingPoint.from_json(point) if point else None,
            temperature=values.get("temperature", 1.0),
            temperature_reason=values.get("temperature_reason", ""),
            warnings=values.get("warnings", ()),
            baseline=BaselineScores.from_json(baseline) if baseline else None,
            calibration=CalibrationBasis.from_json(calibration) if calibration else None,
            class_thresholds=values.get("class_thresholds") or {},
        )

    def to_json(self) -> dict[str, Any]:
        point, baseline = self.operating_point, self.baseline
        return {
            "validation": self.validation.to_json(),
            "test": self.test and self.test.to_json(),
            "threshold": self.threshold,
            "threshold_reason": self.threshold_reason,
            **({"class_thresholds": dict(own)} if (own := self.class_thresholds) else {}),
            **({"operating_point": point.as_dict()} if point else {}),
            "temperature": self.temperature,
            "temperature_reason": self.temperature_reason,
            "warnings": list(self.warnings),
            **({"baseline": baseline.to_json()} if baseline else {}),
            **({"calibration": dict(vars(self.calibration))} if self.calibration else {}),
        }
