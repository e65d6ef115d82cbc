"""The result of a cross-validation: the content of results.json, as its report and command read it.

Rates are in [0, 1]; an interval is [low, high] at 95%, or None where it is not defined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from violence_detection.datasets.config import BY_RECORDING, ONE_RECORDING
from violence_detection.metrics.several_classes import ClassReport
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.reports.cross_validation.cross_validation_scores import (
    MODEL,
    FoldScores,
    PooledScores,
    PredictorMeans,
    ScoreDifference,
)


@dataclass(frozen=True)
class FoldRow:
    """A fold: a row of folds.csv.

    Attributes:
        repeat, fold: From 1.
        grouped: Whether all videos of a recording are in one fold.
        videos, recordings: How many are held out.
        training_videos: Number of videos that the model was trained on or its epoch chosen on; 0
            in results of older versions.
        scores: The scores of the model and of each baseline, by name.
        recall: Fraction of the fold's violent videos that the model finds; None without any.
        false_positive_rate: Fraction of its normal videos that the model flags; None without any.
        recording_names: The held-out recordings, sorted.
        epochs: Number of epochs that were run.
        kept_epoch: The epoch whose model is kept, from 1; `best_epoch` in JSON and CSV.
        threshold: Probability from which on the model predicts violence.
        temperature: Divides the model's logits.
        note: How the folds are drawn, in words.
        held_out: The cameras, the recording, or the first and last time; empty where recordings
            are drawn.
    """

    repeat: int
    fold: int
    grouped: bool
    videos: int
    recordings: int
    scores: Mapping[str, FoldScores]
    recall: float | None
    false_positive_rate: float | None
    epochs: int
    kept_epoch: int
    threshold: float
    temperature: float
    recording_names: Sequence[str]
    note: str
    held_out: str = ""
    training_videos: int = 0

    @property
    def model(self) -> FoldScores:
        return self.scores[MODEL]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        suffix = "_accuracy"
        names = [key.removesuffix(suffix) for key in values if key.endswith(suffix)]
        scores = {MODEL: FoldScores(values["accuracy"], values["auc"])}
        scores |= {name: FoldScores(values[name + suffix], values[f"{name}_auc"]) for name in names}
        own = ("repeat", "fold", "grouped", "videos", "recordings", "epochs")
        own += ("threshold", "temperature", "note")
        return cls(
            **{name: values[name] for name in own},
            kept_epoch=values["best_epoch"],
            scores=scores,
            recall=values.get("recall"),
            false_positive_rate=values.get("false_positive_rate"),
            recording_names=values.get("recording_names", ()),
            held_out=values.get("held_out", ""),
            training_videos=values.get("training_videos", 0),
        )

    def to_json(self) -> dict[str, Any]:
        """A row of `by_fold` in results.json."""
        return self.to_csv() | {"recording_names": list(self.recording_names)}

    def to_csv(self) -> dict[str, Any]:
        """The values by the columns of folds.csv; predictions.csv names the recordings."""
        row = {
            "repeat": self.repeat,
            "fold": self.fold,
            "grouped": self.grouped,
            "videos": self.videos,
            "recordings": self.recordings,
            "training_videos": self.training_videos,
            "accuracy": self.model.accuracy,
            "auc": self.model.auc,
            "recall": self.recall,
            "false_positive_rate": self.false_positive_rate,
            "epochs": self.epochs,
            "best_epoch": self.kept_epoch,
            "threshold": self.threshold,
            "temperature": self.temperature,
        }
        for name, scores in self.scores.items():
            if name != MODEL:
                row |= {f"{name}_accuracy": scores.accuracy, f"{name}_auc": scores.auc}
        return row | ({"held_out": self.held_out} if self.held_out else {}) | {"note": self.note}


# The key in results.json of each difference.
_DIFFERENCES = {
    "over_linear": "difference_to_linear",
    "over_grouped": "difference_to_grouped",
}


@dataclass(frozen=True)
class PooledResult:
    """The scores of a protocol that are known once all its folds are finished.

    Attributes:
        scores: The scores of the model and of each baseline, by name.
        clean: Whether recordings are known and kept in one fold, and no leak was found.
        leaks: A line for each leak between folds.
        leak_counts: Number of leaks by kind: recordings, identical, near_duplicates.
        near_duplicates_searched: Whether every video was searched for near-duplicates.
        near_duplicates_reason: Why not.
        warnings: A line for each.
        over_linear: The model's scores minus those of the linear baseline.
        over_grouped: The model's scores on random folds minus those on grouped folds; None for
            grouped folds, and without --both.
    """

    scores: Mapping[str, PooledScores]
    clean: bool
    leaks: Sequence[str]
    leak_counts: Mapping[str, int]
    near_duplicates_searched: bool
    near_duplicates_reason: str
    warnings: Sequence[str]
    over_linear: ScoreDifference | None = None
    over_grouped: ScoreDifference | None = None

    @property
    def model(self) -> PooledScores:
        return self.scores[MODEL]

    @property
    def baselines(self) -> dict[str, PooledScores]:
        return {name: scores for name, scores in self.scores.items() if name != MODEL}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        own = ("clean", "leaks", "leak_counts", "near_duplicates_searched")
        own += ("near_duplicates_reason", "warnings")
        scores = {name: PooledScores.from_json(row) for name, row in values["pooled"].items()}
        differences = {
            name: ScoreDifference.from_json(values[key])
            for name, key in _DIFFERENCES.items()
            if key in values
        }
        return cls(**{name: values[name] for name in own}, scores=scores, **differences)

    def to_json(self) -> dict[str, Any]:
        differences = {key: getattr(self, name) for name, key in _DIFFERENCES.items()}
        return {
            "pooled": {name: row.to_json() for name, row in self.scores.items()},
            **{key: difference.to_json() for key, difference in differences.items() if difference},
            "clean": self.clean,
            "leaks": self.leaks,
            "leak_counts": self.leak_counts,
            "near_duplicates_searched": self.near_duplicates_searched,
            "near_duplicates_reason": self.near_duplicates_reason,
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class ProtocolResult:
    """The result of one way to draw folds, grouped or random.

    Attributes:
        grouped: Whether all videos of a recording are in one fold.
        note: How the folds are drawn, in words.
        means: Scores over the finished folds, of the model and of each baseline; empty if no fold
            is finished.
        pooled: None until all folds are finished.
        class_report: Scores of each class in the first repeat; None for two classes, and until
            all folds are finished.
    """

    grouped: bool
    note: str
    means: Mapping[str, PredictorMeans]
    pooled: PooledResult | None
    class_report: ClassReport | None = None

    @property
    def kind(self) -> str:
        return "grouped" if self.grouped else "random"

    @property
    def model(self) -> PredictorMeans:
        return self.means[MODEL]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; other keys are ignored."""
        means = {}
        if "accuracy" in values:
            means = {MODEL: PredictorMeans.from_json(values)} | {
                name: PredictorMeans.from_json(row["over_folds"])
                for name, row in values["baselines"].items()
            }
        pooled = PooledResult.from_json(values) if "pooled" in values else None
        report = values.get("class_report")
        class_report = ClassReport.from_json(report) if report else None
        return cls(values["grouped"], values["note"], means, pooled, class_report)

    def to_json(self) -> dict[str, Any]:
        """The keys of results.json that each protocol has."""
        values: dict[str, Any] = {"grouped": self.grouped, "note": self.note}
        if self.means:
            values |= self.model.to_json()
            values["baselines"] = {
                name: {
                    "accuracy": means.accuracy.mean,
                    "auc": means.auc.mean,
                    "over_folds": means.to_json(),
                }
                for name, means in self.means.items()
                if name != MODEL
            }
        if self.class_report is not None:
            values["class_report"] = self.class_report.to_json()
        return values | (self.pooled.to_json() if self.pooled else {})


