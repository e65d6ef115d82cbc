"""The predictions that temperature and threshold of a run were chosen on, and their file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from violence_detection.errors import RunError
from violence_detection.metrics import calibration
from violence_detection.metrics.thresholds.threshold_curve import ThresholdCurve, threshold_curve
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system import files

VALIDATION, OUT_OF_FOLD = "validation", "out-of-fold predictions"
_PREFIX = "as_trained_"


@dataclass(frozen=True)
class CalibrationPredictions:
    """Predictions of N videos by models that were not trained on them.

    Attributes:
        paths, groups: The key and the recording of each video.
        labels: int64 (N,); 0 is the normal class.
        probability: The probability of each class at temperature 1, float64 (N, K).
        folds: The fold of each video, from 1, int64 (N,); None for predictions of the validation
            videos by the run's own model.
        baseline: The probability of violence by the linear baseline, float64 (N,).
    """

    paths: tuple[str, ...]
    groups: np.ndarray
    labels: np.ndarray
    probability: np.ndarray
    folds: np.ndarray | None
    baseline: np.ndarray

    @property
    def source(self) -> str:
        """The name of the predictions, in words."""
        return VALIDATION if self.folds is None else OUT_OF_FOLD

    @property
    def violent(self) -> np.ndarray:
        """bool (N,)."""
        return is_violent(self.labels)

    def scores(self, temperature: float) -> np.ndarray:
        """The probability of violence at a temperature, float64 (N,)."""
        return violence_score(calibration.apply_temperature(self.probability, temperature))

    def threshold_curve(self, temperature: float) -> ThresholdCurve:
        """Recall, false positive rate and precision over the threshold."""
        return threshold_curve(self.violent, self.scores(temperature), self.groups)

    def write(self, path: Path, classes: Sequence[str], *, temperature: float = 1.0) -> None:
        """Writes a row a video: path, label, group, fold (empty for validation), the probability
        of violence at the temperature, that of each class at temperature 1, and the baseline's.

        Args:
            path: CSV file.
            classes: The K names, the normal class first.
            temperature: The run's.
        """
        columns = ["path", "label", "group", "fold", "probability", "linear_baseline"]
        columns += [f"{_PREFIX}{name}" for name in classes]
        scores = self.scores(temperature)
        rows = [
            {
                "path": self.paths[row],
                "label": classes[self.labels[row]],
                "group": self.groups[row],
                "fold": "" if self.folds is None else int(self.folds[row]),
                "probability": float(scores[row]),
                "linear_baseline": float(self.baseline[row]),
                **{
                    f"{_PREFIX}{name}": float(value)
                    for name, value in zip(classes, self.probability[row], strict=True)
                },
            }
            for row in range(len(self.paths))
        ]
        files.write_csv(path, columns, rows)

    @classmethod
    def read(cls, path: Path, classes: Sequence[str]) -> Self:
        """The inverse of `write`.

        Raises:
            RunError: If the file is missing, damaged, or of other classes.
        """
        names = [f"{_PREFIX}{name}" for name in classes]
        rows = files.read_own_csv(path, ("path", "label", "group", "fold", *names))
        try:
            has_folds = all(row["fold"] for row in rows)
            return cls(
                paths=tuple(row["path"] for row in rows),
                groups=np.array([row["group"] for row in rows], object),
                labels=np.array([classes.index(row["label"]) for row in rows], np.int64),
                probability=np.array([[float(row[name]) for name in names] for row in rows]),
                folds=np.array([int(row["fold"]) for row in rows]) if has_folds else None,
                baseline=np.array([float(row["linear_baseline"]) for row in rows]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{path.name} must hold what train writes. Received: {path} ({error})"
            ) from error

    @classmethod
    def of_run(cls, run: Run) -> Self | None:
        """The predictions that a run keeps; None for a run of an older version.

        Raises:
            RunError: If the file is damaged.
        """
        if not run.calibration_path.is_file():
            return None
        return cls.read(run.calibration_path, run.record().classes)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The predictions of several folds, one after the other."""
        return cls(
            paths=sum((part.paths for part in parts), ()),
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("groups", "labels", "probability", "folds", "baseline")
            },
        )
