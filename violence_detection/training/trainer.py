"""Runs the epochs of a training: trains, validates, records, and saves models and state."""

import dataclasses
import functools
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from violence_detection import registry
from violence_detection.errors import TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.classifier import load_model
from violence_detection.models.output_set import OutputSet
from violence_detection.models.run import Run
from violence_detection.models.segment_bags import is_bags, window_model
from violence_detection.models.training_results import TrainingSummary
from violence_detection.system import files, progress
from violence_detection.system.devices import DeviceSetup
from violence_detection.training.distillation import Teacher
from violence_detection.training.monitoring.callbacks import HistoryFile, Profiler
from violence_detection.training.monitoring.tensorboard_events import TensorBoard
from violence_detection.training.monitoring.validation import Validation
from violence_detection.training.optimisation import step_builder, xla_trial
from violence_detection.training.optimisation.objective import Objective
from violence_detection.training.optimisation.step import AT_ONCE, TrainingStep, separate_dropout
from violence_detection.training.optimisation.weight_averaging import StochasticAverage
from violence_detection.training.saving.checkpoint import Checkpoint, save_classifier
from violence_detection.training.saving.epoch_selection import EpochSelection, check_monitor
from violence_detection.training.saving.training_state import EpochResult, TrainingState
from violence_detection.training.training_data import ClassTotals, TrainingData
from violence_detection.training.training_settings import TrainingSettings

log = logging.getLogger(__name__)


