"""Trains a classifier for each fold of a cross-validation, and predicts its held-out videos."""

import contextlib
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.datasets.config import BY_CAMERA, BY_TIME
from violence_detection.datasets.labels import classes_of, normal_entries, with_class_names
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError, EvidenceError
from violence_detection.experiments.config import settings_of_run
from violence_detection.experiments.cross_validation.drawn_folds import (
    Fold,
    FoldPlan,
    draw_test_folds,
)
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import calibration
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.metrics.thresholds.normal_threshold import check_normal_support
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.classifier import Classifier, load_model
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, multi_seed, one_class
from violence_detection.training.calibration_folds import CalibrationPlan, plan_calibration
from violence_detection.training.config import ONE_CLASS_OUTPUTS, TrainConfig
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.training.saving.initial_weights import InitialWeights
from violence_detection.training.training_job import TrainingJob
from violence_detection.units import counted

_TRAINING = "training"  # folder of the runs in progress, in that of the study


@dataclass(frozen=True)
class FoldSetup:
    """Everything from which another process makes the same folds and trainings.

    Attributes:
        train: Settings of every training.
        plan: How the folds are drawn.
        study_dir: Folder of the cross-validation.
        entries: All videos, with their recordings.
    """

    train: TrainConfig
    plan: FoldPlan
    study_dir: Path
    entries: tuple[ManifestEntry, ...]


@dataclass(frozen=True)
class TrainedFold:
    """The training of a fold, and its predictions for the held-out videos.

    Attributes:
        epochs, kept_epoch: Epochs that were run, and the one that is kept.
        temperature: Divides the model's logits.
        threshold: On P(violent), chosen on the validation videos.
        effective: Devices, precision and engine that were used.
        probability: The probability of each class for each held-out video, float64 (M, K),
            calibrated.
        videos_per_s: Speed of the training, without validation: the median over the epochs.
    """

    epochs: int
    kept_epoch: int
    temperature: float
    threshold: float
    effective: EffectiveSettings
    probability: np.ndarray
    videos_per_s: float = 0.0