@dataclass(frozen=True)
class CrossValidationResult:
    """The content of results.json.

    Attributes:
        dir: Folder of the cross-validation.
        folds: Number of folds of a repeat.
        repeats: Draws of the folds.
        protocols: Grouped or random folds; with --both the grouped ones, then the random ones.
        complete: Whether all folds are finished.
        left_out: A line for each baseline that is missing, with the reason.
        by_fold: The finished folds.
        videos, recordings: How many there are in all folds.
        by: What is held out, as `datasets.config` lists it.
        training_only: Number of videos that are in no fold, because they are the first in time.
        recordings_known: Whether the recording of every video is known.
        grouped_by: Source of the recordings; empty where they come from the extraction.
        classes: Names, the normal class first.
        features: Folder of the features.
        effective: Devices, precision and engine of the last fold.
        folds_csv, predictions_csv: Paths of the tables.
        report: Path of report.html; empty until all folds are finished.
    """

    dir: str
    folds: int
    repeats: int
    protocols: tuple[ProtocolResult, ...]
    complete: bool
    left_out: Sequence[str]
    by_fold: Sequence[FoldRow]
    videos: int
    recordings: int
    recordings_known: bool
    grouped_by: str
    classes: Sequence[str]
    features: str
    effective: EffectiveSettings
    folds_csv: str
    predictions_csv: str
    report: str = ""
    by: str = BY_RECORDING
    training_only: int = 0

    @property
    def kind_of_folds(self) -> str:
        """The folds of the first protocol in words: `grouped folds`, `folds by time`."""
        if self.by == BY_RECORDING:
            return f"{self.protocols[0].kind} folds"
        return "folds of a recording" if self.by == ONE_RECORDING else f"folds by {self.by}"

    @property
    def warnings(self) -> list[str]:
        """The warnings of all protocols."""
        pooled = [protocol.pooled for protocol in self.protocols]
        return [line for result in pooled if result for line in result.warnings]

    def folds_of(self, protocol: ProtocolResult) -> list[FoldRow]:
        return [row for row in self.by_fold if row.grouped == protocol.grouped]

    def test_to_train(self, protocol: ProtocolResult) -> float:
        """Held-out videos over training videos, the mean over the folds of a protocol.

        In results of older versions, which lack the numbers, that of equal folds.
        """
        rows = self.folds_of(protocol)
        if not all(row.training_videos for row in rows):
            return 1 / (self.folds - 1)
        return sum(row.videos / row.training_videos for row in rows) / len(rows)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError: If the values are something else.
        """
        protocols = [ProtocolResult.from_json(values)]
        if "random" in values:
            random = ProtocolResult.from_json(values["random"])
            if protocols[0].pooled and random.pooled:  # the file lists the warnings of both
                warnings = values["warnings"]
                own = warnings[: len(warnings) - len(random.pooled.warnings)]
                protocols = [ProtocolResult.from_json({**values, "warnings": own})]
            protocols.append(random)
        own_names = (
            *("folds", "repeats", "complete", "left_out", "videos", "recordings"),
            *("recordings_known", "grouped_by", "classes", "features"),
            *("folds_csv", "predictions_csv"),
        )
        return cls(
            **{name: values[name] for name in own_names},
            dir=values["cross_validation"],
            effective=EffectiveSettings.from_json(values["effective"]),
            protocols=tuple(protocols),
            by_fold=[FoldRow.from_json(row) for row in values["by_fold"]],
            report=values.get("report", ""),
            by=values.get("by", BY_RECORDING),
            training_only=values.get("training_only", 0),
        )

    def to_json(self) -> dict[str, Any]:
        """The content of results.json."""
        first, *others = self.protocols
        return {
            "cross_validation": self.dir,
            "folds": self.folds,
            "repeats": self.repeats,
            "by": self.by,
            **first.to_json(),
            **{protocol.kind: protocol.to_json() for protocol in others},
            "complete": self.complete,
            "warnings": self.warnings,
            "left_out": self.left_out,
            "by_fold": [row.to_json() for row in self.by_fold],
            "videos": self.videos,
            "recordings": self.recordings,
            "training_only": self.training_only,
            "recordings_known": self.recordings_known,
            "grouped_by": self.grouped_by,
            "classes": self.classes,
            "features": self.features,
            "effective": self.effective.to_json(),
            "folds_csv": self.folds_csv,
            "predictions_csv": self.predictions_csv,
            **({"report": self.report} if self.report else {}),
        }
