"""Data and devices that several trainings share; trains and scores a run."""

import dataclasses
import functools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING


from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration, threshold_selection
from violence_detection.models import linear_baseline
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.linear_baseline import BaselinePredictions
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.models.run_scores import RunScores
from violence_detection.models.training_results import (
    EffectiveSettings,
    MembersResult,
    TrainingResults,
    TrainingSummary,
)
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import run_setup, sanity_checks
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.split_scoring import score_split
from violence_detection.training.training_settings import DecisionConfig, TrainingSettings

if TYPE_CHECKING:
    import keras

    from violence_detection.training.trainer import Trainer


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
    """

    device_setup: DeviceSetup
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]
    clips: Mapping[str, FeatureDataset]
    failures: list[dict[str, str]]
    initial_weights: InitialWeights | None = None
    own_split: bool = False

    @property
    def effective(self) -> EffectiveSettings:
        """The requested settings as they took effect; a trainer may switch XLA off."""
        return EffectiveSettings(
            replicas=self.device_setup.replicas,
            machines=self.device_setup.batch_part[1],
            precision=self.device_setup.dtype_policy,
            xla=self.device_setup.xla,
            engine=self.cache.space().engine,
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
            results = self.finish_run(run, settings.decision, settings.seed, trainer).to_json()
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
        )

    def finish_run(
        self, run: Run, decision: DecisionConfig, seed: int, trainer: "Trainer"
    ) -> TrainingResults:
        """Scores a trained run and writes its results; returns them."""
        results = self.results(
            run,
            trainer.summary(),
            self.score_run(run, decision, seed=seed),
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

    def score_run(self, run: Run, decision: DecisionConfig, *, seed: int) -> RunScores:
        """Scores of a trained run, sanity checks and warnings.

        Temperature and threshold are chosen on validation (`metrics/calibration.py` and
        `metrics/threshold_selection.py`) and applied to the test videos as well.

        Args:
            run: With its model.
            decision: Goal of the threshold, and the recall below which a warning is due.
            seed: Seed of the intervals.
        """
        model = load_model(run.model_path)
        predicted = {
            split: probabilities(model, self.clips[split].features)
            for split in ("validation", "test")
            if split in self.clips
        }
        validation = self.clips["validation"]
        temperature, temperature_reason = calibration.fit_temperature(
            predicted["validation"],
            validation.labels,
            validation.groups,
            violent=is_violent(validation.labels),
        )
        predicted = {
            split: calibration.apply_temperature(probability, temperature)
            for split, probability in predicted.items()
        }
        chosen = threshold_selection.choose_operating_point(
            decision.operating_point,
            is_violent(validation.labels),
            violence_score(predicted["validation"]),
            validation.groups,
            seed=seed,
        )
        scores = {
            split: score_split(
                self.clips[split], probability, threshold=chosen.threshold, seed=seed
            )
            for split, probability in predicted.items()
        }
        checked = sanity_checks.check_classifier(
            self.clips,
            predicted,
            self.baseline,
            classes=self.classes,
            threshold=chosen.threshold,
            recall_bar=decision.recall_bar,
            operating_point=decision.operating_point,
            seed=seed,
        )
        return RunScores(
            validation=scores["validation"],
            test=scores.get("test"),
            threshold=chosen.threshold,
            threshold_reason=chosen.reason,
            operating_point=chosen,
            temperature=temperature,
            temperature_reason=temperature_reason,
            warnings=checked.warnings,
            baseline=checked.baseline,
        )
