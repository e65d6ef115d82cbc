"""Draws the folds of a cross-validation, trains a classifier for each, and predicts its videos."""

import contextlib
import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import folds
from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import ConfigError, EvidenceError
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration, threshold_selection
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, multi_seed
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.validation import check_monitor
from violence_detection.units import counted

_TRAINING = "training"  # folder of the runs in progress, in that of the study


@dataclass(frozen=True)
class Fold:
    """Videos that are held out together, and the split of all others.

    Attributes:
        grouped: Whether all videos of a recording are in one fold.
        repeat, number: From 1.
        entries: All videos; those of the fold have the split `test`.
    """

    grouped: bool
    repeat: int
    number: int
    entries: list[ManifestEntry]

    @property
    def name(self) -> str:
        kind = "grouped" if self.grouped else "random"
        return f"{kind}_repeat_{self.repeat}_fold_{self.number}"

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of the videos of a split, int64."""
        rows = [row for row, entry in enumerate(self.entries) if entry.split == split]
        return np.array(rows, np.int64)


@dataclass(frozen=True)
class TrainedFold:
    """The training of a fold, and its predictions for the held-out videos.

    Attributes:
        epochs, best_epoch: Epochs that were run, and the one that is kept.
        temperature: Divides the model's logits.
        threshold: On P(violent), chosen on the validation videos.
        effective: Devices, precision and engine that were used.
        probability: Of each class for each held-out video, float64 (M, K), calibrated.
    """

    epochs: int
    best_epoch: int
    temperature: float
    threshold: float
    effective: dict[str, Any]
    probability: np.ndarray


class FoldRunner:
    """The folds of a cross-validation, and the training of each.

    Attributes:
        folds: All folds, in their order.
        identity: Settings, and digests of the feature space and the videos.
        clips: All N videos.
        classes: K names, the normal one first.
    """

    def __init__(
        self,
        config: CrossValidateConfig,
        device_setup: DeviceSetup | None,
        study_dir: Path,
        entries: Sequence[ManifestEntry],
    ) -> None:
        """
        Args:
            config: How the folds are drawn, and the settings of each training.
            device_setup: The devices to train on; None if this process trains nothing.
            study_dir: The folder of the cross-validation.
            entries: All videos, with their recordings.

        Raises:
            ConfigError: If the settings are in conflict, or there are too few recordings.
            CacheError: If the features are missing or damaged, or there is one class only.
        """
        self._config, self._device_setup, self._study_dir = config, device_setup, study_dir
        self._cache = FeatureCache.open(config.train.features)
        entries = list(entries)
        self.classes = classes_of(entries, config.train.normal_class)
        self._initial = self._initial_weights(entries)
        self.folds = draw_test_folds(
            entries,
            config.folds,
            protocols=config.protocols,
            repeats=config.repeats,
            seed=config.seed,
            validation_fraction=config.validation_fraction,
        )
        self.clips = dataset.read_dataset(self._cache, entries, self.classes)
        if batching.reads_views(config.train.augment):
            self.clips = dataset.with_views(self._cache, self.clips)
        rows = [(entry.path, entry.label, entry.group, entry.digest) for entry in entries]
        self.identity = {
            "settings": config.as_dict(),
            "fingerprint": self._cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }

    def _initial_weights(self, entries: list[ManifestEntry]) -> InitialWeights | None:
        """The weights that each training begins with, if a run is given.

        Raises:
            ConfigError: If that run was trained on any of the videos.
        """
        config = self._config
        initial = InitialWeights.from_config(
            config.train, Run(Path(config.train.checkpoint_dir) / config.name)
        )
        if initial:
            initial.check(self._cache, self.classes)
            held_out = [dataclasses.replace(entry, split="test") for entry in entries]
            if overlap := initial.overlap(self._cache, held_out)["test"]:
                raise ConfigError(
                    "`init_from` must be a run that was not trained on the held-out videos. "
                    f"Received: {config.train.init_from} (trained on "
                    f"{counted(overlap, 'video')} or their recordings)"
                )
        return initial

    # -- checks before the first training

    def check_validation(self) -> None:
        """Checks that the validation videos of every fold are enough for what is chosen on them.

        Raises:
            ConfigError: If those of a fold cannot tell epochs apart.
            EvidenceError: If those of a fold cannot support the operating point.
        """
        for fold in self.folds:
            rows = fold.rows("validation")
            violent = is_violent(self.clips.labels[rows])
            try:
                check_monitor(self._config.train.monitor, violent)
                threshold_selection.check_support(
                    self._config.train.operating_point, violent, self.clips.groups[rows]
                )
            except (ConfigError, EvidenceError) as error:
                raise type(error)(f"{error} ({fold.name})") from error

    def check_buildable(self) -> None:
        """Builds the training of the first fold, before an earlier study is replaced.

        Raises:
            ViolenceDetectionError: If it cannot be built.
        """
        first = self.folds[0]
        run = Run(self._study_dir / _TRAINING / first.name)
        self.training_job(first).build_trainer(run, self._config.train_fold(0, run.dir))

    def remove_unfinished(self) -> None:
        """Removes the runs of trainings that were interrupted."""
        shutil.rmtree(self._study_dir / _TRAINING, ignore_errors=True)

    # -- a fold

    def train_fold(self, fold: Fold) -> TrainedFold:
        """Trains a classifier without the held-out videos, and predicts them.

        Raises:
            TrainingError: If the loss is no longer finite.
        """
        import keras

        run = Run(self._study_dir / _TRAINING / fold.name)
        config = self._config.train_fold(fold.repeat - 1, run.dir)
        job = self.training_job(fold)
        keras.backend.clear_session()
        shutil.rmtree(run.dir, ignore_errors=True)
        files.ensure_writable(run.dir)
        try:
            if config.seeds > 1:
                summary = multi_seed.train_members(job, run, config)
                effective = summary["effective"]
            else:
                trainer = job.build_trainer(run, config)
                trainer.run_epochs()
                summary = trainer.summary()
                effective = job.effective | trainer.effective
            model = load_model(run.model_path)
            uncalibrated = probabilities(model, job.clips["test"].features)
            temperature, threshold = self._fit_decision(model, job.clips["validation"])
        finally:
            shutil.rmtree(run.dir, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty: another fold is in training
                run.dir.parent.rmdir()
        return TrainedFold(
            epochs=summary["epochs_run"],
            best_epoch=summary["best_epoch"],
            temperature=temperature,
            threshold=threshold,
            effective=effective,
            probability=calibration.apply_temperature(uncalibrated, temperature),
        )

    def training_job(self, fold: Fold) -> TrainingJob:
        """The training data of a fold.

        Without validation videos, the training videos stand in for them; nothing is chosen on
        them.
        """
        clips = {
            split: self.clips.take(fold.rows(split)) for split in ("train", "validation", "test")
        }
        if not len(clips["validation"]):
            clips["validation"] = clips["train"]
        return TrainingJob(
            self._device_setup, self._cache, fold.entries, self.classes, clips, [], self._initial
        )

    def _fit_decision(self, model: Any, validation: FeatureDataset) -> tuple[float, float]:
        """Temperature and threshold, chosen on validation videos as a training does."""
        if self._config.train.monitor == "none":
            return 1.0, 0.5
        probability = probabilities(model, validation.features)
        temperature, _ = calibration.fit_temperature(
            probability,
            validation.labels,
            validation.groups,
            violent=is_violent(validation.labels),
        )
        probability = calibration.apply_temperature(probability, temperature)
        threshold, _ = threshold_selection.choose_threshold(
            is_violent(validation.labels),
            violence_score(probability),
            validation.groups,
            asked=self._config.train.operating_point,
        )
        return temperature, threshold


def draw_test_folds(
    entries: list[ManifestEntry],
    count: int,
    *,
    protocols: Sequence[bool],
    repeats: int,
    seed: int,
    validation_fraction: float,
) -> list[Fold]:
    """All folds of a cross-validation, in the order in which they are trained.

    Args:
        entries: All videos, with their recordings.
        count: Folds of a repeat.
        protocols: Whether folds are grouped (True) or random (False), for each protocol.
        repeats: Draws of each protocol; each has the next seed.
        seed: Of the first repeat.
        validation_fraction: Fraction of the other folds that validates.

    Raises:
        ConfigError: If there are too few recordings.
    """
    return [
        Fold(grouped, repeat, number, split_entries)
        for grouped in protocols
        for repeat in range(1, repeats + 1)
        for number, split_entries in enumerate(
            folds.evaluation_folds(
                entries,
                count,
                seed=seed + repeat - 1,
                grouped=grouped,
                validation_fraction=validation_fraction,
            ),
            1,
        )
    ]
