"""The training of a site in a round, from the weights of all sites, on its own videos."""

import logging
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from violence_detection.features.dataset import FeatureDataset
from violence_detection.federated.config import FEDPROX
from violence_detection.federated.federation import Federation
from violence_detection.federated.proximal_pull import ProximalPull
from violence_detection.models import standardisation
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.saving.checkpoint import Checkpoint
from violence_detection.training.saving.training_state import (
    EpochResult,
    SelectionState,
    StepState,
    TrainingState,
    ValidationScores,
)
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_data import ClassTotals
from violence_detection.training.training_settings import SelectionConfig, TrainingSettings

log = logging.getLogger(__name__)

_STARTED = "started.json"


@dataclass(frozen=True)
class LocalResult:
    """A round at a site.

    Attributes:
        weights: The weights after it, in the order of the model.
        loss: Mean training loss over its epochs.
        validation: Scores of the weights that the round began with on the site's validation
            videos; None if it has none.
        seconds: How long it took, validation included; of a resumed round, the last part.
    """

    weights: Sequence[np.ndarray]
    loss: float
    validation: ValidationScores | None
    seconds: float


class LocalTraining:
    """The classifier of a site in training, with the state that stays there between rounds.

    The optimizer, the places in the order of the videos and in the schedule, and the states of
    dropout go on from round to round; the weights are those that the coordinator sends. With one
    site all rounds together are therefore one training.
    """

    def __init__(
        self,
        federation: Federation,
        clips: Mapping[str, FeatureDataset],
        device_setup: DeviceSetup,
        folder: Path,
        *,
        seed: int,
    ) -> None:
        """
        Args:
            federation: Its settings and sums over all sites.
            clips: The videos of `train`, and those of `validation` where there are any.
            device_setup: From `devices.start`.
            folder: For the state of the site.
            seed: Seed of the order of the videos and of dropout.
        """
        settings, pool = federation.settings, federation.pool
        self._settings, self._folder = settings, folder
        self._has_validation = "validation" in clips
        self._trainer = Trainer(
            Run(folder),
            TrainingSettings(
                seed=seed,
                optimisation=settings.optimisation,
                model=settings.model,
                batches=settings.batches,
                selection=SelectionConfig(monitor="none", checkpoint_epochs=0),
                decision=settings.decision,
                profiled_steps=None,
                resume=False,
                recorded={},
            ),
            device_setup,
            clips={"validation": clips["train"], **clips},
            classes=list(pool.classes),
            totals=ClassTotals(pool.class_counts, pool.recording_sums),
        )
        step = self._trainer.step
        if settings.optimizer == "sgd":
            with device_setup.strategy.scope():
                step.optimizer = keras.optimizers.SGD(
                    settings.optimisation.learning_rate,
                    weight_decay=settings.optimisation.weight_decay or None,
                )
                step.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
                step.optimizer.build(step.classifier.trainable_variables)
        self._pull: ProximalPull | None = None
        if settings.algorithm == FEDPROX:
            self._pull = ProximalPull(
                step.classifier.trainable_variables,
                step.optimizer.learning_rate,
                settings.proximal,
            )
            step.average = self._pull
        self._constants_set = False

    @property
    def classifier(self) -> keras.Model:
        return self._trainer.step.classifier

    @property
    def validation_probability(self) -> np.ndarray:
        """The probabilities of the last measurement, float64 (N, K)."""
        return self._trainer.validation.probability

    def measure(self, model: keras.Model) -> ValidationScores | None:
        """Scores of a model on the validation videos; None if there are none."""
        self._take_weights(model)
        if not self._has_validation:
            return None
        return self._trainer.validation.measure(self.classifier)

    def train_round(self, number: int, model: keras.Model, model_digest: str) -> LocalResult:
        """Trains for a round; a round that was interrupted goes on after its last epoch.

        Args:
            number: Number of the round, from 1.
            model: The model of all sites.
            model_digest: Digest of its weights.

        Raises:
            TrainingError: If the loss is no longer finite.
        """
        start_s = time.monotonic()
        validation = self.measure(model)
        if self._pull is not None:
            self._pull.begin_round()
        checkpoint, history = self._restore(number, model_digest)
        trainer, epochs = self._trainer, self._settings.local_epochs
        first = (number - 1) * epochs + 1
        batches = trainer.batches(first_epoch=first + len(history))
        while len(history) < epochs:
            row = trainer.train_epoch(first + len(history), batches)
            history.append(row)
            self.save_epoch(checkpoint, history)
        self._sweep()
        return LocalResult(
            [np.asarray(weight) for weight in self.classifier.get_weights()],
            float(np.mean([row.loss for row in history])),
            validation,
            time.monotonic() - start_s,
        )

    def _take_weights(self, model: keras.Model) -> None:
        if not self._constants_set:  # before the first step: a traced graph keeps its constants
            constants = standardisation.constants_of(model)
            standardisation.set_constants(self.classifier, constants)
            self._constants_set = True
        self.classifier.set_weights(model.get_weights())

    def _restore(self, number: int, model_digest: str) -> tuple[Checkpoint, list[EpochResult]]:
        """The state to train on from: of this round, if it was started from this model; else the
        last of an earlier round, with the weights of the model."""
        folder = self._folder / f"round_{number:04d}"
        started, checkpoint = folder / _STARTED, Checkpoint(folder)
        weights = self.classifier.get_weights()
        if started.is_file() and files.read_json(started).get("model_digest") == model_digest:
            saved = checkpoint.load()
            if saved is not None:
                values, state = saved
                self._assign(values, state.step)
                log.info(f"Round {number} goes on after its epoch {len(state.history)}.")
                return checkpoint, list(state.history)
        shutil.rmtree(folder, ignore_errors=True)
        step = self._trainer.step
        steps = (number - 1) * self._settings.local_epochs * self._trainer.data.steps_per_epoch
        earlier = [path for path in self._round_folders() if path.name < folder.name]
        saved = Checkpoint(earlier[-1]).load() if earlier else None
        if saved is not None:
            values, state = saved
            self._assign(values, StepState(steps, state.step.scale, state.step.sound_steps))
            self.classifier.set_weights(weights)
        else:
            if number > 1:
                log.warning(
                    f"Round {number} begins without the state of an earlier one: the optimizer "
                    "starts anew."
                )
            step.restore(StepState(steps, step.scale, 0))
        files.write_json(started, {"model_digest": model_digest})
        return checkpoint, []

    def _variables(self) -> list[keras.Variable]:
        return self._trainer.variables()

    def _assign(self, values: Sequence[np.ndarray], step: StepState) -> None:
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
        self._trainer.step.restore(step)

    def save_epoch(self, checkpoint: Checkpoint, history: list[EpochResult]) -> None:
        """Saves the state after an epoch, from which an interrupted round goes on."""
        values = [variable.numpy() for variable in self._variables()]
        state = TrainingState(history, self._trainer.step.state(), SelectionState(None, 0, 0))
        checkpoint.save(values, state)

    def _round_folders(self) -> list[Path]:
        """The folders of rounds, the oldest first."""
        folders = self._folder.glob("round_*")
        return sorted(path for path in folders if re.fullmatch(r"round_\d{4,}", path.name))

    def _sweep(self) -> None:
        """Removes the states of rounds that no later one needs."""
        for path in self._round_folders()[:-2]:
            shutil.rmtree(path, ignore_errors=True)
