"""Runs the epochs of a training: trains, validates, records, and saves models and state."""

import functools
import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from violence_detection import registry
from violence_detection.errors import TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.run import Run
from violence_detection.system import files, progress
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import optimizer
from violence_detection.training.callbacks import HistoryFile, Profiler, TensorBoard
from violence_detection.training.checkpoint import Checkpoint, save_classifier
from violence_detection.training.config import TrainConfig
from violence_detection.training.optimizer import StepSettings
from violence_detection.training.step import AT_ONCE, TrainingStep, separate_dropout
from violence_detection.training.training_data import TrainingData
from violence_detection.training.validation import EpochSelection, Validation, check_monitor
from violence_detection.training.weight_averaging import StochasticAverage

log = logging.getLogger(__name__)


class Trainer:
    """A classifier in training, and the files of its run.

    Attributes:
        data: The training videos: weights, sampling, augmentation, batches.
        validation: Metrics of the validation videos.
        selection: The choice of the epoch that is kept.
        step: The training step; `classifier` and `average` are the step's.
        history: One row for each epoch so far.
        resumed_from_epoch: The epoch after which a resumed training continues; else 0.
    """

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        device_setup: DeviceSetup,
        *,
        clips: Mapping[str, FeatureDataset],
        classes: list[str],
        initial: keras.Model | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Builds everything that the epochs need; nothing is written before they start.

        Args:
            run: The run folder to fill.
            config: Settings of `train`.
            device_setup: From `devices.start`. Of several machines, the chief alone validates,
                decides and writes.
            clips: The videos of `train` and `validation`.
            classes: Names, the normal class first.
            initial: A classifier of the same shape that gives the initial weights.
            callbacks: Further callbacks, as for `fit`: epochs and steps count from 0, logs are
                numbers, and `stop_training` of the model ends the training. Steps are run several
                at a time: `on_train_batch_begin` and `on_train_batch_end` are called once for the
                first and the last of them, the latter with their means. The model has no
                optimizer: the schedule sets the learning rate.
        """
        self.run, self.config, self.device_setup = run, config, device_setup
        self.classes = classes
        self._coordinator = device_setup.coordinator
        self.history: list[dict[str, Any]] = []
        self.resumed_from_epoch = 0
        self._checkpoint = Checkpoint(run.state_dir)
        self.data = TrainingData(
            clips["train"],
            classes=len(classes),
            batch_size=config.batch_size,
            seed=config.seed,
            sampling=config.sampling,
            use_class_weights=config.use_class_weights,
            recording_weights=config.recording_weights,
            augment=config.augment,
        )
        loss = registry.load(
            "losses",
            config.loss,
            label_smoothing=config.label_smoothing,
            class_fractions=self.data.class_fractions,
        )
        check_monitor(config.monitor, clips["validation"].labels)
        self.validation = Validation(clips["validation"], classes=classes, loss=loss)
        self.selection = EpochSelection(
            clips["validation"].groups, tolerant=config.monitor == "val_loss"
        )
        self.step = self._build_step(loss, initial)
        self.classifier, self.average = self.step.classifier, self.step.average
        steps = config.profiled_steps
        self.profiler = Profiler(run.tensorboard_dir, *steps) if steps else None
        self._callbacks = self._build_callbacks(callbacks)

    def _build_step(self, loss: keras.losses.Loss, initial: keras.Model | None) -> TrainingStep:
        """The training step, with XLA where the devices compile it and it is not slower."""
        build = functools.partial(
            optimizer.build_step,
            StepSettings.from_config(self.config),
            self.device_setup,
            train=self.data.videos,
            classes=len(self.classes),
            loss=loss,
            initial=initial,
        )
        xla = self.device_setup.xla
        if xla and self.device_setup.gpus:
            # Timings differ between machines, but all machines must run the same step: compiled
            # and not compiled, the bits differ. So the chief's measurement counts for all.
            batch = next(self.batches())
            xla = self._coordinator.broadcast(optimizer.is_xla_faster(build, batch))
        return build(xla=xla)

    def _build_callbacks(
        self, further: Sequence[keras.callbacks.Callback]
    ) -> keras.callbacks.CallbackList:
        """History file, TensorBoard, profiler and the further callbacks; on the chief alone."""
        callbacks = [
            HistoryFile(self.run.history_path, self.history),
            TensorBoard(
                self.run.tensorboard_dir,
                validation=self.validation,
                schedule=self.step.schedule,
                epochs=self.config.epochs,
                steps=self.config.epochs * self.data.steps_per_epoch,
            ),
            *([self.profiler] if self.profiler else []),
            *further,
        ]
        return keras.callbacks.CallbackList(
            callbacks if self._coordinator.is_chief else [], model=self.classifier
        )

    # -- the epochs

    def run_epochs(self) -> None:
        """Trains until the epochs are over, or `early_stopping_patience` epochs were not better.

        Raises:
            TrainingError: If the loss is no longer finite.
        """
        self._restore()
        self._coordinator.check_same(start=self._start_digest())
        remaining = self.config.epochs - len(self.history)
        batches = self.batches(first_epoch=len(self.history) + 1)
        self.classifier.stop_training = False
        self._callbacks.on_train_begin()
        try:
            with progress.track("Training", remaining, "epochs") as tick:
                over = self._coordinator.broadcast(self._is_over())
                while not over:
                    self._run_epoch(len(self.history) + 1, batches)
                    # A tick may end the process after a signal: no machine may leave there
                    # before the chief has saved the epoch.
                    over = self._coordinator.broadcast(self._is_over())
                    tick()
            if self._coordinator.is_chief and self._keeps_last_epoch():
                with self.average.swapped_in():
                    save_classifier(self.classifier, self.run.model_path)
        finally:
            with self.average.swapped_in():
                self._callbacks.on_train_end()

    @property
    def effective(self) -> dict[str, Any]:
        """The requested settings as they took effect."""
        return {"xla": self.step.xla}

    def summary(self) -> dict[str, Any]:
        """Epochs run, the kept epoch, and the speed."""
        rates = [row["videos_per_s"] for row in self.history]
        return {
            "epochs_run": len(self.history),
            "best_epoch": self.selection.kept_epoch,
            "resumed_from_epoch": self.resumed_from_epoch,
            "videos_per_s": float(np.median(rates)) if rates else 0.0,
            **({"profiled_steps": self.profiler.traced} if self.profiler else {}),
        }

    def batches(self, first_epoch: int = 1) -> Iterator[tuple]:
        """Training batches, one epoch after the other, distributed over the replicas."""
        return iter(self.device_setup.distributed(self.dataset(first_epoch)))

    def dataset(self, first_epoch: int = 1) -> tf.data.Dataset:
        """This machine's part of the training batches; see `batching.batches`."""
        return self.data.dataset(
            first_epoch,
            replicas=self.device_setup.replicas * self.config.gradient_accumulation,
            part=self.device_setup.batch_part,
        )

    def _run_epoch(self, epoch: int, batches: Iterator[tuple]) -> None:
        self._callbacks.on_epoch_begin(epoch - 1)
        row = self._train_epoch(epoch, batches)
        self.average.after_epoch(epoch)
        if not self._coordinator.is_chief:
            self.history.append(row)
            return
        with self.average.swapped_in():
            row |= self.validation.measure(self.classifier)
            self.history.append(row)
            logs = {name: value for name, value in row.items() if value is not None}
            log.debug(" ".join(f"{name}={value:.4g}" for name, value in logs.items()))
            self._save_models(row)
            del logs["epoch"]
            self._callbacks.on_epoch_end(epoch - 1, logs)
        self._save_state()

    def _train_epoch(self, epoch: int, batches: Iterator[tuple]) -> dict[str, Any]:
        """Trains on every drawn video once; the first columns of the epoch's history row."""
        start_s = time.monotonic()
        at_once = 1 if self.profiler else AT_ONCE  # a profile starts and ends at any step
        results, remaining = [], self.data.steps_per_epoch
        while remaining:
            self._callbacks.on_train_batch_begin(self.step.steps)
            results.append(self.step.run(batches, min(remaining, at_once)))
            self._callbacks.on_train_batch_end(self.step.steps - 1, _means(results[-1]))
            remaining -= len(results[-1]["loss"])
        steps = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
        rate = len(self.data.videos) / (time.monotonic() - start_s)
        self.step.check_finite(steps["finite"], epoch)
        means = _means(steps)
        return {
            "epoch": epoch,
            "loss": means["loss"],
            "learning_rate": float(self.step.optimizer.learning_rate.numpy()),
            "gradient_norm": means["gradient_norm"],
            "videos_per_s": rate,
        }

    def _is_over(self) -> bool:
        if self.classifier.stop_training or len(self.history) >= self.config.epochs:
            return True
        waited = len(self.history) - self.selection.best_epoch
        patience = self.config.early_stopping_patience
        return 0 < patience <= waited

    # -- models and state

    def _keeps_last_epoch(self) -> bool:
        """True if the last epoch is kept; its model is saved after the last epoch only."""
        averages = isinstance(self.average, StochasticAverage)
        return self.config.monitor == "none" or (averages and self.average.has_begun)

    def _save_models(self, row: dict[str, Any]) -> None:
        """Saves the model if this epoch is kept so far, and the regular checkpoint."""
        epoch, monitor = row["epoch"], self.config.monitor
        losses = self.validation.losses
        if monitor in ("val_auc", "val_accuracy"):
            losses = np.array([-row[monitor]])
        keep = self.selection.offer(epoch, losses)
        if self._keeps_last_epoch():
            self.selection.kept_epoch = epoch
        elif keep:
            save_classifier(self.classifier, self.run.model_path)
        every = self.config.checkpoint_epochs
        if every and epoch % every == 0:
            save_classifier(self.classifier, self.run.checkpoint_path(epoch))

    def _variables(self) -> list[keras.Variable]:
        return [
            *self.classifier.variables,
            *self.step.optimizer.variables,
            *self.average.variables,
        ]

    def _save_state(self) -> None:
        values = [variable.numpy() for variable in self._variables()]
        facts = {
            "history": self.history,
            "step": self.step.state(),
            "selection": self.selection.state(),
        }
        self._checkpoint.save(values, facts)

    def _restore(self) -> None:
        """Continues after the last saved epoch, if the training is resumed and has one."""
        state = self._checkpoint.load() if self.config.resume else None
        if state is None:
            return
        values, facts = state
        variables = self._variables()
        if [value.shape for value in values] != [tuple(item.shape) for item in variables]:
            raise TrainingError(
                "The saved state must be of this model. Received: the state of another model, in "
                f"{self.run.state_dir}"
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        separate_dropout(
            self.classifier, self.device_setup.strategy, self.device_setup.first_replica
        )
        self.step.restore(facts["step"])
        self.selection.restore(facts["selection"])
        self.history[:] = facts["history"]
        self.resumed_from_epoch = len(self.history)
        log.info(f"Resuming after epoch {self.resumed_from_epoch}.")

    def _start_digest(self) -> str:
        """Digest of weights and step count, which must be equal on all machines."""
        weights = self.classifier.trainable_variables
        values = [hashlib.sha256(weight.numpy().tobytes()).hexdigest() for weight in weights]
        return files.sha256_of_json([self.step.state(), values])[:12]


def _means(steps: Mapping[str, Any]) -> dict[str, float]:
    """Mean loss and gradient norm over the steps that were not skipped; over all if all were."""
    finite, names = np.asarray(steps["finite"]) > 0, ("loss", "gradient_norm")
    counted = finite if finite.any() else ~finite
    return {name: float(np.asarray(steps[name])[counted].mean()) for name in names}
