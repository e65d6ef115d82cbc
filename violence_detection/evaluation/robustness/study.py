"""What a run's answers are worth when the same videos are darker, blurred, compressed, ..."""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import VideoError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.evaluation.robustness.corrupted_features import (
    Task,
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
from violence_detection.models.run import Run
from violence_detection.reports import figures
from violence_detection.system import devices, files, progress
from violence_detection.system.study_folder import StudyFolder
from violence_detection.units import counted

log = logging.getLogger(__name__)

_PREDICTIONS, _RESULT = "robustness_answers.jsonl", "robustness.json"


def measure_robustness(
    run_dir: str, config: RobustnessConfig, *, force: bool = False
) -> dict[str, Any]:
    """Answer for the videos of a split, and for altered copies of them, by the run's own way from
    file to answer.

    Leaves robustness.json, robustness.csv, robustness_predictions.csv and a picture in
    `evaluation/<split>/`. Started again, it goes on with the answers that are missing.

    Args:
        run_dir: What training left.
        config: Which split, and what is done to its videos.
        force: Whether what is there is replaced, and nothing of it is used.

    Returns:
        What robustness.json holds.

    Raises:
        RunError, CacheError: If the run or its features cannot be used.
        ConfigError: If answers of other videos or another model are there.
        VideoError: If no video can be read.
        WeightsError: If the backbone's weights are not here, or are others.
    """
    # -- of what, on what
    study = _Study(run_dir, config)
    devices.import_tensorflow()
    extractor = FeatureExtractor.from_run(
        study.run.record(), weights=config.weights, batch_size=config.batch_size
    )
    study.identity |= {"feature_space": extractor.space.fingerprint}

    # -- the answers: those that are there, and those that are missing
    with _study_folder(study.folder).lock():
        kept = _PredictionFile(study.folder, study.identity, force=force)
        tasks = [task for task in study.tasks() if not kept.has(task)]
        log.info(
            f"{counted(len(study.excerpts), 'video')} under "
            f"{counted(len(study.conditions), 'condition')}: {counted(len(tasks), 'answer')} to "
            "give"
        )
        failures = study.failures + _predict_missing(study, extractor, tasks, kept, config)

        # -- what they are worth, and what stays
        return _write(study, extractor, kept, failures, config)


def plan(run_dir: str, config: RobustnessConfig, *, force: bool = False) -> dict[str, Any]:
    """What `robustness` would do; nothing is written."""
    study = _Study(run_dir, config)
    return {
        "dry_run": True,
        "run": str(study.run.dir),
        "split": config.split,
        "videos": len(study.excerpts),
        "not_there": len(study.failures),
        "conditions": list(study.conditions),
        "left_out": study.left_out,
        "robustness": str(study.folder / _RESULT),
    }


class _Study:
    """Which videos are altered how.

    Attributes:
        entries: Of the split.
        excerpts: By key, those that are there as they were when their features were made.
        failures: The others, and why.
        conditions: By name, with every severity in it; the video itself and the control first.
        left_out: Conditions that need what is not installed.
        identity: What the answers are of.
    """

    def __init__(self, run_dir: str, config: RobustnessConfig) -> None:
        self.run = Run.open(run_dir)
        self.record = self.run.record()
        self.cache = evaluation_set.open_features(self.run, config.features)
        self.entries = evaluation_set.split_entries(self.run, self.cache, config.split)
        self.folder = self.run.evaluation_dir(config.split)
        self.conditions, self.left_out = _conditions(config)
        self.excerpts, self.failures = unchanged_excerpts(
            self.cache, self.entries, config.video_dir
        )
        if not self.excerpts:
            raise VideoError(
                f"At least one video must be there. Received: {self.failures[0]['path']} "
                f"({self.failures[0]['reason']})"
            )
        self.identity = evaluation_set.identity_of(self.run, self.entries) | {"seed": config.seed}

    def tasks(self) -> Iterator[Task]:
        """All of them, those of a video one after the other."""
        for key, source in self.excerpts.items():
            for condition in self.conditions.values():
                yield Task(key, source, condition)


def _conditions(config: RobustnessConfig) -> tuple[dict[str, str], list[str]]:
    """Those that can be had, and those that are left out of `all` because they cannot."""
    wanted, left_out = config.listed, []
    if config.conditions == "all":
        for name in list(wanted):
            if install := corrupted_video.missing_extra(name):
                wanted.remove(name)
                left_out.append(f"{name} ({install})")
                log.warning(f"Left out is {name}, which needs an extra: {install}")
    listed = {name: corrupted_video.full_condition(name) for name in wanted}
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


# -- the answers


def _predict_missing(
    study: _Study,
    extractor: FeatureExtractor,
    tasks: list[Task],
    kept: "_PredictionFile",
    config: RobustnessConfig,
) -> list[dict[str, str]]:
    """Give the answers that are missing; those that cannot be given, and why."""
    classifier = study.run.load_classifier()
    failures: list[dict[str, str]] = []
    names = {condition: name for name, condition in study.conditions.items()}
    outcomes = extract_corrupted_features(
        extractor,
        tasks,
        study.folder,
        seed=config.seed,
        workers=config.workers,
        timeout_s=config.video_timeout,
    )
    with (
        contextlib.closing(outcomes),
        progress.track("Altering", len(tasks), "clips") as step,
    ):
        for task, features, reason in outcomes:
            if features is None:
                name = names[task.condition]
                log.warning(f"No answer for {task.key} under {name}: {reason}")
                row = {"path": task.key, "condition": name, "reason": reason}
                failures.append(row)
            else:
                kept.note(task, classifier.probabilities(features[None])[0])
            step()
    return sorted(failures, key=lambda row: (row["path"], row["condition"]))


class _PredictionFile:
    """Answers that are kept as they are given, a line each, so that a kill loses none."""

    def __init__(self, folder: Path, identity: dict[str, Any], *, force: bool) -> None:
        """
        Args:
            identity: What they must be of.
            force: Begin anew.

        Raises:
            ConfigError: If there are answers of something else.
        """
        self._path = folder / _PREDICTIONS
        self._found: dict[tuple[str, str], list[float]] = {}
        head, *lines = ([] if force else self._lines()) or [None]
        if head:
            recorded = head if isinstance(head, dict) else {}
            _study_folder(folder).check_same(identity, recorded)
        for row in lines:
            with contextlib.suppress(KeyError, TypeError):
                self._found[row["path"], row["condition"]] = list(row["probability"])
        if not head:
            files.write_text(self._path, json.dumps(identity))

    def _lines(self) -> list[Any]:
        """What is there; a line that a kill has torn is passed over."""
        try:
            texts = self._path.read_text().split("\n")
        except (OSError, ValueError):
            return []
        found = []
        for text in texts:
            with contextlib.suppress(ValueError):
                found.append(json.loads(text))
        return found

    def has(self, task: Task) -> bool:
        return (task.key, task.condition) in self._found

    def note(self, task: Task, probability: np.ndarray) -> None:
        """Keep an answer, float64 (K,)."""
        row = {
            "path": task.key,
            "condition": task.condition,
            "probability": probability.tolist(),
        }
        self._found[task.key, task.condition] = row["probability"]
        try:
            # The line break comes first: it ends a line that a kill has torn.
            with open(self._path, "a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(row))
        except OSError as error:
            raise files.write_error(self._path, error) from error

    def of(self, condition: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Those there are, by the video's key."""
        return {
            key: np.array(self._found[key, condition])
            for key in keys
            if (key, condition) in self._found
        }


# -- what stays


def _write(
    study: _Study,
    extractor: FeatureExtractor,
    kept: _PredictionFile,
    failures: list[dict[str, str]],
    config: RobustnessConfig,
) -> dict[str, Any]:
    """Leave the table, the answers, the picture and the result."""
    keys = list(study.excerpts)
    answers = {name: kept.of(condition, keys) for name, condition in study.conditions.items()}
    if not answers[CLEAN]:
        first = failures[0]
        raise VideoError(
            f"At least one video must be readable. Received: {first['path']} ({first['reason']})"
        )
    scores = score_conditions(
        answers,
        study.entries,
        classes=study.record.classes,
        threshold=study.record.threshold,
        resamples=config.bootstrap,
        seed=config.seed,
    )
    for row in (scores["clean"], scores["control"], *scores["conditions"]):
        row["condition"] = study.conditions[row["name"]]
    found = leakage.find_leaks(
        study.run, study.cache, study.entries, config.split, read_videos=False
    ).as_dict()
    result = {
        "run": str(study.run.dir),
        "split": config.split,
        "videos": len(study.entries),
        "recordings": len({entry.group for entry in study.entries}),
        "grouped": dataset.has_all_recordings(study.cache),
        "leaks": found["leaks"],
        "leak_counts": found["leak_counts"],
        **scores,
        "note": NOTE,
        "left_out": study.left_out,
        "failures": failures,
        "threshold": study.record.threshold,
        "features": str(study.cache.dir),
        "effective": {
            "engine": extractor.space.engine,
            "precision": extractor.space.precision,
        },
        **study.identity,
        "table": str(study.folder / "robustness.csv"),
        "picture": str(study.folder / "robustness.png"),
    }
    rows = [scores["clean"], scores["control"], *scores["conditions"]]
    table, columns = scores_table(rows)
    files.write_csv(study.folder / "robustness.csv", columns, table)
    rows = condition_rows(
        answers,
        study.entries,
        classes=study.record.classes,
        threshold=result["threshold"],
    )
    files.write_csv(
        study.folder / "robustness_predictions.csv",
        CONDITION_COLUMNS,
        rows,
    )
    figures.draw_robustness(study.folder / "robustness.png", scores)
    files.write_json(study.folder / _RESULT, result)
    return result