class FoldRunner:
    """The folds of a cross-validation, and the training of each.

    Attributes:
        folds: All folds, in their order.
        digests: Digests of the feature space and of the videos, for the record of the study; by
            time, the choice of the validation videos as well.
        clips: All N videos.
        classes: K names, the normal one first.
    """

    def __init__(self, setup: FoldSetup, device_setup: DeviceSetup | None) -> None:
        """
        Args:
            setup: The videos, the folds and the settings of each training.
            device_setup: The devices to train on; None if this process trains nothing.

        Raises:
            ConfigError: If the settings are in conflict, or there are too few recordings.
            CacheError: If the features are missing or damaged, or there is one class only.
        """
        self._train, self._plan, self._device_setup = setup.train, setup.plan, device_setup
        self._study_dir = setup.study_dir
        self._cache = FeatureCache.open(setup.train.features)
        entries = list(setup.entries)
        if setup.train.one_class:
            normal, self.classes = normal_entries(entries, setup.train.normal_class)
            if len(normal) == len(entries):
                raise CacheError(
                    "A cross-validation must have videos of other classes, too, which the "
                    f"detector is judged on. Received: {', '.join(self.classes[:1])} alone (for "
                    "its false alarms: train, then evaluate --normal-footage FOLDER)"
                )
            entries = with_class_names(entries, self.classes)
        else:
            self.classes = classes_of(entries, setup.train.normal_class)
        self._initial = self._initial_weights(entries)
        self.folds = draw_test_folds(entries, setup.plan)
        self.clips = dataset.read_dataset(self._cache, entries, self.classes)
        if batching.reads_views(setup.train.batches.augment):
            self.clips = dataset.with_views(self._cache, self.clips)
        rows = [(entry.path, entry.label, entry.group, entry.digest) for entry in entries]
        if self._plan.by in (BY_TIME, BY_CAMERA):
            rows = [
                (*row, entry.camera, entry.recorded_at)
                for row, entry in zip(rows, entries, strict=True)
            ]
        self.digests = {
            "fingerprint": self._cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }
        if self._plan.by == BY_TIME and self._plan.validation_fraction:
            # Earlier versions drew them at random: their unfinished studies are not continued.
            self.digests["validation"] = "the latest recordings"

    def _initial_weights(self, entries: list[ManifestEntry]) -> InitialWeights | None:
        """The weights that each training begins with, if a run is given.

        Raises:
            ConfigError: If that run was trained on any of the videos.
        """
        initial = InitialWeights.find(
            self._train.init_from,
            Run(self._study_dir),
            head=self._train.model.head,
            resume=False,
        )
        if initial:
            initial.check(self._cache, self.classes)
            held_out = [dataclasses.replace(entry, split="test") for entry in entries]
            if overlap := initial.overlap(self._cache, held_out)["test"]:
                raise ConfigError(
                    "`init_from` must be a run that was not trained on the held-out videos. "
                    f"Received: {self._train.init_from} (trained on "
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
                if self._train.one_class:
                    normal = self.clips.take(rows[~violent]).entries
                    check_normal_support(
                        self._train.decision.operating_point,
                        len(normal),
                        hours=one_class.hours_of(normal),
                    )
                    continue
                check_monitor(self._train.selection.monitor, violent)
                if self._plan_calibration(fold).folds:
                    continue
                threshold_selection.check_support(
                    self._train.decision.operating_point, violent, self.clips.groups[rows]
                )
            except (ConfigError, EvidenceError) as error:
                raise type(error)(f"{error} ({fold.name})") from error

    def check_buildable(self) -> None:
        """Builds the training of the first fold, before an earlier study is replaced.

        Raises:
            ViolenceDetectionError: If it cannot be built.
        """
        first = self.folds[0]
        if self._train.one_class and self._train.one_class not in ONE_CLASS_OUTPUTS:
            return
        run = Run(self._study_dir / _TRAINING / first.name)
        self.training_job(first).build_trainer(run, self._settings_of(first, run).training)

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
        config = self._settings_of(fold, run)
        job = self.training_job(fold)
        keras.backend.clear_session()
        shutil.rmtree(run.dir, ignore_errors=True)
        files.ensure_writable(run.dir)
        try:
            if config.one_class:
                return self._train_detector(run, config, job)
            if config.members > 1:
                results = multi_seed.train_members(
                    job, run, config.training, seeds=config.members, ensemble=config.ensemble
                )
                summary, effective = results.summary, results.effective
            else:
                trainer = job.build_trainer(run, config.training)
                trainer.run_epochs()
                summary = trainer.summary()
                effective = job.effective_in(trainer)
            classifier = Classifier.of_model(load_model(run.model_path))
            uncalibrated = classifier.uncalibrated(job.clips["test"].features)
            if config.members == 1:
                out_of_fold = job.predict_out_of_fold(run, config.training, [config.seed])
                temperature, threshold = self._fit_decision(classifier, job, out_of_fold)
            elif self._chooses:
                temperature, threshold = results.scores.temperature, results.scores.threshold
            else:
                temperature, threshold = 1.0, 0.5
            classifier = dataclasses.replace(classifier, temperature=temperature)
        finally:
            shutil.rmtree(run.dir, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty: another fold is in training
                run.dir.parent.rmdir()
        return TrainedFold(
            epochs=summary.epochs_run,
            kept_epoch=summary.kept_epoch,
            temperature=temperature,
            threshold=threshold,
            effective=effective,
            probability=classifier.calibrated(uncalibrated),
            videos_per_s=summary.videos_per_s,
        )

    def _train_detector(self, run: Run, config: TrainConfig, job: TrainingJob) -> TrainedFold:
        """The fold of a detector that learns from normal videos alone."""
        trained = one_class.train_model(job, run, config.one_class, config.training)
        point = one_class.choose_threshold(
            trained.classifier,
            job.clips["validation"],
            operating_point=config.decision.operating_point,
            seed=config.seed,
        )
        return TrainedFold(
            epochs=trained.summary.epochs_run,
            kept_epoch=trained.summary.kept_epoch,
            temperature=1.0,
            threshold=point.threshold,
            effective=trained.effective,
            probability=trained.classifier.probabilities(job.clips["test"].features),
            videos_per_s=trained.summary.videos_per_s,
        )

    def _settings_of(self, fold: Fold, run: Run) -> TrainConfig:
        return settings_of_run(self._train, run.dir, seed=self._plan.seed_of(fold.repeat))

    def training_job(self, fold: Fold) -> TrainingJob:
        """The training data of a fold.

        Without validation videos, the training videos stand in for them; nothing is chosen on
        them.
        """
        rows = {split: fold.rows(split) for split in ("train", "validation", "test")}
        if self._train.one_class:  # learn from normal videos, and judge all
            for split in ("train", "validation"):
                rows[split] = rows[split][~is_violent(self.clips.labels[rows[split]])]
        clips = {split: self.clips.take(numbers) for split, numbers in rows.items()}
        if not len(clips["validation"]):
            clips["validation"] = clips["train"]
        return TrainingJob(
            self._device_setup,
            self._cache,
            fold.entries,
            self.classes,
            clips,
            [],
            self._initial,
            calibration=self._plan_calibration(fold),
        )

    def _plan_calibration(self, fold: Fold) -> CalibrationPlan:
        """Folds within the training part of a fold, if they are asked for."""
        if self._plan.calibrate_by == "validation":
            return CalibrationPlan()
        decision = dataclasses.replace(self._train.decision, calibrate_by="folds")
        return plan_calibration(
            fold.entries,
            self.classes,
            decision,
            monitor=self._train.selection.monitor,
            seed=self._plan.seed_of(fold.repeat),
        )

    @property
    def _chooses(self) -> bool:
        """False if there are no videos to choose temperature and threshold on."""
        return self._train.selection.monitor != "none" or self._plan.calibrate_by == "folds"

    def _fit_decision(
        self, classifier: Classifier, job: TrainingJob, out_of_fold: CalibrationPredictions | None
    ) -> tuple[float, float]:
        """Temperature and threshold, chosen as a training does."""
        if not self._chooses:
            return 1.0, 0.5
        chosen_on = out_of_fold or job.on_validation(
            classifier.uncalibrated(job.clips["validation"].features)
        )
        temperature, _ = calibration.fit_temperature(
            chosen_on.probability, chosen_on.labels, chosen_on.groups, violent=chosen_on.violent
        )
        threshold, _ = threshold_selection.choose_threshold(
            chosen_on.violent,
            chosen_on.scores(temperature),
            chosen_on.groups,
            asked=self._train.decision.operating_point,
        )
        return temperature, threshold
