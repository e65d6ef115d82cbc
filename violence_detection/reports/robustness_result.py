"""The result of a robustness study: what robustness.json holds and what the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class ConditionScores:
    """Scores under a condition, and their differences to the unchanged videos.

    Intervals are [low, high] at 95% over recordings; None where they are not defined.

    Attributes:
        name: The condition as asked for.
        videos: How many have a prediction under it and one unchanged; without any, the scores are
            0.0 and None.
        accuracy, auc: Under the condition.
        accuracy_difference, auc_difference: To the unchanged videos.
        difference_ci: Interval of `accuracy_difference`.
        condition: The name with every severity written out.
    """

    name: str
    videos: int
    accuracy: float = 0.0
    accuracy_ci: Sequence[float] | None = None
    auc: float | None = None
    auc_ci: Sequence[float] | None = None
    accuracy_difference: float = 0.0
    difference_ci: Sequence[float] | None = None
    auc_difference: float = 0.0
    auc_difference_ci: Sequence[float] | None = None
    condition: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            KeyError: If a score is missing.
        """
        names = {field.name for field in fields(cls)} & values.keys()
        for name in ("name", "accuracy", "accuracy_ci", "auc"):
            values[name]
        return cls(**{"videos": 0} | {name: values[name] for name in names})


@dataclass(frozen=True)
class RobustnessScores:
    """Scores under all conditions.

    Attributes:
        clean: Scores of the unchanged videos.
        control: Scores of copies without corruption; None in files of older versions.
        conditions: Scores of the corrupted copies.
        mean_accuracy, mean_accuracy_ci: Over the conditions, of the `mean_videos` videos that
            have a prediction under each.
        mean_auc: Over the conditions that have one.
    """

    clean: ConditionScores
    control: ConditionScores | None
    conditions: Sequence[ConditionScores]
    mean_accuracy: float
    mean_accuracy_ci: Sequence[float] | None = None
    mean_videos: int = 0
    mean_auc: float | None = None

    @property
    def rows(self) -> list[ConditionScores]:
        """All conditions, the unchanged videos and the control first."""
        return [self.clean, *([self.control] if self.control else []), *self.conditions]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Reads the scores from the values of a robustness.json.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: If they are incomplete.
        """
        control = values.get("control")
        return cls(
            ConditionScores.from_json(values["clean"]),
            ConditionScores.from_json(control) if control else None,
            [ConditionScores.from_json(row) for row in values["conditions"]],
            float(values["mean_accuracy"]),
            values.get("mean_accuracy_ci"),
            values.get("mean_videos", 0),
            values.get("mean_auc"),
        )


@dataclass(frozen=True)
class ConditionFailure:
    """A video that has no prediction under a condition, and the reason."""

    path: str
    condition: str
    reason: str


@dataclass(frozen=True)
class RobustnessResult:
    """The result of a robustness study, in the order of robustness.json.

    Attributes:
        run, split, videos, recordings: What was evaluated.
        grouped: Whether the recording of every video is known.
        leaks, leak_counts: Videos that the run was trained on; see `EvaluationResult`.
        scores: Under each condition.
        note: How to read the numbers.
        left_out: A text for each condition that this system cannot apply.
        failures: Predictions that are missing.
        threshold: The run's threshold.
        features: Folder of the features that list the videos.
        engine, precision: What the backbone ran with.
        identity: Digests of the model, the videos and the feature space, and the seed.
        table, picture: Paths of robustness.csv and robustness.png.
    """

    run: str
    split: str
    videos: int
    recordings: int
    grouped: bool
    leaks: Sequence[str]
    leak_counts: Mapping[str, int]
    scores: RobustnessScores
    note: str
    left_out: Sequence[str]
    failures: Sequence[ConditionFailure]
    threshold: float
    features: str
    engine: str
    precision: str
    identity: Mapping[str, str | int]
    table: str
    picture: str

    def to_json(self) -> dict[str, Any]:
        """The content of robustness.json."""
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "scores":
                values |= asdict(value)
            elif name == "engine":
                values["effective"] = {"engine": self.engine, "precision": self.precision}
            elif name == "identity":
                values |= value
            elif name == "failures":
                values[name] = [asdict(failure) for failure in value]
            elif name != "precision":
                values[name] = value
        return values
