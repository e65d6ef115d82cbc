"""The result of an evaluation: what metrics.json holds and what the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from violence_detection.errors import ConfigError
from violence_detection.metrics.operating_points import ChosenOperatingPoint

_OPTIONAL = ("operating_point", "normal_footage")  # keys that metrics.json may lack


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics, diagnostics and identity of an evaluation, in the order of metrics.json.

    Rates are in [0, 1], and 0.0 where their denominator is 0 (see `undefined`). An interval is
    [low, high] at 95%, or None where it is not defined.

    Attributes:
        run: Folder of the run.
        split: train, validation, test or all.
        videos, recordings: How many were evaluated.
        grouped: Whether the recording of every video is known.
        grouped_by: Source of the recordings; empty where they come from the extraction.
        clean: Whether no leak was found.
        leaks: A line for each leak.
        leak_counts: Number of leaks by kind: recordings, identical, near_duplicates.
        near_duplicates_searched: Whether every video was searched for near-duplicates.
        near_duplicates_reason: Why not.
        false_alarm_rate: Fraction of the normal videos that raise an alarm.
        baseline_accuracy: Accuracy of always predicting the commonest class.
        recall_per_class: By class name.
        confusion: K lists of K counts; rows are actual classes, columns predicted ones.
        undefined: Names of the rates whose denominator is 0.
        accuracy_ci, auc_ci: Bootstrap over recordings.
        accuracy_ci_wilson, auc_ci_delong: Take every video as independent.
        calibration_error, calibration_error_as_trained: Expected calibration error with and
            without the run's temperature.
        baselines: accuracy, accuracy_ci, auc and auc_ci of each baseline.
        baselines_left_out: A line for each baseline that is missing, with the reason.
        baseline_videos: Number of training videos that the baselines were fitted on.
        close_baselines: Baselines that know only the source of a video and come close.
        errors_by: Error rates by recording, resolution, brightness and duration.
        errors_left_out: A line for what `errors_by` lacks, with the reason.
        threshold: An alarm is raised at or above it.
        classes: Names, the normal class first.
        class_mapping: Labels of the videos that the run knows under another name.
        features: Folder of the features.
        model_digest, videos_digest: SHA-256 of the model, and of the videos with their labels.
        report: Path of report.html.
        operating_point: How the threshold was chosen; None for runs that do not record it.
        normal_footage: False alarms per hour; None without --normal-footage.
    """

    run: str
    split: str
    videos: int
    recordings: int
    grouped: bool
    grouped_by: str
    clean: bool
    leaks: Sequence[str]
    leak_counts: Mapping[str, int]
    near_duplicates_searched: bool
    near_duplicates_reason: str
    accuracy: float
    balanced_accuracy: float
    auc: float | None
    average_precision: float
    precision: float
    recall: float
    f1: float
    false_alarm_rate: float
    baseline_accuracy: float
    recall_per_class: Mapping[str, float]
    confusion: Sequence[Sequence[int]]
    undefined: Sequence[str]
    accuracy_ci: Sequence[float]
    accuracy_ci_wilson: Sequence[float]
    auc_ci: Sequence[float] | None
    auc_ci_delong: Sequence[float] | None
    calibration_error: float
    calibration_error_as_trained: float
    brier_score: float
    baselines: Mapping[str, Mapping[str, Any]]
    baselines_left_out: Sequence[str]
    baseline_videos: int
    close_baselines: Sequence[str]
    warnings: Sequence[str]
    errors_by: Mapping[str, Sequence[Mapping[str, Any]]]
    errors_left_out: Sequence[str]
    temperature: float
    temperature_reason: str
    threshold: float
    threshold_reason: str
    operating_point: ChosenOperatingPoint | None
    normal_footage: Mapping[str, Any] | None
    classes: Sequence[str]
    class_mapping: Mapping[str, str]
    normal_class: str
    features: str
    model_digest: str
    videos_digest: str
    report: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the result from the values of a metrics.json.

        Raises:
            ConfigError: If a key is missing.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in values and name not in _OPTIONAL]
        if missing:
            raise ConfigError(
                f"An evaluation must hold {', '.join(missing)}. Received: {', '.join(values)}"
            )
        point = values.get("operating_point")
        return cls(
            **{name: values.get(name) for name in names}
            | {"operating_point": ChosenOperatingPoint.from_json(point) if point else None}
        )

    def as_dict(self) -> dict[str, Any]:
        """The content of metrics.json, without the optional keys that are None."""
        values = {
            name: value
            for name, value in vars(self).items()
            if value is not None or name not in _OPTIONAL
        }
        if self.operating_point is not None:
            values["operating_point"] = self.operating_point.as_dict()
        return values
