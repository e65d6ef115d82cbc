"""Data and devices that several trainings share; trains and scores a run."""

import dataclasses
import functools
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Problem
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.models import linear_baseline
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.classifier import Classifier, load_model
from violence_detection.models.linear_baseline import BaselinePredictions
from violence_detection.models.outputs.classes import violence_score
from violence_detection.models.run import Run
from violence_detection.models.run_scores import CalibrationBasis, RunScores
from violence_detection.models.training_results import (
    EffectiveSettings,
    MembersResult,
    TrainingResults,
    TrainingSummary,
)
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import calibration_folds
from violence_detection.training.calibration_folds import CalibrationPlan
from violence_detection.training.checks import sanity_checks
from violence_detection.training.monitoring.split_scoring import score_split
from violence_detection.training.saving import run_setup
from violence_detection.training.saving.initial_weights import InitialWeights
from violence_detection.training.training_settings import DecisionConfig, TrainingSettings
from violence_detection.units import counted

if TYPE_CHECKING:
    import keras

    from violence_detection.training.distillation import Teacher
    from violence_detection.training.trainer import Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChosenDecision:
    """Temperature and threshold of a run.

    Attributes:
        temperature: Divides the logits.
        temperature_reason: Why it is that, in words.
        operating_point: The threshold at that temperature, and the rates that it reaches.
        baseline_threshold: The threshold of the linear baseline, chosen in the same way.
    """

    temperature: float
    temperature_reason: str
    operating_point: ChosenOperatingPoint
    baseline_threshold: float


def choose_decision(
    chosen_on: CalibrationPredictions, operating_point: str | None, *, seed: int
) -> ChosenDecision:
    """Chooses the temperature (`metrics/calibration.py`), and then the threshold
    (`metrics/thresholds/threshold_selection.py`).

    Args:
        chosen_on: Predictions of videos that the model was not trained on.
        operating_point: Goal of the threshold; None for the default.
        seed: Seed of the intervals.

    Raises:
        EvidenceError: If there are too few videos for the operating point.
    """
    temperature, temperature_reason = calibration.fit_temperature(
        chosen_on.probability,
        chosen_on.labels,
        chosen_on.groups,
        violent=chosen_on.violent,
        chosen_on=chosen_on.source,
    )
    point = threshold_selection.choose_operating_point(
        operating_point,
        chosen_on.violent,
        chosen_on.scores(temperature),
        chosen_on.groups,
        chosen_on=chosen_on.source,
        seed=seed,
    )
    baseline_threshold, _ = threshold_selection.choose_threshold(
        chosen_on.violent,
        chosen_on.baseline,
        chosen_on.groups,
        asked=operating_point,
        chosen_on=chosen_on.source,
    )
    return ChosenDecision(temperature, temperature_reason, point, baseline_threshold)


