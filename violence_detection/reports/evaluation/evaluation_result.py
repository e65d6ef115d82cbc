"""The result of an evaluation: what metrics.json holds and what the report shows.

A field that is added later needs its value for older files in `_ADDED`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from violence_detection.datasets.class_names import is_one_class
from violence_detection.datasets.videos import Problem
from violence_detection.errors import ConfigError
from violence_detection.metrics.classification import Scores
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import FEW_VIDEOS
from violence_detection.metrics.several_classes import ClassReport
from violence_detection.metrics.thresholds.operating_cost import OperatingCost
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.reports.evaluation.own_dataset_comparison import OwnDatasetComparison

_OPTIONAL = (
    "operating_point",
    "normal_footage",
    "cost",
    "novelty",
    "output_auc",
    "class_report",
    "home",
)  # keys that metrics.json may lack
# Keys that metrics.json of older versions lacks, with the value that stands for them.
_ADDED: Mapping[str, Any] = {
    "grouped_by": "",
    "leak_counts": {},
    "near_duplicates_searched": False,
    "near_duplicates_reason": "",
    "undefined": [],
    "auc_ci_delong": None,
    "rates_ci": {},
    "calibration_error": 0.0,
    "calibration_error_as_trained": 0.0,
    "brier_score": 0.0,
    "baselines": {},
    "baselines_left_out": [],
    "baseline_videos": 0,
    "close_baselines": [],
    "warnings": [],
    "errors_by": {},
    "errors_left_out": [],
    "temperature": 1.0,
    "temperature_reason": "",
    "threshold_reason": "",
    "class_mapping": {},
    "videos_digest": "",
    "class_thresholds": {},
}


@dataclass(frozen=True)
class ErrorRow:
    """The errors of the videos of one recording or condition, such as a camera or a duration.

    Attributes:
        name: The recording, or the range.
        videos, errors: How many there are, and how many are predicted wrongly.
        error_rate: ``errors / videos``.
        ci: [low, high] of the rate at 95% (Wilson).
        misses: Violent videos without an alarm.
        false_alarms: Normal videos with an alarm.
    """

    name: str
    videos: int
    errors: int
    error_rate: float
    ci: Sequence[float]
    misses: int
    false_alarms: int

    @property
    def is_few(self) -> bool:
        """True if the videos are too few for a rate."""
        return self.videos < FEW_VIDEOS


def alarm_rule_in_words(confirm: str, close_gaps_s: float) -> str:
    """The rule that makes an alarm; empty if one window suffices and no gaps are closed.

    Args:
        confirm: `n/m`: n of m successive windows confirm an alarm.
        close_gaps_s: Alarms with no more than this between them count once.
    """
    windows, of = confirm.split("/")
    parts = [f"{windows} of {of} windows confirm an alarm"] * (windows != "1")
    parts += [f"gaps up to {close_gaps_s:g} s are closed"] * (close_gaps_s > 0)
    return ", ".join(parts)


@dataclass(frozen=True)
class FootageAlarms:
    """The alarms in normal footage at a threshold; each is a false alarm.

    Attributes:
        dir: Folder of the footage; empty where the windows come from elsewhere.
        videos, hours: How much was read.
        alarms: How many there are.
        alarm_minutes: Their length together.
        alarms_per_hour: ``alarms / hours``.
        alarms_per_hour_ci: [low, high] at 95%, exact for independent alarms.
        alarms_per_hour_ci_videos: The same by a bootstrap over videos; None for a single video,
            and without alarms, because no resample would have any.
        unreadable: Videos that do not count.
        confirm: `n/m`: n of m successive windows confirm an alarm.
        close_gaps_s: Alarms with no more than this between them count once.
    """

    dir: str
    videos: int
    hours: float
    alarms: int
    alarm_minutes: float
    alarms_per_hour: float
    alarms_per_hour_ci: Sequence[float]
    alarms_per_hour_ci_videos: Sequence[float] | None
    unreadable: Sequence[Problem] = ()
    confirm: str = "1/1"
    close_gaps_s: float = 0.0

    @property
    def rule(self) -> str:
        """The rule that makes an alarm, in words; see `alarm_rule_in_words`."""
        return alarm_rule_in_words(self.confirm, self.close_gaps_s)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; keys that are missing are 0, empty or None."""
        unreadable = [Problem(row["path"], row["reason"]) for row in values.get("unreadable", ())]
        empty = {"dir": ""} | dict.fromkeys(("videos", "alarms"), 0) | {"alarm_minutes": 0.0}
        empty |= {"alarms_per_hour_ci_videos": None}
        names = {field.name for field in fields(cls)} & values.keys()
        return cls(
            **empty | {name: values[name] for name in names} | {"unreadable": unreadable},
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"unreadable": [video._asdict() for video in self.unreadable]}


@dataclass(frozen=True)
class NovelVideos:
    """The evaluated videos that are unlike anything that the run was trained on.

    Attributes:
        videos: How many they are.
        share: Their fraction of the evaluated videos.
        errors: How many of them are predicted wrongly.
    """

    videos: int
    share: float
    errors: int


