"""The result of a comparison of cross-validations: what `compare` prints of them, and its JSON
object."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from violence_detection.metrics.fold_tests import FoldDifference
from violence_detection.metrics.paired_tests import (
    Discordance,
    PairedAccuracyDifference,
    PairedAucDifference,
)


@dataclass(frozen=True)
class ComparedCrossValidation:
    """A cross-validation in the result of a comparison.

    Attributes:
        name: Its letter, in the order of the command: "A".
        dir: Its folder.
        features: Folder of the features.
        accuracy, auc: Scores of the predictions for the compared videos, all folds together; the
            mean of several repeats. `auc` is None for videos of one class only.
        clean: Whether no recording and no video is in two folds, as far as it is known.
        leaks: A line for each leak between its folds.
        left_out: Number of its videos that another cross-validation lacks.
    """

    name: str
    dir: str
    features: str
    accuracy: float
    auc: float | None
    clean: bool
    leaks: Sequence[str]
    left_out: int

    def to_json(self) -> dict[str, Any]:
        values = dict(vars(self))
        return {"name": values.pop("name"), "cross_validation": values.pop("dir"), **values}


@dataclass(frozen=True)
class CrossValidationDifference:
    """The second of two cross-validations minus the first, on the same videos.

    Attributes:
        first, second: Their letters.
        accuracy, auc: Pooled over all folds, the mean of the repeats.
        discordance: In the first repeat.
        accuracy_over_folds, auc_over_folds: None if the folds are not the same, or a score is
            defined in fewer than two folds.
        accuracy_exchange_p_holm, auc_exchange_p_holm: p of the exchange tests, adjusted for the
            number of pairs.
        better: By `accuracy` and `auc`: the letter of the better one in lower case, neither or
            unknown.
    """

    first: str
    second: str
    accuracy: PairedAccuracyDifference
    auc: PairedAucDifference
    discordance: Discordance
    accuracy_over_folds: FoldDifference | None
    auc_over_folds: FoldDifference | None
    accuracy_exchange_p_holm: float
    auc_exchange_p_holm: float
    better: Mapping[str, str]

    @property
    def title(self) -> str:
        """`B - A`."""
        return f"{self.second} - {self.first}"

    def over_folds(self, measure: str) -> FoldDifference | None:
        """The difference of "accuracy" or "auc" over folds."""
        return self.accuracy_over_folds if measure == "accuracy" else self.auc_over_folds

    def p_values(self, measure: str) -> tuple[float, float]:
        """p of the exchange test of "accuracy" or "auc", and the same adjusted by Holm."""
        if measure == "accuracy":
            return self.accuracy.accuracy_exchange_p, self.accuracy_exchange_p_holm
        return self.auc.auc_exchange_p, self.auc_exchange_p_holm

    def to_json(self) -> dict[str, Any]:
        over_folds = {"accuracy": self.accuracy_over_folds, "auc": self.auc_over_folds}
        return {
            "first": self.first,
            "second": self.second,
            **asdict(self.accuracy),
            **asdict(self.auc),
            **asdict(self.discordance),
            "accuracy_exchange_p_holm": self.accuracy_exchange_p_holm,
            "auc_exchange_p_holm": self.auc_exchange_p_holm,
            "over_folds": {name: asdict(value) for name, value in over_folds.items() if value},
            "better": self.better,
        }


@dataclass(frozen=True)
class CrossValidationComparison:
    """The result of a comparison of two or more cross-validations.

    Attributes:
        cross_validations: In the order of the command.
        pairs: The differences of all pairs: B - A first.
        kind: "grouped" or "random" folds.
        kind_of_folds: How the compared folds are drawn, in words: `grouped folds`.
        folds, repeats: Folds of a repeat of the first one, and the repeats that are compared.
        fold_differences: A text for each reason why the folds are not the same; empty if they
            are.
        setting_differences: The values of each setting that differs, in the order of the
            cross-validations.
        videos, recordings: How many are compared.
        few_recordings: Whether an interval over so few recordings is a rough guess.
        grouped: Whether the recording of every video is known.
        report: Path of the page; empty without one.
    """

    cross_validations: Sequence[ComparedCrossValidation]
    pairs: Sequence[CrossValidationDifference]
    kind: str
    kind_of_folds: str
    folds: int
    repeats: int
    fold_differences: Sequence[str]
    setting_differences: Mapping[str, Sequence[Any]]
    videos: int
    recordings: int
    few_recordings: bool
    grouped: bool
    report: str = ""

    @property
    def clean(self) -> bool:
        """True if no cross-validation has a leak between its folds."""
        return all(compared.clean for compared in self.cross_validations)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command; the keys of a pair are those of B - A."""
        first, second, *_ = self.cross_validations
        return {
            "a": first.to_json(),
            "b": second.to_json(),
            "kind": self.kind,
            "folds": self.folds,
            "repeats": self.repeats,
            "same_folds": not self.fold_differences,
            "fold_differences": self.fold_differences,
            "setting_differences": self.setting_differences,
            "videos": self.videos,
            "recordings": self.recordings,
            "few_recordings": self.few_recordings,
            "grouped": self.grouped,
            "clean": self.clean,
            **self.pairs[0].to_json(),
            "cross_validations": [compared.to_json() for compared in self.cross_validations],
            "pairs": [pair.to_json() for pair in self.pairs],
            "report": self.report,
        }