@dataclass(frozen=True)
class TrainingJob:
    """Training data, devices and initial weights; trains a classifier from settings.

    Trainings of one job differ in their settings alone: the members of several seeds, the trials
    of a search.

    Attributes:
        device_setup: Devices and precision. Of several machines, the chief alone writes.
        cache: The features.
        entries: The usable videos with their splits.
        classes: Names, the normal class first.
        clips: Features and labels of each split.
        failures: Videos that could not be read, with the reason.
        initial_weights: The trained model that each training starts from; None for weights
            drawn at random.
        own_split: True if the split was drawn for this training alone.
        calibration: The predictions that temperature and threshold are chosen on.
        teacher: Predictions of the videos that are learned beside their labels.
        teacher_record: The entry of the teacher in the run's record.
    """

    device_setup: DeviceSetup
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]
    clips: Mapping[str, FeatureDataset]
    failures: Sequence[Problem]
    initial_weights: InitialWeights | None = None
    own_split: bool = False
    calibration: CalibrationPlan = CalibrationPlan()
    teacher: "Teacher | None" = None
    teacher_record: Mapping[str, Any] | None = None

    @property
    def effective(self) -> EffectiveSettings:
        """The requested settings as they took effect; a trainer may switch XLA off."""
        return EffectiveSettings(
            replicas=self.device_setup.replicas,
            machines=self.device_setup.batch_part[1],
            precision=self.device_setup.dtype_policy,
            xla=self.device_setup.xla,
            engine=self.cache.space().engine,
            calibrate_by=self.calibration.by,
        )

    def effective_in(self, trainer: "Trainer") -> EffectiveSettings:
        """The settings as they took effect in a training."""
        return dataclasses.replace(self.effective, xla=trainer.step.xla)

    def check_same(self) -> None:
        """Checks that all machines train on the same features and videos, in the same way.

        Raises:
            ConfigError: If a machine differs.
        """
        self.device_setup.coordinator.check_same(
            **self.effective.to_json(),
            features=self.cache.space().fingerprint,
            videos=run_setup.videos_digest(self.entries),
        )

    def run(
        self,
        run: Run,
        settings: TrainingSettings,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> TrainingResults:
        """Trains a classifier in a run folder, or resumes the run; returns the run's results.

        Args:
            run: The run folder.
            settings: Settings of the training.
            callbacks: Further Keras callbacks, see `Trainer`.
        """
        trainer = self.build_trainer(run, settings, callbacks)
        self.start_run(run, settings, trainer)
        trainer.run_epochs()
        coordinator = self.device_setup.coordinator
        results = None
        if coordinator.is_chief:
            out_of_fold = self.predict_out_of_fold(run, settings, [settings.seed])
            results = self.finish_run(
                run, settings.decision, settings.seed, trainer, out_of_fold
            ).to_json()
        return TrainingResults.from_json(coordinator.broadcast(results))

    def build_trainer(
        self,
        run: Run,
        settings: TrainingSettings,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> "Trainer":
        """The trainer of a run; nothing is written before its epochs start."""
        from violence_detection.training.trainer import Trainer

        return Trainer(
            run,
            settings,
            self.device_setup,
            clips=dict(self.clips),
            classes=self.classes,
            initial=self.initial_weights.load() if self.initial_weights else None,
            callbacks=callbacks,
            teacher=self.teacher,
        )

    def start_run(
        self, run: Run, settings: TrainingSettings, trainer: "Trainer | None" = None
    ) -> None:
        """Writes the record of a new run; of a resumed run, checks features and videos.

        Args:
            run: The run folder.
            settings: Settings of the training.
            trainer: Its effective settings are recorded; None for those of the job.
        """
        if not self.device_setup.coordinator.is_chief:
            return
        if settings.resume and run.started:
            run_setup.check_same_features(run, self.cache, self.entries)
            return
        run_setup.write_record(
            run,
            settings.recorded,
            self.cache,
            self.entries,
            self.classes,
            own_split=self.own_split,
            effective=self.effective_in(trainer) if trainer else self.effective,
            initial_weights=self.initial_weights,
            teacher_record=self.teacher_record,
        )
        if self.teacher is not None:
            self.teacher.write(run.state_dir)

    def predict_out_of_fold(
        self, run: Run, settings: TrainingSettings, seeds: Sequence[int]
    ) -> CalibrationPredictions | None:
        """Out-of-fold predictions of the training and validation videos; None if the choice is on
        validation.

        Each fold is trained with the settings of the run. Finished folds are kept in the run's
        state, so that a resumed run does not train them again.

        Args:
            run: The run folder, with its model.
            settings: Settings of the training.
            seeds: Seeds of a fold; the mean of the probabilities of several is taken.
        """
        plan = self.calibration
        if not plan.folds:
            return None
        clips = dataset.read_dataset(self.cache, plan.folds[0], self.classes)
        if self.clips["train"].views:
            clips = dataset.with_views(self.cache, clips)
        log.info(
            f"{counted(len(plan.folds) * len(seeds), 'further training')} for temperature and "
            "threshold (--calibrate-by), each without the recordings that it predicts."
        )

        def train_and_predict(parts: dict[str, FeatureDataset], folder: Path) -> np.ndarray:
            if not len(parts["validation"]):  # with monitor none, nothing is chosen on them
                parts = parts | {"validation": parts["train"]}
            job = dataclasses.replace(self, clips=parts)
            predicted = []
            for seed in seeds:
                member = Run(folder / f"seed_{seed}")
                files.ensure_writable(member.dir)
                trainer = job.build_trainer(member, settings.of_fold(seed))
                trainer.run_epochs()
                trained = Classifier.of_model(load_model(member.model_path))
                predicted.append(trained.uncalibrated(parts["test"].features))
            return np.mean(predicted, axis=0)

        folder = run.state_dir / "calibration"
        return calibration_folds.predict_out_of_fold(
            plan, clips, self.classes, folder, train_and_predict
        )

    def finish_run(
        self,
        run: Run,
        decision: DecisionConfig,
        seed: int,
        trainer: "Trainer",
        out_of_fold: CalibrationPredictions | None = None,
    ) -> TrainingResults:
        """Scores a trained run and writes its results; returns them."""
        results = self.results(
            run,
            trainer.summary(),
            self.score_run(run, decision, seed=seed, out_of_fold=out_of_fold),
            effective=self.effective_in(trainer),
        )
        self.write_results(run, results)
        return results

    def results(
        self,
        run: Run,
        summary: TrainingSummary,
        scores: RunScores,
        *,
        effective: EffectiveSettings,
        members: MembersResult | None = None,
    ) -> TrainingResults:
        """The results of a training, with the videos and failures of the job."""
        return TrainingResults(
            run=str(run.dir),
            summary=summary,
            scores=scores,
            effective=effective,
            members=members,
            videos={split: len(part) for split, part in self.clips.items()},
            failures=self.failures,
        )

    def write_results(self, run: Run, results: TrainingResults) -> None:
        """Writes the results of a run, and removes its saved state."""
        run.write_results(results)
        shutil.rmtree(run.state_dir, ignore_errors=True)

    @functools.cached_property
    def baseline(self) -> BaselinePredictions:
        """Predictions of the linear baseline for validation and test."""
        splits = [split for split in ("validation", "test") if split in self.clips]
        return linear_baseline.baseline_predictions(self.clips, splits)

    def score_run(
        self,
        run: Run,
        decision: DecisionConfig,
        *,
        seed: int,
        out_of_fold: CalibrationPredictions | None = None,
    ) -> RunScores:
        """Scores of a trained run, sanity checks and warnings.

        Temperature and threshold are chosen on validation or out-of-fold predictions
        (`choose_decision`), which are written into the run, and applied to the test videos as
        well.

        Args:
            run: With its model.
            decision: Goal of the threshold, and the recall below which a warning is due.
            seed: Seed of the intervals.
            out_of_fold: From `predict_out_of_fold`; None to choose on validation.
        """
        classifier = Classifier.of_model(load_model(run.model_path))
        uncalibrated = {
            split: classifier.uncalibrated(self.clips[split].features)
            for split in ("validation", "test")
            if split in self.clips
        }
        chosen_on = out_of_fold or self.on_validation(uncalibrated["validation"])
        chosen = choose_decision(chosen_on, decision.operating_point, seed=seed)
        chosen_on.write(run.calibration_path, self.classes, temperature=chosen.temperature)
        classifier = dataclasses.replace(classifier, temperature=chosen.temperature)
        predicted = {
            split: classifier.calibrated(probability) for split, probability in uncalibrated.items()
        }
        threshold = chosen.operating_point.threshold
        thresholds = ClassThresholds.from_text(decision.class_threshold, self.classes, threshold)
        scores = {
            split: score_split(
                self.clips[split],
                probability,
                threshold=threshold,
                seed=seed,
                thresholds=thresholds,
            )
            for split, probability in predicted.items()
        }
        checked = sanity_checks.check_classifier(
            self.clips,
            predicted,
            self.baseline,
            classes=self.classes,
            threshold=threshold,
            baseline_threshold=chosen.baseline_threshold,
            recall_bar=decision.recall_bar,
            seed=seed,
            thresholds=thresholds,
        )
        return RunScores(
            validation=scores["validation"],
            test=scores.get("test"),
            threshold=threshold,
            threshold_reason=chosen.operating_point.reason,
            operating_point=chosen.operating_point,
            temperature=chosen.temperature,
            temperature_reason=chosen.temperature_reason,
            warnings=checked.warnings,
            baseline=checked.baseline,
            calibration=CalibrationBasis(
                chosen_on="folds" if out_of_fold else "validation",
                videos=len(chosen_on.paths),
                recordings=len(set(chosen_on.groups.tolist())),
                folds=len(self.calibration.folds) if out_of_fold else 0,
                reason=self.calibration.reason,
            ),
            class_thresholds=thresholds.own,
        )

    def on_validation(self, probability: np.ndarray) -> CalibrationPredictions:
        """The predictions of the validation videos by the run's own model and the baseline."""
        validation = self.clips["validation"]
        return CalibrationPredictions(
            paths=tuple(entry.path for entry in validation.entries),
            groups=validation.groups,
            labels=validation.labels,
            probability=probability,
            folds=None,
            baseline=violence_score(self.baseline.probability["validation"]),
        )