@dataclass(frozen=True)
class VideoCounts:
    """Numbers of violent and normal videos, and of those with an alarm.

    Attributes:
        violent, normal: Videos of each kind.
        found: Violent videos with an alarm.
        flagged: Normal videos with an alarm.
    """

    violent: int
    normal: int
    found: int
    flagged: int


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
        baseline_accuracy: Accuracy of always answering the larger class of the training videos.
        recall_per_class: By class name.
        confusion: K lists of K counts; rows are actual classes, columns predicted ones.
        undefined: Names of the rates whose denominator is 0.
        accuracy_ci, auc_ci: Bootstrap over recordings.
        accuracy_ci_wilson, auc_ci_delong: Take every video as independent.
        rates_ci: Bootstrap over recordings of recall, precision, f1, balanced_accuracy and
            false_alarm_rate; empty in files of older versions.
        calibration_error, calibration_error_as_trained: Expected calibration error with and
            without the run's temperature.
        baselines: The scores of each baseline.
        baselines_left_out: A line for each baseline that is missing, with the reason.
        baseline_videos: Number of training videos that the baselines were fitted on.
        close_baselines: Baselines that know only the source of a video and come close.
        errors_by: Rows of errors by condition; see `error_analysis.errors_by_condition`.
        errors_left_out: A line for what `errors_by` lacks, with the reason.
        threshold: An alarm is raised at or above it.
        classes: Names, the normal class first.
        class_thresholds: Thresholds of single classes by name; without them the score is the
            probability of violence.
        class_mapping: Labels of the videos that the run knows under another name.
        features: Folder of the features.
        model_digest, videos_digest: SHA-256 of the model, and of the videos with their labels.
        report: Path of report.html.
        operating_point: How the threshold was chosen; None for runs that do not record it.
        normal_footage: False alarms per hour; None without --normal-footage.
        cost: Alarms, misses and cost of a site; None if no traffic was given.
        class_report: Scores of each class and the confusions between them; None for two classes.
        novelty: The videos that are unlike the training videos; None where the run does not know
            these.
        home: The loss against the dataset that the run was trained on; None on that dataset.
        output_auc: Area under the ROC curve of the own score of each output; None where `classes`
            is the only output.
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
    rates_ci: Mapping[str, Sequence[float] | None]
    calibration_error: float
    calibration_error_as_trained: float
    brier_score: float
    baselines: Mapping[str, Scores]
    baselines_left_out: Sequence[str]
    baseline_videos: int
    close_baselines: Sequence[str]
    warnings: Sequence[str]
    errors_by: Mapping[str, Sequence[ErrorRow]]
    errors_left_out: Sequence[str]
    temperature: float
    temperature_reason: str
    threshold: float
    threshold_reason: str
    operating_point: ChosenOperatingPoint | None
    normal_footage: FootageAlarms | None
    cost: OperatingCost | None
    classes: Sequence[str]
    class_thresholds: Mapping[str, float]
    class_mapping: Mapping[str, str]
    normal_class: str
    features: str
    model_digest: str
    videos_digest: str
    report: str
    novelty: NovelVideos | None = None
    class_report: ClassReport | None = None
    home: OwnDatasetComparison | None = None
    output_auc: Mapping[str, float] | None = None

    @property
    def is_one_class(self) -> bool:
        """True for a detector that learned from normal videos alone."""
        return is_one_class(self.classes)

    @property
    def counts(self) -> VideoCounts:
        per_class = [sum(row) for row in self.confusion]
        normal = per_class[list(self.classes).index(self.normal_class)]
        violent = sum(per_class) - normal
        true_positives = round(self.recall * violent)
        false_positives = round(self.false_alarm_rate * normal)
        return VideoCounts(violent, normal, true_positives, false_positives)

    @property
    def recall_ci_per_class(self) -> dict[str, list[float] | None]:
        """Wilson's interval of the recall of each class; None for a class without videos."""
        return {
            name: wilson_interval(row[index], sum(row)) if sum(row) else None
            for index, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True))
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Reads the result from the values of a metrics.json, of this version or an older one.

        Raises:
            ConfigError: If a key is missing that every version wrote.
        """
        names = [field.name for field in fields(cls)]
        known = {**_ADDED, **values}
        missing = [name for name in names if name not in known and name not in _OPTIONAL]
        if missing:
            raise ConfigError(
                f"An evaluation must hold {', '.join(missing)}. Received: {', '.join(values)}"
            )
        point, footage = known.get("operating_point"), known.get("normal_footage")
        cost, novelty = known.get("cost"), known.get("novelty")
        class_report, home = known.get("class_report"), known.get("home")
        try:
            return cls(
                **{name: known.get(name) for name in names}
                | {
                    "baselines": {
                        name: Scores.from_json(row) for name, row in known["baselines"].items()
                    },
                    "errors_by": {
                        name: [ErrorRow(**row) for row in rows]
                        for name, rows in known["errors_by"].items()
                    },
                    "operating_point": ChosenOperatingPoint.from_json(point) if point else None,
                    "normal_footage": FootageAlarms.from_json(footage) if footage else None,
                    "cost": OperatingCost.from_json(cost) if cost else None,
                    "novelty": NovelVideos(**novelty) if novelty else None,
                    "class_report": ClassReport.from_json(class_report) if class_report else None,
                    "home": OwnDatasetComparison.from_json(home) if home else None,
                }
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(
                f"An evaluation must hold the values that evaluate writes. Received: {error}"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json, without the optional keys that are None."""
        values = {
            name: value
            for name, value in vars(self).items()
            if value is not None or name not in _OPTIONAL
        }
        values["baselines"] = {name: scores.to_json() for name, scores in self.baselines.items()}
        values["errors_by"] = {
            name: [asdict(row) for row in rows] for name, rows in self.errors_by.items()
        }
        if self.operating_point is not None:
            values["operating_point"] = self.operating_point.as_dict()
        if self.normal_footage is not None:
            values["normal_footage"] = self.normal_footage.to_json()
        if self.cost is not None:
            values["cost"] = self.cost.to_json()
        if self.novelty is not None:
            values["novelty"] = asdict(self.novelty)
        if self.class_report is not None:
            values["class_report"] = self.class_report.to_json()
        if self.home is not None:
            values["home"] = self.home.to_json()
        return values
