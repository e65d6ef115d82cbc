"""The result of a cross-dataset evaluation: the content of results.json and matrix.csv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from violence_detection.metrics.classification import Scores

NOTE = (
    "Each row is one training, on the train and validation videos of that dataset. It is evaluated "
    "on all videos of every other dataset, and on the test videos of its own; intervals are over "
    "recordings."
)
COLUMNS = (
    "trained_on judged_on split videos recordings accuracy accuracy_low accuracy_high auc auc_low "
    "auc_high recall false_alarm_rate threshold clean shared_videos"
).split()


@dataclass(frozen=True)
class CellScores:
    """Scores of a run on the videos of a dataset.

    Attributes:
        recordings: Number of recordings.
        grouped: Whether the recording of every video is known.
        scores: Accuracy and AUC with their intervals.
        recall: Fraction of the violent videos with an alarm.
        false_alarm_rate: Fraction of the normal videos with an alarm.
        threshold: Threshold of the run.
        class_mapping: Labels of the videos that the run knows under another name.
        clean: Whether no leak was found.
        shared_videos: Number of videos whose bytes are in the training videos too.
    """

    recordings: int
    grouped: bool
    scores: Scores
    recall: float
    false_alarm_rate: float
    threshold: float
    class_mapping: Mapping[str, str]
    clean: bool
    shared_videos: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; other keys are ignored."""
        names = ("recordings", "grouped", "recall", "false_alarm_rate", "threshold")
        names += ("class_mapping", "clean", "shared_videos")
        return cls(scores=Scores.from_json(values), **{name: values[name] for name in names})

    def to_json(self) -> dict[str, Any]:
        return {
            "recordings": self.recordings,
            "grouped": self.grouped,
            **self.scores.to_json(),
            "recall": self.recall,
            "false_alarm_rate": self.false_alarm_rate,
            "threshold": self.threshold,
            "class_mapping": self.class_mapping,
            "clean": self.clean,
            "shared_videos": self.shared_videos,
        }


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix: a training, and a dataset that it is evaluated on.

    Attributes:
        trained_on, scored_on: Names of the datasets.
        split: `test` of its own dataset, `all` of another.
        videos: How many are evaluated.
        scores: None without videos.
    """

    trained_on: str
    scored_on: str
    split: str
    videos: int
    scores: CellScores | None

    @property
    def is_own(self) -> bool:
        """True for the test videos of the dataset that it was trained on."""
        return self.trained_on == self.scored_on

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        scores = CellScores.from_json(values) if values["videos"] else None
        names = ("trained_on", "judged_on", "split", "videos")
        return cls(*(values[name] for name in names), scores)

    def to_json(self) -> dict[str, Any]:
        return {
            "trained_on": self.trained_on,
            "judged_on": self.scored_on,
            "split": self.split,
            "videos": self.videos,
            **(self.scores.to_json() if self.scores else {}),
        }

    def to_csv(self) -> dict[str, Any]:
        """The values by the columns of matrix.csv."""
        row = self.to_json()
        for name in ("accuracy", "auc"):
            low, high = row.get(f"{name}_ci") or (None, None)
            row |= {f"{name}_low": low, f"{name}_high": high}
        return row


@dataclass(frozen=True)
class CrossDatasetResult:
    """The content of results.json.

    Attributes:
        dir: Folder of the study.
        datasets: Names.
        features, runs: Folders of each dataset's features and run.
        cells: Row by row; a row is a training.
        warnings: A line for each.
        matrix_csv: Path of the table.
        note: What is trained and evaluated on what.
    """

    dir: str
    datasets: Sequence[str]
    features: Sequence[str]
    runs: Sequence[str]
    cells: Sequence[Cell]
    warnings: Sequence[str]
    matrix_csv: str
    note: str = NOTE

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        names = ("datasets", "features", "runs", "warnings", "matrix_csv", "note")
        return cls(
            dir=values["cross_dataset"],
            cells=[Cell.from_json(cell) for cell in values["cells"]],
            **{name: values[name] for name in names},
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "cross_dataset": self.dir,
            "datasets": self.datasets,
            "features": self.features,
            "runs": self.runs,
            "cells": [cell.to_json() for cell in self.cells],
            "note": self.note,
            "warnings": self.warnings,
            "matrix_csv": self.matrix_csv,
        }
