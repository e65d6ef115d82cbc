"""Out-of-fold predictions of the training and validation videos, to choose temperature and
threshold on."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.labels import is_violent_label
from violence_detection.datasets.splitting import folds
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError, EvidenceError, ViolenceDetectionError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.models import linear_baseline
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.outputs.classes import violence_score
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.training.training_settings import DecisionConfig
from violence_detection.units import counted, format_duration

log = logging.getLogger(__name__)

_AMONG = "training and validation"


@dataclass(frozen=True)
class CalibrationPlan:
    """The predictions that temperature and threshold will be chosen on.

    Attributes:
        by: `validation` or `folds`.
        folds: For each fold, the training and validation videos of the run: those of the fold have
            the split `test`, and recordings of the others validate, as many as in the run.
        reason: Why it is not what was asked for, or why folds are needed; else empty.
    """

    by: str = "validation"
    folds: Sequence[Sequence[ManifestEntry]] = ()
    reason: str = ""

    def to_json(self, seeds: int) -> dict[str, Any]:
        """The entry of a dry run.

        Args:
            seeds: Trainings of a fold.
        """
        if not self.folds:
            return {"by": self.by, "reason": self.reason}
        sizes = [sum(entry.split == "train" for entry in fold) for fold in self.folds]
        return {
            "by": self.by,
            "reason": self.reason,
            "trainings": len(self.folds) * seeds,
            "training_videos": round(float(np.mean(sizes))),
            "videos": len(self.folds[0]),
            "recordings": len({entry.group for entry in self.folds[0]}),
        }


def plan_calibration(
    entries: Sequence[ManifestEntry],
    classes: Sequence[str],
    decision: DecisionConfig,
    *,
    monitor: str,
    seed: int,
    obstacle: str = "",
) -> CalibrationPlan:
    """Plans what `--calibrate-by` asks for.

    `auto` is validation where it supports the choice, else folds where training and validation
    together support it, else validation again, whose threshold is then 0.5.

    Args:
        entries: The videos of a training; those of the test split have no part in the choice.
        classes: Names, the normal class first.
        decision: The goal of the threshold, and the setting.
        monitor: The criterion of the kept epoch; with `none` no videos validate in a fold.
        seed: Seed of the folds.
        obstacle: The reason why folds cannot be trained here; else empty.

    Raises:
        ConfigError: If folds are asked for and cannot be drawn or trained.
        EvidenceError: If the videos do not support the operating point, or folds are asked for and
            there are too few videos for a choice.
    """
    point = decision.operating_point
    refusal = _refusal_of_validation(entries, classes, point)
    if decision.calibrate_by == "validation" or (decision.calibrate_by == "auto" and not refusal):
        if refusal and point:
            raise EvidenceError(f"{refusal} (--calibrate-by folds uses the training videos, too)")
        return CalibrationPlan()
    try:
        drawn = _draw_folds(
            entries, classes, decision, monitor=monitor, seed=seed, obstacle=obstacle
        )
    except (ConfigError, EvidenceError) as error:
        if decision.calibrate_by == "folds" or point:
            raise
        return CalibrationPlan(reason=str(error))
    return CalibrationPlan("folds", drawn, refusal)


def _refusal_of_validation(
    entries: Sequence[ManifestEntry], classes: Sequence[str], point: str | None
) -> str:
    """The reason why the validation videos do not support the choice; else empty."""
    violent, groups = _columns([entry for entry in entries if entry.split == "validation"], classes)
    try:
        threshold_selection.check_support(point, violent, groups)
    except EvidenceError as error:
        return str(error)
    return classification.too_few_reason(violent, groups)


def _draw_folds(
    entries: Sequence[ManifestEntry],
    classes: Sequence[str],
    decision: DecisionConfig,
    *,
    monitor: str,
    seed: int,
    obstacle: str,
) -> list[list[ManifestEntry]]:
    if obstacle:
        raise ConfigError(f"`calibrate_by` must not be folds {obstacle}")
    own = [entry for entry in entries if entry.split in ("train", "validation")]
    violent, groups = _columns(own, classes)
    if too_few := classification.too_few_reason(violent, groups, among=_AMONG):
        raise EvidenceError(f"--calibrate-by folds needs more videos. Received: {too_few}")
    threshold_selection.check_support(decision.operating_point, violent, groups, among=_AMONG)
    validation = sum(entry.split == "validation" for entry in own) / len(own)
    try:
        drawn = folds.evaluation_folds(
            own,
            decision.calibration_folds,
            seed=seed,
            grouped=True,
            validation_fraction=0.0 if monitor == "none" else validation,
        )
        for fold in drawn:
            inner = [classes.index(entry.label) for entry in fold if entry.split == "validation"]
            check_monitor(monitor, inner)
    except ConfigError as error:
        raise ConfigError(f"{error} (--calibration-folds {decision.calibration_folds})") from error
    return drawn


def _columns(
    entries: Sequence[ManifestEntry], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Violent or not, bool (N,), and the recording, (N,)."""
    return (
        np.array([is_violent_label(entry.label, classes) for entry in entries], bool),
        np.array([entry.group for entry in entries], object),
    )


