"""The folder of a cross-validation: its tables, and a finished one read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection.errors import RunError, ViolenceDetectionError
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.cross_validation.out_of_fold import OutOfFoldRow
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
    FoldRow,
)
from violence_detection.system import files

RECORD = "cross_validation.json"  # the settings and digests


def is_cross_validation(folder: str) -> bool:
    """True for a folder that `cross-validate` has written to."""
    return (Path(folder) / RECORD).is_file()


def write_tables(
    folder: Path,
    fold_rows: Sequence[FoldRow],
    predictions: Sequence[OutOfFoldRow],
    classes: Sequence[str],
) -> None:
    """Writes folds.csv and predictions.csv.

    Args:
        folder: Folder of the cross-validation.
        fold_rows: The finished folds.
        predictions: The predictions for held-out videos.
        classes: Names, the normal class first.
    """
    for name, rows in (
        ("predictions.csv", [row.to_csv(classes) for row in predictions]),
        ("folds.csv", [row.to_csv() for row in fold_rows]),
    ):
        columns = list(dict.fromkeys(column for row in rows for column in row))
        files.write_csv(folder / name, columns, rows)


@dataclass(frozen=True)
class FinishedCrossValidation:
    """A cross-validation whose folds are all trained.

    Attributes:
        dir: Its folder.
        settings: Its settings, by name.
        features_digest: The fingerprint of the feature space.
        result: The content of results.json.
        rows: The predictions for held-out videos, by kind of the folds: "grouped", "random".
    """

    dir: Path
    settings: Mapping[str, Any]
    features_digest: str
    result: CrossValidationResult
    rows: Mapping[str, Sequence[OutOfFoldRow]]

    @classmethod
    def open(cls, folder: str) -> Self:
        """Reads the results and the predictions of a finished cross-validation.

        Raises:
            RunError: If it is not finished, or a file is missing, damaged or of another version.
        """
        dir = Path(folder).resolve()
        record, values = files.read_json(dir / RECORD), files.read_json(dir / "results.json")
        if not values.get("complete", False):
            raise RunError(
                f"A cross-validation must be finished before it is compared. Received: {dir}; "
                "start it again by the same command, and it resumes"
            )
        try:
            result = CrossValidationResult.from_json(values)
            table = files.read_own_csv(dir / "predictions.csv", OutOfFoldRow.columns())
            rows: dict[str, list[OutOfFoldRow]] = {}
            for line in table:
                row = OutOfFoldRow.from_csv(line, result.classes)
                rows.setdefault(row.kind, []).append(row)
        except (
            ViolenceDetectionError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            raise RunError(
                "A cross-validation must hold results.json and predictions.csv of this version. "
                f"Received: {dir}; start it again by the same command: it writes them anew from "
                "the finished folds, without a training"
            ) from error
        return cls(
            dir,
            CrossValidateConfig.complete_record(record.get("settings") or {}),
            str(record.get("fingerprint", "")),
            result,
            rows,
        )
