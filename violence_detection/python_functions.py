"""The commands `extract-features`, `train`, `evaluate` and `cross-validate` as Python functions.

    import violence_detection as vd

    features = vd.extract("my_videos", backbone="mobilenetv2")
    run = vd.train(features=features.features, epochs=60)
    report = vd.evaluate(run.run)
    report.to_frame().groupby("group", observed=True)["correct"].mean()

Keywords are the options of the command, with `_` for `-`. A result prints as the command prints it,
and `to_frame()` is its table for pandas.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from violence_detection.commands.cross_validate import result_lines as cross_validation_lines
from violence_detection.commands.evaluate import evaluation_lines
from violence_detection.commands.extract_features import console_lines as extraction_lines
from violence_detection.commands.train import result_lines as training_lines
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction.extraction_result import ExtractionResult
from violence_detection.models.training_results import TrainingResults
from violence_detection.reports import pandas_tables
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
)
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.settings import Config
from violence_detection.training.config import TrainConfig

if TYPE_CHECKING:
    import pandas as pd

ConfigT = TypeVar("ConfigT", bound=Config)
ResultT = TypeVar("ResultT")


class Extraction(ExtractionResult):
    """The result of `extract`; its attributes are those of `ExtractionResult`."""

    def to_frame(self) -> "pd.DataFrame":
        """The videos, a row each, as `tables.manifest` has them."""
        return pandas_tables.manifest(self.features)

    def __repr__(self) -> str:
        return "\n".join(extraction_lines(self))


class Training(TrainingResults):
    """The result of `train`; its attributes are those of `TrainingResults`."""

    def to_frame(self) -> "pd.DataFrame":
        """The epochs, a row each, as `tables.history` has them."""
        return pandas_tables.history(self.run)

    def __repr__(self) -> str:
        return "\n".join(training_lines(self))


class Evaluation(EvaluationResult):
    """The result of `evaluate`; its attributes are those of `EvaluationResult`."""

    def to_frame(self) -> "pd.DataFrame":
        """The videos with their probabilities, a row each, as `tables.predictions` has them."""
        return pandas_tables.predictions(self.run, self.split)

    def __repr__(self) -> str:
        return "\n".join(evaluation_lines(self))


class CrossValidation(CrossValidationResult):
    """The result of `cross_validate`; its attributes are those of `CrossValidationResult`."""

    def to_frame(self) -> "pd.DataFrame":
        """The folds, a row each; nested values of results.json have names such as `a.b`."""
        import pandas as pd

        return pd.json_normalize([row.to_json() for row in self.by_fold])

    def __repr__(self) -> str:
        return "\n".join(cross_validation_lines(self))


def extract(video_dir: str | os.PathLike, *, force: bool = False, **settings: Any) -> Extraction:
    """Extracts the features of a folder of videos, or of those that are missing or changed.

    Args:
        video_dir: The folder, as `extract-features` takes it.
        force: Extract every video again.
        settings: The options of `extract-features`: `backbone="mobilenetv2"`, `frames=16`.

    Raises:
        ConfigError: If a setting is unknown (with the nearest name) or out of its range.
        ViolenceDetectionError: As the command says it: no usable video, no weights, …
    """
    from violence_detection.features.extraction.extract import ExtractionStage

    config = _config(ExtractConfig, settings)
    return _shown(Extraction, ExtractionStage(Path(video_dir), config, force=force).run())


def train(*, force: bool = False, **settings: Any) -> Training:
    """Trains a classifier; what comes out is on disk as well, in the folder `run` of the result.

    Args:
        force: Replace a run of this name.
        settings: The options of `train`; `features` or `dataset_path` is required.

    Raises:
        ConfigError: If a setting is unknown (with the nearest name) or out of its range.
        ViolenceDetectionError: As the command says it.
    """
    from violence_detection.training.train import TrainingStage

    return _shown(Training, TrainingStage(_config(TrainConfig, settings), force=force).run())


def evaluate(run: str | os.PathLike, *, force: bool = False, **settings: Any) -> Evaluation:
    """Evaluates a run on a split; writes the report as well.

    Args:
        run: Folder of the run.
        force: Replace an evaluation of other videos.
        settings: The options of `evaluate`: `split="validation"`, `read_videos=False`.

    Raises:
        ConfigError: If a setting is unknown (with the nearest name) or out of its range.
        ViolenceDetectionError: As the command says it.
    """
    from violence_detection.evaluation.evaluate import EvaluationStage

    config = _config(EvaluateConfig, settings)
    return _shown(Evaluation, EvaluationStage(os.fspath(run), config, force=force).run())


def cross_validate(*, force: bool = False, **settings: Any) -> CrossValidation:
    """Trains and scores a classifier on each fold of a dataset; resumes an interrupted one.

    Args:
        force: Replace an earlier cross-validation of this name.
        settings: The options of `cross-validate`; `features` is required.

    Raises:
        ConfigError: If a setting is unknown (with the nearest name) or out of its range.
        ViolenceDetectionError: As the command says it.
    """
    from violence_detection.experiments.cross_validation.cross_validate import CrossValidationStage

    config = _config(CrossValidateConfig, settings)
    return _shown(CrossValidation, CrossValidationStage(config, force=force).run())


def _config(kind: type[ConfigT], settings: Mapping[str, Any]) -> ConfigT:
    """The config of a command from its options, of which paths may be `Path` objects."""
    values = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in settings.items()
    }
    return kind.from_settings(values, given=values)


def _shown(kind: type[ResultT], result: Any) -> ResultT:
    """The same result as an object that prints itself and has a table."""
    fields = dataclasses.fields(result)
    return kind(**{field.name: getattr(result, field.name) for field in fields})
