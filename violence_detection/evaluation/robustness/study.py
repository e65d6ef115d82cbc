"""The robustness study of a run: its scores on corrupted copies of the evaluated videos."""

import contextlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import VideoError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.evaluation.robustness.corrupted_features import (
    CorruptionTask,
    extract_corrupted_features,
    unchanged_excerpts,
)
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.evaluation.robustness.scores import (
    CONDITION_COLUMNS,
    NOTE,
    condition_rows,
    score_conditions,
    scores_table,
)
from violence_detection.features import dataset
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.run_extractor import extractor_of_run
from violence_detection.models.run import Run
from violence_detection.reports.plots import figures
from violence_detection.reports.robustness_result import ConditionFailure, RobustnessResult
from violence_detection.system import devices, files, progress
from violence_detection.system.study_folder import StudyFolder, StudyIdentity
from violence_detection.units import counted

log = logging.getLogger(__name__)

_PREDICTIONS, _RESULT = "robustness_answers.jsonl", "robustness.json"


def measure_robustness(
    run_dir: str, config: RobustnessConfig, *, force: bool = False
) -> RobustnessResult:
    """The result of a `RobustnessStage`."""
    return RobustnessStage(run_dir, config, force=force).run()


class RobustnessStage:
    """Predicts the videos of a split and corrupted copies of them, and compares the scores.

    The copies are read and encoded exactly as the videos of the training were. Leaves
    robustness.json, robustness.csv, robustness_predictions.csv and robustness.png in
    `evaluation/<split>/`. A study that was interrupted is resumed by the same command.
    """

    def __init__(self, run_dir: str, config: RobustnessConfig, *, force: bool = False) -> None:
        """
        Args:
            run_dir: Folder of the run.
            config: The split, the conditions, and how many videos at a time.
            force: Whether a study in the folder is replaced.
        """
        self._run_dir, self._config, self._force = run_dir, config, force

    def prepare(self) -> dict[str, Any]:
        """Opens the run and its features, and finds the videos and conditions.

        Raises:
            RunError, CacheError: If the run or its features are not usable.
            ConfigError: If a condition is invalid.
            VideoError: If no video exists unchanged.
        """
        config = self._config
        self._run = Run.open(self._run_dir)
        self._record = self._run.record()
        self._cache = evaluation_set.open_features(self._run, config.features)
        self._entries = evaluation_set.split_entries(self._run, self._cache, config.split)
        self._folder = self._run.evaluation_dir(config.split)
        self._conditions, self._left_out = _conditions(
            config.listed, skip_missing=config.conditions in ("usual", "all")
        )
        self._excerpts, self._changed = unchanged_excerpts(
            self._cache, self._entries, config.dataset_path
        )
        if not self._excerpts:
            first = self._changed[0]
            raise VideoError(
                f"At least one video must exist unchanged. Received: {first.path} ({first.reason})"
            )
        identity = evaluation_set.identity_of(self._run, self._entries)
        self._identity: dict[str, Any] = identity | {"seed": config.seed}
        return {
            "dry_run": True,
            "run": str(self._run.dir),
            "split": config.split,
            "videos": len(self._excerpts),
            "not_there": len(self._changed),
            "conditions": list(self._conditions),
            "left_out": self._left_out,
            "robustness": str(self._folder / _RESULT),
        }

    def run(self) -> RobustnessResult:
        """Predicts, and writes and returns the scores.

        Raises:
            RunError, CacheError, ConfigError, VideoError: See `prepare`.
            ConfigError: If the folder holds predictions of other videos or another model.
            WeightsError: If the backbone's weights are missing or differ from the run's.
        """
        self.prepare()
        config = self._config
        devices.import_tensorflow()
        extractor = extractor_of_run(
            self._record, weights=config.weights, batch_size=config.batch_size
        ).in_segments(self._record.feature_space.segments)
        self._identity |= {"feature_space": extractor.space.fingerprint}
        with _study_folder(self._folder).lock():
            saved = _PredictionFile(self._folder, self._identity, force=self._force)
            try:
                failures = self._changed + self._predict_missing(extractor, saved)
            finally:
                files.sweep_temporary(self._folder)  # copies of videos, after an interruption too
            return self._write(extractor, saved, failures)

    def _predict_missing(
        self, extractor: FeatureExtractor, saved: "_PredictionFile"
    ) -> list[ConditionFailure]:
        """Adds the predictions that the file lacks; returns those that failed."""
        tasks = [
            CorruptionTask(key, source, condition)
            for key, source in self._excerpts.items()
            for condition in self._conditions.values()
            if not saved.has(key, condition)
        ]
        log.info(
            f"{counted(len(self._excerpts), 'video')} under "
            f"{counted(len(self._conditions), 'condition')}: "
            f"{counted(len(tasks), 'prediction')} missing"
        )
        classifier = self._run.load_classifier()
        failures: list[ConditionFailure] = []
        names = {condition: name for name, condition in self._conditions.items()}
        outcomes = extract_corrupted_features(
            extractor,
            tasks,
            self._folder,
            seed=self._config.seed,
            workers=self._config.workers,
            timeout_s=self._config.video_timeout_s,
        )
        with (
            contextlib.closing(outcomes),
            progress.track("Corrupting", len(tasks), "clips") as step,
        ):
            for task, features, reason in outcomes:
                if features is None:
                    name = names[task.condition]
                    log.warning(f"No prediction for {task.key} under {name}: {reason}")
                    failures.append(ConditionFailure(task.key, name, reason))
                else:
                    video = features.reshape(1, *extractor.space.shape)
                    saved.append(task, classifier.probabilities(video)[0])
                step()
        return sorted(failures, key=lambda failure: (failure.path, failure.condition))

    def _write(
        self,
        extractor: FeatureExtractor,
        saved: "_PredictionFile",
        failures: list[ConditionFailure],
    ) -> RobustnessResult:
        """Scores the predictions, and writes tables, figure and result."""
        record, entries, folder = self._record, self._entries, self._folder
        keys = list(self._excerpts)
        probabilities = {
            name: saved.of_condition(condition, keys)
            for name, condition in self._conditions.items()
        }
        if not probabilities[CLEAN]:
            first = failures[0]
            raise VideoError(
                f"At least one video must be readable. Received: {first.path} ({first.reason})"
            )
        scores = score_conditions(
            probabilities,
            entries,
            conditions=self._conditions,
            classes=record.classes,
            thresholds=record.thresholds,
            resamples=self._config.bootstrap,
            seed=self._config.seed,
        )
        leaks = leakage.find_leaks(
            self._run, self._cache, entries, self._config.split, read_videos=False
        )
        result = RobustnessResult(
            run=str(self._run.dir),
            split=self._config.split,
            videos=len(entries),
            recordings=len({entry.group for entry in entries}),
            grouped=dataset.has_all_recordings(self._cache),
            leaks=leaks.lines,
            leak_counts=leaks.counts,
            scores=scores,
            note=NOTE,
            left_out=self._left_out,
            failures=failures,
            threshold=record.threshold,
            features=str(self._cache.dir),
            engine=extractor.space.engine,
            precision=extractor.space.precision,
            identity=self._identity,
            table=str(folder / "robustness.csv"),
            picture=str(folder / "robustness.png"),
        )
        table, columns = scores_table(scores.rows)
        files.write_csv(folder / "robustness.csv", columns, table)
        files.write_csv(
            folder / "robustness_predictions.csv",
            CONDITION_COLUMNS,
            condition_rows(
                probabilities, entries, classes=record.classes, thresholds=record.thresholds
            ),
        )
        figures.draw_robustness(folder / "robustness.png", scores)
        files.write_json(folder / _RESULT, result.to_json())
        return result


