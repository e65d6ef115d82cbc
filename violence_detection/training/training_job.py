"""What a classifier is taught with, and one training from the first epoch to its results."""

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
    """What trainings that differ in their settings alone have in common.

    Attributes:
        machine: What they run on. Of several machines, the chief alone writes.
        cache, entries: Where the videos come from, and which they are.
        classes: Their names, the normal one first.
        clips: By split.
        failures: Videos that could not be read.
        origin: What they begin with, if not with weights drawn at random.
    """

    machine: DeviceSetup
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]
    clips: Mapping[str, FeatureDataset]
    failures: list[dict[str, str]]
    origin: InitialWeights | None = None

    @property
    def effective(self) -> dict[str, Any]:
        """What was got of what was asked for; a trainer may know better."""
        return {
            "replicas": self.machine.replicas,
            "workers": self.machine.batch_part[1],
            "precision": self.machine.dtype_policy,
            "xla": self.machine.xla,
            "engine": self.cache.space().engine,
        }

    def check_same(self) -> None:
        """Whether all machines learn from the same, in the same way.

        Raises:
            TrainingError: If one does not.
        """
        self.machine.coordinator.check_same(
            **self.effective,
            features=self.cache.space().fingerprint,
            videos=run_setup.videos_digest(self.entries),
        )

    def learn(self, run: Run, config: TrainConfig) -> dict[str, Any]:
        """Train one classifier in a run of its own, or go on with it; the run's results."""
        trainer = self.trainer(run, config)
        self.begin(run, config, trainer)
        trainer.run_epochs()
        results = None
        if self.machine.coordinator.is_chief:
            results = {
                "run": str(run.dir),
                **trainer.summary(),
                **self.judge(run, config),
                "effective": self.effective | trainer.effective,
            }
            self.finish(run, results)
        return self.machine.coordinator.broadcast(results)

    def trainer(
        self,
        run: Run,
        config: TrainConfig,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> "Trainer":
        """What runs the epochs; nothing is written before they start."""
        from violence_detection.training.trainer import Trainer

        return Trainer(
            run,
            config,
            self.machine,
            clips=dict(self.clips),
            classes=self.classes,
            initial=self.origin.load() if self.origin else None,
            callbacks=callbacks,
        )

    def begin(self, run: Run, config: TrainConfig, trainer: "Trainer | None" = None) -> None:
        """Write what a run is, or check that one that is resumed still learns from the same."""
        if not self.machine.coordinator.is_chief:
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
            self.origin,
        )

    def finish(self, run: Run, results: dict[str, Any]) -> None:
        """Leave the results, with what they are of; none is resumed then."""
        results |= {
            "videos": {split: len(part) for split, part in self.clips.items()},
            "failures": self.failures,
        }
        run.write_results(results)
        shutil.rmtree(run.state_dir, ignore_errors=True)

    @functools.cached_property
    def baseline(self) -> tuple[dict[str, np.ndarray], int]:
        """What a linear classifier answers, and from how many videos it learned."""
        splits = [split for split in ("validation", "test") if split in self.clips]
        return linear_baseline.baseline_predictions(self.clips, splits, len(self.classes))

    def judge(self, run: Run, config: TrainConfig) -> dict[str, Any]:
        """Metrics of a run's model on validation and, with the temperature and the threshold
        chosen there, on the test; what a linear classifier gives, and what there is to warn of."""
        model = load_model(run.model_path)
        predicted = {
            split: probabilities(model, self.clips[split].features)
            for split in ("validation", "test")
            if split in self.clips
        }
        validation = self.clips["validation"]
        temperature, why = calibration.fit_temperature(
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
            config.operating_point,
            is_violent(validation.labels),
            violence_score(predicted["validation"]),
            validation.groups,
            seed=config.seed,
        )
        threshold = chosen["threshold"]
        scores = {
            split: _scores(self.clips[split].labels, probability, threshold)
            for split, probability in predicted.items()
        }
        linear, count = self.baseline
        examined = sanity_checks.check_classifier(
            self.clips,
            predicted,
            linear,
            classes=self.classes,
            threshold=threshold,
            recall_bar=config.recall_bar,
            operating_point=config.operating_point,
            seed=config.seed,
        )
        examined["baseline"]["videos"] = count
        return {
            "validation": scores["validation"],
            "test": scores.get("test"),
            "threshold": threshold,
            "threshold_reason": chosen["reason"],
            "operating_point": chosen,
            "temperature": temperature,
            "temperature_reason": why,
            **examined,
        }


def _scores(
    labels: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float | None]:
    correct = decide(probability, threshold) == labels
    binary = classification.binary_metrics(
        is_violent(labels), violence_score(probability), threshold
    )
    return {
        "accuracy": float(correct.mean()),
        "auc": binary["auc"],
        "loss": log_loss(labels, probability),
    }