def predict_out_of_fold(
    plan: CalibrationPlan,
    clips: FeatureDataset,
    classes: Sequence[str],
    folder: Path,
    train_and_predict: Callable[[dict[str, FeatureDataset], Path], np.ndarray],
) -> CalibrationPredictions:
    """Predictions of every video by a model that was trained without its recording.

    A finished fold is a file in `folder` and is not trained again.

    Args:
        plan: With folds.
        clips: The N videos of each fold, in the order of its entries.
        classes: Names, the normal class first.
        folder: Folder of the finished folds, and of the training in progress.
        train_and_predict: A function of the videos of `train`, `validation` and `test`, and of a
            folder for the training; it returns the probabilities of the last, float64 (M, K).
    """
    parts, durations_s = [], []
    for number, entries in enumerate(plan.folds, 1):
        splits = np.array([entry.split for entry in entries])
        parts_of_fold = {
            split: clips.take(np.flatnonzero(splits == split))
            for split in ("train", "validation", "test")
        }
        held_out = parts_of_fold["test"]
        path = folder / f"fold_{number}.csv"
        finished = _read_finished(path, classes, held_out)
        if finished is None:
            remaining = ""
            if durations_s:
                left_s = np.mean(durations_s) * (len(plan.folds) - number + 1)
                remaining = f"; about {format_duration(left_s)} left"
            log.info(
                f"Calibration fold {number} of {len(plan.folds)}: "
                f"{counted(len(held_out), 'video')} to predict{remaining}"
            )
            started_s = time.monotonic()
            training = folder / f"training_{number}"
            shutil.rmtree(training, ignore_errors=True)
            finished = CalibrationPredictions(
                paths=tuple(entry.path for entry in held_out.entries),
                groups=held_out.groups,
                labels=held_out.labels,
                probability=train_and_predict(parts_of_fold, training),
                folds=np.full(len(held_out), number),
                baseline=violence_score(
                    linear_baseline.baseline_predictions(parts_of_fold, ["test"]).probability[
                        "test"
                    ]
                ),
            )
            finished.write(path, classes)
            shutil.rmtree(training, ignore_errors=True)
            durations_s.append(time.monotonic() - started_s)
        parts.append(finished)
    return CalibrationPredictions.joined(parts)


def _read_finished(
    path: Path, classes: Sequence[str], held_out: FeatureDataset
) -> CalibrationPredictions | None:
    """The predictions of a fold; None if it must be trained."""
    try:
        finished = CalibrationPredictions.read(path, classes)
    except ViolenceDetectionError:
        return None
    same = finished.paths == tuple(entry.path for entry in held_out.entries)
    return finished if same and np.array_equal(finished.labels, held_out.labels) else None
