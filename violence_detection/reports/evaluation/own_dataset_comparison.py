"""The scores of a run on another dataset beside those on the dataset that it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from violence_detection.units import counted


@dataclass(frozen=True)
class OwnDatasetComparison:
    """The loss of a run on cameras that it was not trained on.

    Intervals are [low, high] at 95%. Differences are scores on the other dataset minus those on its
    own; the two share no video, so that their intervals are wide.

    Attributes:
        dataset: The dataset that the run was trained on.
        split: Of it: `test`, or `validation` where the run has no test videos; its epoch was chosen
            on these, so that they flatter it.
        videos, recordings: How many these are; None in runs of older versions.
        accuracy, auc: Scores on them; `auc` is None for videos of one class.
        accuracy_difference, auc_difference: In [-1, 1]; None without a score.
        accuracy_difference_ci, auc_difference_ci: None without both intervals.
        worst: Where the most errors are, a line each: kinds, motion, size, light.
    """

    dataset: str
    split: str
    videos: int | None
    recordings: int | None
    accuracy: float
    auc: float | None
    accuracy_difference: float
    accuracy_difference_ci: Sequence[float] | None
    auc_difference: float | None
    auc_difference_ci: Sequence[float] | None
    worst: Sequence[str] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{name: values.get(name) for name in cls.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text(self) -> str:
        """The loss in a sentence without its end."""
        points = f"{100 * self.accuracy_difference:+.1f} points{_span(self.points_ci, '+.1f')}"
        counts = ""
        if self.videos:
            counts = f" ({counted(self.videos, f'{self.split} video')}"
            counts += f" of {counted(self.recordings, 'recording')})" if self.recordings else ")"
        text = f"accuracy {points} against {100 * self.accuracy:.1f}% on its own dataset{counts}"
        if self.auc is not None and self.auc_difference is not None:
            text += f"; AUC {self.auc_difference:+.3f}{_span(self.auc_difference_ci, '+.3f')} "
            text += f"against {self.auc:.3f}"
        return text

    @property
    def points_ci(self) -> list[float] | None:
        """The interval of the difference of accuracies, in percentage points."""
        interval = self.accuracy_difference_ci
        return interval and [100 * end for end in interval]


def _span(interval: Sequence[float] | None, form: str) -> str:
    if interval is None:
        return ""
    low, high = interval
    return f" (95%: {low:{form}} to {high:{form}})"