class Trainer:
    """A classifier in training, and the files of its run.

    Attributes:
        data: The training videos: weights, sampling, augmentation, batches.
        validation: Metrics of the validation videos.
        selection: The choice of the epoch that is kept.
        step: The training step; `classifier` and `average` are the step's.
        history: A result for each epoch so far.
        resumed_from_epoch: The epoch after which a resumed training continues; else 0.
    """

    def __init__(
        self,
        run: Run,
        settings: TrainingSettings,
        device_setup: DeviceSetup,
        *,
        clips: Mapping[str, FeatureDataset],
        classes: list[str],
        initial: keras.Model | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        totals: ClassTotals | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Builds everything that the epochs need; nothing is written before they start.

        Args:
            run: The run folder to fill.
            settings: Settings of the training.
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
            totals: Sums by class that the weights of videos follow; None for those of `train`.
            teacher: Predictions of the training videos that are learned, too.
        """
        self.run, self.settings, self.device_setup = run, settings, device_setup
        self.classes = classes
        self._coordinator = device_setup.coordinator
        self.history: list[EpochResult] = []
        self.resumed_from_epoch = 0
        self._checkpoint = Checkpoint(run.state_dir)
        outputs = OutputSet.of_spec(settings.model.outputs, len(classes))
        self.data = TrainingData(
            clips["train"],
            outputs=outputs,
            batch_size=settings.optimisation.batch_size,
            seed=settings.seed,
            **settings.batches.as_dict(),
            totals=totals,
        )
        loss = registry.load(
            "losses",
            settings.model.loss,
            label_smoothing=settings.model.label_smoothing,
            class_fractions=self.data.class_fractions,
        )
        if teacher is not None:
            soft = teacher.columns(clips["train"].entries)
            self.data.targets = np.concatenate([self.data.targets, soft], axis=1)
            loss = teacher.loss(loss)
        monitor = settings.selection.monitor
        check_monitor(monitor, clips["validation"].labels)
        objective = functools.partial(
            Objective, outputs, loss, dynamic=settings.model.output_weights == "dynamic"
        )
        self.selection = EpochSelection(clips["validation"].groups, tolerant=monitor == "val_loss")
        self.step = self._build_step(objective, initial)
        self.validation = Validation(
            clips["validation"], classes=classes, objective=self.step.objective
        )
        self.classifier, self.average = self.step.classifier, self.step.average
        steps = settings.profiled_steps
        self.profiler = Profiler(run.tensorboard_dir, *steps) if steps else None
        self._callbacks = self._build_callbacks(callbacks)

    def _build_step(
        self, objective: Callable[[], Objective], initial: keras.Model | None
    ) -> TrainingStep:
        """The training step, with XLA where the devices compile it and it is not slower."""
        build = functools.partial(
            step_builder.build_step,
            self.settings.optimisation,
            self.device_setup,
            head=self.settings.model.head,
            outputs=self.settings.model.outputs,
            seed=self.settings.seed,
            train=self.data.videos,
            objective=objective,
            initial=initial,
        )
        xla = self.device_setup.xla
        if xla and self.device_setup.gpus:
            # Timings differ between machines, but all machines must run the same step: compiled
            # and not compiled, the bits differ. So the chief's measurement counts for all.
            batch = next(self.batches())
            xla = self._coordinator.broadcast(xla_trial.is_xla_faster(build, batch))
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
                epochs=self.settings.optimisation.epochs,
                settings=self.settings.values(),
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
        epochs = self.settings.optimisation.epochs
        batches = self.batches(first_epoch=len(self.history) + 1)
        self.classifier.stop_training = False
        self._callbacks.on_train_begin()
        try:
            with progress.track("Training", epochs, "epochs", done=len(self.history)) as tick:
                over = self._coordinator.broadcast(self._is_over())
                while not over:
                    self._run_epoch(len(self.history) + 1, batches)
                    # A tick may end the process after a signal: no machine may leave there
                    # before the chief has saved the epoch.
                    over = self._coordinator.broadcast(self._is_over())
                    tick(_scores_text(self.history[-1]))
            if self._coordinator.is_chief and self._keeps_last_epoch():
                with self.average.swapped_in():
                    save_classifier(self.classifier, self.run.model_path)
            self._calibrate_kept_model()
            self._keep_window_model()
        finally:
            with self.average.swapped_in():
                self._callbacks.on_train_end()

    def summary(self) -> TrainingSummary:
        """Epochs run, the kept epoch, and the speed."""
        rates = [row.videos_per_s for row in self.history]
        return TrainingSummary(
            epochs_run=len(self.history),
            epochs_asked=self.settings.optimisation.epochs,
            stop_reason=self._stop_reason(),
            kept_reason=self._kept_reason(),
            kept_epoch=self.selection.kept_epoch,
            resumed_from_epoch=self.resumed_from_epoch,
            videos_per_s=float(np.median(rates)) if rates else 0.0,
            profiled_steps=self.profiler.traced if self.profiler else None,
        )

    def batches(self, first_epoch: int = 1) -> Iterator[tuple]:
        """Training batches, one epoch after the other, distributed over the replicas."""
        return iter(self.device_setup.distributed(self.dataset(first_epoch)))

    def dataset(self, first_epoch: int = 1) -> tf.data.Dataset:
        """This machine's part of the training batches; see `batching.batches`."""
        return self.data.dataset(
            first_epoch,
            replicas=self.device_setup.replicas * self.settings.optimisation.gradient_accumulation,
            part=self.device_setup.batch_part,
        )

    def _run_epoch(self, epoch: int, batches: Iterator[tuple]) -> None:
        self._callbacks.on_epoch_begin(epoch - 1)
        row = self.train_epoch(epoch, batches)
        self.average.after_epoch(epoch)
        if not self._coordinator.is_chief:
            self.history.append(row)
            return
        with self.average.swapped_in():
            row = dataclasses.replace(row, validation=self.validation.measure(self.classifier))
            self.history.append(row)
            logs = {name: value for name, value in row.columns().items() if value is not None}
            log.debug(" ".join(f"{name}={value:.4g}" for name, value in logs.items()))
            self._save_models(row)
            del logs["epoch"]
            self._callbacks.on_epoch_end(epoch - 1, logs)
        self._save_state()

    def train_epoch(self, epoch: int, batches: Iterator[tuple]) -> EpochResult:
        """Trains on every drawn video once; the result of the epoch without validation."""
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
        return EpochResult(
            epoch=epoch,
            loss=means["loss"],
            learning_rate=float(self.step.optimizer.learning_rate.numpy()),
            gradient_norm=means["gradient_norm"],
            videos_per_s=rate,
            by_output={name: means[name] for name in self.step.objective.result_names},
        )

    def _is_over(self) -> bool:
        if self.classifier.stop_training or len(self.history) >= self.settings.optimisation.epochs:
            return True
        return self._is_patience_over()

    def _is_patience_over(self) -> bool:
        waited = len(self.history) - self.selection.best_score_epoch
        return 0 < self.settings.selection.early_stopping_patience <= waited

    def _stop_reason(self) -> str:
        """The reason why the training ended before its last epoch, in words; empty if it did
        not."""
        if len(self.history) >= self.settings.optimisation.epochs:
            return ""
        if not self._is_patience_over():
            return "a callback stopped it"
        return f"no better {self._measure()} since epoch {self.selection.best_score_epoch}"

    def _kept_reason(self) -> str:
        """The reason why `kept_epoch` is kept, in words."""
        if self._keeps_last_epoch():
            return "the last"
        best = self.selection.best_score_epoch
        if self.selection.kept_epoch == best:
            return f"the best {self._measure()}"
        return f"the last whose {self._measure()} is not clearly worse than that of epoch {best}"

    def _measure(self) -> str:
        """The score that epochs are compared by, in words."""
        measures = {"val_auc": "validation AUC", "val_accuracy": "validation accuracy"}
        return measures.get(self.settings.selection.monitor, "validation loss")

    # -- models and state

    def _keeps_last_epoch(self) -> bool:
        """True if the last epoch is kept; its model is saved after the last epoch only."""
        averages = isinstance(self.average, StochasticAverage)
        return self.settings.selection.monitor == "none" or (averages and self.average.has_begun)

    def _save_models(self, row: EpochResult) -> None:
        """Saves the model if this epoch is kept so far, and the regular checkpoint."""
        epoch, monitor = row.epoch, self.settings.selection.monitor
        losses = self.validation.losses
        if monitor in ("val_auc", "val_accuracy"):
            losses = np.array([-row.columns()[monitor]])
        keep = self.selection.offer(epoch, losses)
        if self._keeps_last_epoch():
            self.selection.kept_epoch = epoch
        elif keep:
            save_classifier(self.classifier, self.run.model_path)
        every = self.settings.selection.checkpoint_epochs
        if every and epoch % every == 0:
            save_classifier(self.classifier, self.run.checkpoint_path(epoch))

    def _calibrate_kept_model(self) -> None:
        """Takes the borders of anomaly scores anew, for the model that is kept."""
        outputs = self.step.objective.outputs
        if self._coordinator.is_chief and outputs.has_anomaly:
            kept = load_model(self.run.model_path)
            outputs.calibrate(kept, self.data.videos.features, self.data.videos.labels)
            save_classifier(kept, self.run.model_path)

    def _keep_window_model(self) -> None:
        """Keeps, for videos in segments, the model of single windows, which predicts,
        and is exported, as any other."""
        if self._coordinator.is_chief and is_bags(self.data.videos.features):
            kept = load_model(self.run.model_path)
            if len(kept.input_shape) == 4:  # a resumed training may have done it already
                save_classifier(window_model(kept), self.run.model_path)

    def variables(self) -> list[keras.Variable]:
        """The variables that a saved state holds."""
        return [
            *self.classifier.variables,
            *self.step.optimizer.variables,
            *self.average.variables,
            *self.step.objective.variables,
        ]

    def _save_state(self) -> None:
        values = [variable.numpy() for variable in self.variables()]
        state = TrainingState(self.history, self.step.state(), self.selection.state())
        self._checkpoint.save(values, state)

    def _restore(self) -> None:
        """Continues after the last saved epoch, if the training is resumed and has one."""
        saved = self._checkpoint.load() if self.settings.resume else None
        if saved is None:
            return
        values, state = saved
        variables = self.variables()
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
        self.step.restore(state.step)
        self.selection.restore(state.selection)
        self.history[:] = state.history
        self.resumed_from_epoch = len(self.history)
        log.info(f"Resuming after epoch {self.resumed_from_epoch}.")

    def _start_digest(self) -> str:
        """Digest of weights and step count, which must be equal on all machines."""
        weights = self.classifier.trainable_variables
        values = [hashlib.sha256(weight.numpy().tobytes()).hexdigest() for weight in weights]
        return files.sha256_of_json([dataclasses.asdict(self.step.state()), values])[:12]


def _scores_text(row: EpochResult) -> str:
    """The losses and the AUC of an epoch: `loss 0.412, val_loss 0.498, val_auc 0.913`."""
    values = row.columns()
    names = [name for name in ("loss", "val_loss", "val_auc") if values.get(name) is not None]
    return ", ".join(f"{name} {values[name]:.3f}" for name in names)


def _means(steps: Mapping[str, Any]) -> dict[str, float]:
    """Mean of each result over the steps that were not skipped; over all if all were."""
    finite, names = np.asarray(steps["finite"]) > 0, [name for name in steps if name != "finite"]
    counted = finite if finite.any() else ~finite
    return {name: float(np.asarray(steps[name])[counted].mean()) for name in names}
