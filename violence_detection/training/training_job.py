"""Data and devices that several trainings share; trains and scores a run."""

import functools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration, classification, threshold_selection
from violence_detection.metrics.classification import log_loss
from violence_detection.models import linear_baseline
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import run_setup, sanity_checks
from violence_detection.training.config import TrainConfig
from violence_detection.training.initial_weights import InitialWeights

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
    """

    device_setup: DeviceSetup
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]
    clips: Mapping[str, FeatureDataset]
    failures: list[dict[str, str]]
    initial_weights: InitialWeights | None = None

    @property
    def effective(self) -> dict[str, Any]:
        """The requested settings as they took effect; a trainer may override some."""
        return {
            "replicas": self.device_setup.replicas,
            "workers": self.device_setup.batch_part[1],
            "precision": self.device_setup.dtype_policy,
            "xla": self.device_setup.xla,
            "engine": self.cache.space().engine,
        }

    def check_same(self) -> None:
        """Checks that all machines train on the same features and videos, in the same way.

        Raises:
            ConfigError: If a machine differs.
        """
        self.device_setup.coordinator.check_same(
            **self.effective,
            features=self.cache.space().fingerprint,
            videos=run_setup.videos_digest(self.entries),
        )

    def run(
        self,
        run: Run,
        config: TrainConfig,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> dict[str, Any]:
        """Trains a classifier in a run folder, or resumes the run; returns the run's results.

        Args:
            run: The run folder.
            config: Settings of the training.
            callbacks: Further Keras callbacks, see `Trainer`.
        """
        trainer = self.build_trainer(run, config, callbacks)
        self.start_run(run, config, trainer)
        trainer.run_epochs()
        coordinator = self.device_setup.coordinator
        return coordinator.broadcast(
            self.finish_run(run, config, trainer) if coordinator.is_chief else None
        )

    def build_trainer(
        self,
        run: Run,
        config: TrainConfig,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> "Trainer":
        """The trainer of a run; nothing is written before its epochs start."""
        from violence_detection.training.trainer import Trainer

        return Trainer(
            run,
            config,
            self.device_setup,
            clips=dict(self.clips),
            classes=self.classes,
            initial=self.initial_weights.load() if self.initial_weights else None,
            callbacks=callbacks,
        )

    def start_run(self, run: Run, config: TrainConfig, trainer: "Trainer | None" = None) -> None:
        """Writes the record of a new run; of a resumed run, checks features and videos.

        Args:
            run: The run folder.
            config: Settings of the training.
            trainer: Its effective settings override the job's in the record.
        """
        if not self.device_setup.coordinator.is_chief:
            return
        if config.resume and run.started:
            run_setup.check_same_features(run, self.cache, self.entries)
            return
        run_setup.write_record(
            run,
            config,
            self.cache,
            self.entries,
            self.classes,
            self.effective | (trainer.effective if trainer else {}),
            self.initial_weights,
        )

    def finish_run(self, run: Run, config: TrainConfig, trainer: "Trainer") -> dict[str, Any]:
        """Scores a trained run and writes its results; returns them."""
        results = {
            "run": str(run.dir),
            **trainer.summary(),
            **self.score_run(
                run,
                operating_point=config.operating_point,
                recall_bar=config.recall_bar,
                seed=config.seed,
            ),
            "effective": self.effective | trainer.effective,
        }
        self.write_results(run, results)
        return results

    def write_results(self, run: Run, results: dict[str, Any]) -> None:
        """Writes the results, with the videos and failures added, and removes the saved state."""
        results |= {
            "videos": {split: len(part) for split, part in self.clips.items()},
            "failures": self.failures,
        }
        run.write_results(results)
        shutil.rmtree(run.state_dir, ignore_errors=True)

    @functools.cached_property
    def baseline(self) -> tuple[dict[str, np.ndarray], int]:
        """Predictions of the linear baseline for each split, and its number of training videos."""
        splits = [split for split in ("validation", "test") if split in self.clips]
        return linear_baseline.baseline_predictions(self.clips, splits)

    def score_run(
        self, run: Run, *, operating_point: str | None, recall_bar: float, seed: int
    ) -> dict[str, Any]:
        """Scores of a trained run, sanity checks and warnings.

        Temperature and threshold are chosen on validation and applied to the test videos as well.

        Args:
            run: With its model.
            operating_point: As in `threshold_selection.choose_operating_point`.
            recall_bar: As in `sanity_checks.check_classifier`.
            seed: Of the intervals.
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
            operating_point,
            is_violent(validation.labels),
            violence_score(predicted["validation"]),
            validation.groups,
            seed=seed,
        )
        threshold = chosen.threshold
        scores = {
            split: _scores(self.clips[split].labels, probability, threshold)
            for split, probability in predicted.items()
        }
        linear, count = self.baseline
        checked = sanity_checks.check_classifier(
            self.clips,
            predicted,
            linear,
            classes=self.classes,
            threshold=threshold,
            recall_bar=recall_bar,
            operating_point=operating_point,
            seed=seed,
        )
        checked["baseline"]["videos"] = count
        return {
            "validation": scores["validation"],
            "test": scores.get("test"),
            "threshold": threshold,
            "threshold_reason": chosen.reason,
            "operating_point": chosen.as_dict(),
            "temperature": temperature,
            "temperature_reason": temperature_reason,
            **checked,
        }


def _scores(
    labels: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float | None]:
    correct = decide(probability, threshold) == labels
    return {
        **classification.scores(correct, is_violent(labels), violence_score(probability)),
        "loss": log_loss(labels, probability),
    }