def _conditions(asked: Sequence[str], *, skip_missing: bool) -> tuple[dict[str, str], list[str]]:
    """The conditions by name, with every severity written out; first the unchanged video and the
    control.

    Args:
        asked: Specs of corruptions.
        skip_missing: Whether conditions that need an extra are left out, if it is not installed.

    Returns:
        The conditions, and a text for each that is left out.
    """
    names, left_out = list(asked), []
    if skip_missing:
        for name in asked:
            if install := corrupted_video.missing_extra(name):
                names.remove(name)
                left_out.append(f"{name} ({install})")
                log.warning(f"{name} is left out; it needs an extra: {install}")
    listed = {name: corrupted_video.full_condition(name) for name in names}
    return {CLEAN: CLEAN, CONTROL: CONTROL} | listed, left_out


def _study_folder(folder: Path) -> StudyFolder:
    """The folder of an evaluation, as a study: its record is the first line of the predictions."""
    return StudyFolder(
        folder,
        "robustness study",
        record=_PREDICTIONS,
        settings=RobustnessConfig,
        remedy="use --force",
    )


class _PredictionFile:
    """Predictions in a file, a line each, so that a killed process loses none."""

    def __init__(self, folder: Path, identity: dict[str, Any], *, force: bool) -> None:
        """
        Args:
            folder: Folder of the study.
            identity: Digests of the model, the videos and the settings.
            force: Whether existing predictions are replaced.

        Raises:
            ConfigError: If the folder has predictions of something else.
        """
        self._path = folder / _PREDICTIONS
        self._probabilities: dict[tuple[str, str], list[float]] = {}
        head, *lines = ([] if force else self._read_lines()) or [None]
        if head:
            recorded = head if isinstance(head, dict) else {}
            _study_folder(folder).check_same(StudyIdentity(identity), recorded)
        for row in lines:
            with contextlib.suppress(KeyError, TypeError):
                self._probabilities[row["path"], row["condition"]] = list(row["probability"])
        if not head:
            files.write_text(self._path, json.dumps(identity))

    def _read_lines(self) -> list[Any]:
        """The lines of the file, without those that a killed process left incomplete."""
        try:
            texts = self._path.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            return []
        lines = []
        for text in texts:
            with contextlib.suppress(ValueError):
                lines.append(json.loads(text))
        return lines

    def has(self, key: str, condition: str) -> bool:
        return (key, condition) in self._probabilities

    def append(self, task: CorruptionTask, probability: np.ndarray) -> None:
        """Adds a prediction, float64 (K,)."""
        row = {
            "path": task.key,
            "condition": task.condition,
            "probability": probability.tolist(),
        }
        self._probabilities[task.key, task.condition] = row["probability"]
        try:
            # The line break comes first: it ends a line that a killed process left incomplete.
            with open(self._path, "a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(row))
        except OSError as error:
            raise files.write_error(self._path, error) from error

    def of_condition(self, condition: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """The predictions under a condition, float64 (K,) by key of the video."""
        return {
            key: np.array(self._probabilities[key, condition])
            for key in keys
            if self.has(key, condition)
        }
