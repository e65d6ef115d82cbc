"""The results of a training: the content of training_results.json, and the JSON of `train`."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from violence_detection.datasets.videos import Problem
from violence_detection.errors import RunError
from violence_detection.models.run_scores import RunScores, SplitScores


@dataclass(frozen=True)
class TrainingSummary:
    """Length, kept epoch and speed of a training.

    Attributes:
        epochs_run: Number of epochs.
        kept_epoch: The epoch whose model is kept, from 1; `best_epoch` in JSON.
        resumed_from_epoch: The epoch after which a resumed training continued; else 0.
        videos_per_s: Median over the epochs.
        profiled_steps: First and last step of the trace, empty without one; None if none was
            asked for.
        epochs_asked: Number of epochs that were asked for; None in runs of older versions.
        stop_reason: The reason why fewer were run, in words; else empty.
        kept_reason: The reason why that epoch is kept, in words; empty in runs of older versions.
    """

    epochs_run: int
    kept_epoch: int
    resumed_from_epoch: int
    videos_per_s: float
    profiled_steps: Sequence[int] | None = None
    epochs_asked: int | None = None
    stop_reason: str = ""
    kept_reason: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            values["epochs_run"],
            values["best_epoch"],
            values["resumed_from_epoch"],
            values["videos_per_s"],
            values.get("profiled_steps"),
            values.get("epochs_asked"),
            values.get("stop_reason", ""),
            values.get("kept_reason", ""),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "epochs_run": self.epochs_run,
            "best_epoch": self.kept_epoch,
            "resumed_from_epoch": self.resumed_from_epoch,
            **({} if self.epochs_asked is None else {"epochs_asked": self.epochs_asked}),
            "stop_reason": self.stop_reason,
            "kept_reason": self.kept_reason,
            "videos_per_s": self.videos_per_s,
            **_profile(self.profiled_steps),
        }


@dataclass(frozen=True)
class EffectiveSettings:
    """Requested settings of devices and features as they took effect.

    Attributes:
        replicas: Devices of all machines.
        machines: Machines that trained together; `workers` in JSON.
        precision: Keras' name of it.
        xla: Whether the forward and backward pass were compiled.
        engine: The engine that encoded the features.
        calibrate_by: The predictions that temperature and threshold are chosen on: `validation` or
            `folds`.
    """

    replicas: int
    machines: int
    precision: str
    xla: bool
    engine: str
    calibrate_by: str = "validation"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            values["replicas"],
            values.get("workers", 1),
            values["precision"],
            values["xla"],
            values["engine"],
            values.get("calibrate_by", "validation"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "replicas": self.replicas,
            "workers": self.machines,
            "precision": self.precision,
            "xla": self.xla,
            "engine": self.engine,
            "calibrate_by": self.calibrate_by,
        }


@dataclass(frozen=True)
class MemberResult:
    """The training of one of several seeds.

    Attributes:
        seed: Seed of the member.
        run: Name of its run's folder, in that of the run that keeps a model of the members.
        summary: Length and kept epoch; its other values are not in JSON.
        validation, test, threshold: See `RunScores`.
    """

    seed: int
    run: str
    summary: TrainingSummary
    validation: SplitScores
    test: SplitScores | None
    threshold: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            values["seed"],
            values["run"],
            TrainingSummary.from_json({"resumed_from_epoch": 0, "videos_per_s": 0.0, **values}),
            SplitScores.from_json(values["validation"]),
            SplitScores.of_split(values["test"]),
            values["threshold"],
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "run": self.run,
            "epochs_run": self.summary.epochs_run,
            "best_epoch": self.summary.kept_epoch,
            "validation": self.validation.to_json(),
            "test": self.test and self.test.to_json(),
            "threshold": self.threshold,
            **_profile(self.summary.profiled_steps),
        }


@dataclass(frozen=True)
class MeanAndDeviation:
    """Mean and sample deviation of a score over the members of a training.

    Attributes:
        mean, sd: In JSON, too.
    """

    mean: float
    sd: float

    @classmethod
    def over(cls, values: Sequence[float | None]) -> Self | None:
        """The mean and deviation of two values or more; None if a member has none."""
        if None in values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values))


@dataclass(frozen=True)
class ScoresOverMembers:
    """Mean and deviation of the scores of a split over the members of a training.

    Attributes:
        accuracy, auc, loss: See `SplitScores`; None if a member has none.
    """

    accuracy: MeanAndDeviation | None
    auc: MeanAndDeviation | None
    loss: MeanAndDeviation | None

    @classmethod
    def over(cls, scores: Sequence[SplitScores | None]) -> Self | None:
        """The scores of the members on a split; None if it has no videos."""
        if None in scores:
            return None
        return cls(
            MeanAndDeviation.over([split.accuracy for split in scores]),
            MeanAndDeviation.over([split.auc for split in scores]),
            MeanAndDeviation.over([split.loss for split in scores]),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Self | None:
        if values is None:
            return None
        names = ("accuracy", "auc", "loss")
        scores = [values[name] for name in names]
        return cls(*(row and MeanAndDeviation(row["mean"], row["sd"]) for row in scores))

    def to_json(self) -> dict[str, dict[str, float] | None]:
        return {name: value and dict(vars(value)) for name, value in vars(self).items()}


@dataclass(frozen=True)
class KeptMembers:
    """The members whose model a run keeps.

    Attributes:
        seeds: Seed of the kept member, or the seeds of an ensemble.
        ensemble: Whether the model predicts the mean of the members.
        reason: The reason for the choice, in words.
    """

    seeds: Sequence[int]
    ensemble: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"seeds": list(self.seeds), "ensemble": self.ensemble, "reason": self.reason}


@dataclass(frozen=True)
class MembersResult:
    """The trainings of several seeds, and the choice among them.

    Attributes:
        members: One for each seed; `seeds` in JSON.
        validation, test: Scores over the members; `over_seeds` in JSON.
        kept: The members whose model is kept.
    """

    members: Sequence[MemberResult]
    validation: ScoresOverMembers | None
    test: ScoresOverMembers | None
    kept: KeptMembers

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            [MemberResult.from_json(member) for member in values["seeds"]],
            ScoresOverMembers.from_json(values["over_seeds"]["validation"]),
            ScoresOverMembers.from_json(values["over_seeds"]["test"]),
            KeptMembers(*(values["kept"][name] for name in ("seeds", "ensemble", "reason"))),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "seeds": [member.to_json() for member in self.members],
            "over_seeds": {
                "validation": self.validation and self.validation.to_json(),
                "test": self.test and self.test.to_json(),
            },
            "kept": self.kept.to_json(),
        }


@dataclass(frozen=True)
class TrainingResults:
    """The results of a training, flat in JSON.

    Attributes:
        run: The absolute path of the run.
        summary: Length, kept epoch and speed; with several seeds, of the member with the lowest
            validation loss.
        scores: Scores, threshold, temperature and sanity checks of the kept model.
        effective: Settings as they took effect.
        members: The members of several seeds; None for a single training.
        videos: Number of videos of each split.
        failures: Videos that could not be read.
        one_class: The detector of a training on normal videos alone; empty for others, and then
            not in JSON.
    """

    run: str
    summary: TrainingSummary
    scores: RunScores
    effective: EffectiveSettings
    members: MembersResult | None
    videos: Mapping[str, int]
    failures: Sequence[Problem]
    one_class: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; keys of another version are left out.

        Raises:
            RunError: If a key is missing, or holds something else.
        """
        try:
            return cls(
                run=values["run"],
                summary=TrainingSummary.from_json(values),
                scores=RunScores.from_json(values),
                effective=EffectiveSettings.from_json(values["effective"]),
                members=MembersResult.from_json(values) if "seeds" in values else None,
                videos=values["videos"],
                failures=[Problem(row["path"], row["reason"]) for row in values["failures"]],
                one_class=values.get("one_class", ""),
            )
        except KeyError as error:
            raise RunError(
                f"training_results.json must hold the keys that train writes. Received: no {error}"
            ) from error
        except (TypeError, AttributeError, ValueError) as error:
            raise RunError(
                "training_results.json must hold the values that train writes. Received: something "
                f"else ({error})"
            ) from error

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            **self.summary.to_json(),
            **self.scores.to_json(),
            "effective": self.effective.to_json(),
            **(self.members.to_json() if self.members else {}),
            "videos": dict(self.videos),
            "failures": [failure._asdict() for failure in self.failures],
            **({"one_class": self.one_class} if self.one_class else {}),
        }


def _profile(steps: Sequence[int] | None) -> dict[str, list[int]]:
    return {} if steps is None else {"profiled_steps": list(steps)}
