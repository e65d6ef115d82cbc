"""The result of a hyperparameter search, and the rows of trials.csv."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

COLUMNS = ("number", "state", "value", "seconds", "reason")  # and the settings of the space


@dataclass(frozen=True)
class TrialRow:
    """A finished trial: a row of trials.csv.

    Attributes:
        number: From 0.
        state: complete, pruned or fail.
        value: Its score; None for a trial that failed.
        seconds: Its duration; None if it is not known.
        reason: The reason why it failed.
        settings: The values that it tried, by name.
    """

    number: int
    state: str
    value: float | None
    seconds: float | None
    reason: str | None
    settings: Mapping[str, Any]

    def to_csv(self) -> dict[str, Any]:
        """The values by column."""
        return {**{name: getattr(self, name) for name in COLUMNS}, **self.settings}


@dataclass(frozen=True)
class TrialCounts:
    """Numbers of finished trials by outcome; interrupted ones are not counted."""

    completed: int
    pruned: int
    failed: int

    @property
    def total(self) -> int:
        return self.completed + self.pruned + self.failed


@dataclass(frozen=True)
class SearchResult:
    """The JSON object of the command.

    Attributes:
        dir: Folder of the study.
        counts: Numbers of trials.
        monitor: The score: val_loss, val_auc or val_accuracy.
        best_trial: Number of the best trial.
        best_value: Its score.
        best_settings: The settings of `best_config`, by name.
        best_config: File for `train --config`.
        trials_csv: Path of the table.
        features: Folder of the features.
        folds: Folds that score a trial; 1 for the validation videos.
        seeds: Trainings on each fold.
        trainings_per_trial: ``folds * seeds``.
        videos: Number of videos; test videos are not counted.
        note: A caution about the best value.
        retried: Number of interrupted trials that were run again.
        seconds: Duration of this start.
    """

    dir: str
    counts: TrialCounts
    monitor: str
    best_trial: int
    best_value: float
    best_settings: Mapping[str, Any]
    best_config: str
    trials_csv: str
    features: str
    folds: int
    seeds: int
    trainings_per_trial: int
    videos: int
    note: str
    retried: int
    seconds: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        counts = TrialCounts(values["completed"], values["pruned"], values["failed"])
        own = values.keys() - {"study", "trials", "completed", "pruned", "failed"}
        return cls(values["study"], counts, **{name: values[name] for name in own})

    def to_json(self) -> dict[str, Any]:
        values = dict(vars(self))
        study, counts = values.pop("dir"), values.pop("counts")
        return {"study": study, "trials": counts.total, **vars(counts), **values}
