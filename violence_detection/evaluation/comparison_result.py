"""The result of a comparison of two runs: what `compare` prints, and its JSON object."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from violence_detection.evaluation.leakage import Leaks
from violence_detection.metrics.classification import Scores
from violence_detection.metrics.paired_tests import (
    Discordance,
    PairedAccuracyDifference,
    PairedAucDifference,
)
from violence_detection.metrics.thresholds.operating_cost import CostDifference


@dataclass(frozen=True)
class RunSummary:
    """A run in the result of a comparison.

    Attributes:
        run, features: Folders of the run and of the features that it was evaluated on.
        scores: Without intervals.
        auc_ci_delong: [low, high] at 95%; None where it is not defined.
        threshold: The run's own.
        operating_point: The criterion of the threshold, in words; empty if it is not recorded.
        leaks: The videos that it was trained or tuned on.
    """

    run: str
    features: str
    scores: Scores
    auc_ci_delong: Sequence[float] | None
    threshold: float
    operating_point: str
    leaks: Leaks

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "features": self.features,
            **self.scores.to_json(),
            "auc_ci_delong": self.auc_ci_delong,
            "threshold": self.threshold,
            "operating_point": self.operating_point,
            **self.leaks.to_json(),
        }


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison; differences are B - A.

    Attributes:
        a, b: The runs.
        split, videos, recordings: What they are compared on.
        few_recordings: Whether an interval over so few recordings is a rough guess.
        grouped: Whether the recording of every video is known.
        accuracy, auc, discordance: The differences and their tests.
        better: By `accuracy` and `auc`: a, b, neither or unknown.
        cost: The difference at a site; None if no traffic was given.
    """

    a: RunSummary
    b: RunSummary
    split: str
    videos: int
    recordings: int
    few_recordings: bool
    grouped: bool
    accuracy: PairedAccuracyDifference
    auc: PairedAucDifference
    discordance: Discordance
    better: Mapping[str, str]
    cost: CostDifference | None = None

    @property
    def clean(self) -> bool:
        """True if no run was trained on any of the videos."""
        return self.a.leaks.clean and self.b.leaks.clean

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command."""
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "split": self.split,
            "videos": self.videos,
            "recordings": self.recordings,
            "few_recordings": self.few_recordings,
            "grouped": self.grouped,
            "clean": self.clean,
            **asdict(self.accuracy),
            **asdict(self.auc),
            **asdict(self.discordance),
            "better": self.better,
            **({"cost": self.cost.to_json()} if self.cost else {}),
        }
