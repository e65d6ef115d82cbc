"""The epochs of a training: learn, validate, record, keep the best, and be ready to be killed."""

import functools
import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from violence_detection import registry, settings
from violence_detection.errors import TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.run import Run
from violence_detection.system import files, progress
from violence_detection.system.coordination import Coordinator
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, checkpoint, optimizer
from violence_detection.training.callbacks import HistoryFile, Profiler, TensorBoard
from violence_detection.training.checkpoint import save_classifier
from violence_detection.training.config import TrainConfig
from violence_detection.training.step import AT_ONCE, separate_dropout
from violence_detection.training.validation import EpochSelection, Validation, check_monitor
from violence_detection.training.weight_averaging import StochasticAverage

log = logging.getLogger(__name__)


class Trainer:
    """A classifier in training: model, step, history, and the files of its run."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        machine: DeviceSetup,
        *,
        clips: dict[str, FeatureDataset],
        classes: list[str],
        initial: keras.Model | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        peers: Coordinator | None = None,
    ) -> None:
        """
        Args:
            run: Filled.
            config: Everything that was asked for.
            machine: From `runtime.start`.
            clips: Of train and validation.
            classes: Names, the normal one first.
            initial: A classifier of the same shape whose weights the training begins with.
            callbacks: Further ones, as for `fit`: epochs and steps count from 0, their logs are
                numbers, and `stop_training` of the model ends the training. Steps are run several
                at a time: `on_train_batch_begin` and `on_train_batch_end` come once for the first
                and the last of them, the latter with their means. The model has no optimiser: the
                learning rate is the schedule's.
            peers: The other machines. The chief alone validates, decides and writes.
        """
        self.peers = peers or Coordinator(None)
        self.run, self.config, self.machine = run, config, machine
        self.train = clips["train"]
        self.classes = classes
        self.history: list[dict[str, Any]] = []
        self.resumed_from_epoch = 0
        check_monitor(config.monitor, clips["validation"].labels)
        self.selection = EpochSelection(
            clips["validation"].groups, tolerant=config.monitor == "val_loss"
        )
        shares = batching.drawn_shares(self.train.labels, len(classes), config.sampling)
        self.weights = _class_weights(
            self.train.labels, shares, config.use_class_weights
        ) * _recording_weights(self.train, config.recording_weights)
        if config.use_class_weights:
            shares = np.full(len(classes), 1 / len(classes))
        self._steps_per_epoch = batching.steps_per_epoch(len(self.train), config.batch_size)
        self.augment = batching.build_augmentation(config.augment, self.train)
        loss = registry.load(
            "losses",
            config.loss,
            label_smoothing=config.label_smoothing,
            class_shares=shares.tolist(),
        )
        self.validation = Validation(clips["validation"], classes=classes, loss=loss)
        build = functools.partial(
            optimizer.build_step,
            config,
            machine,
            train=self.train,
            classes=len(classes),
            loss=loss,
            initial=initial,
        )
        xla = machine.xla
        if machine.xla and machine.gpus:
            batch = next(self.batches())
            xla = self.peers.of_chief(optimizer.is_xla_faster(build, batch))
        self.step = build(xla=xla)
        self.classifier, self.average = self.step.classifier, self.step.average
        span = settings.span_of(config.profile) if config.profile else None
        self.profiler = Profiler(run.tensorboard_dir, *span) if span else None
        recorders = [
            HistoryFile(run.history_path, self.history),
            TensorBoard(
                run.tensorboard_dir,
                validation=self.validation,
                schedule=self.step.schedule,
                epochs=config.epochs,
                steps=config.epochs * self._steps_per_epoch,
            ),
            *([self.profiler] if self.profiler else []),
            *callbacks,
        ]
        self._watch = keras.callbacks.CallbackList(
            recorders if self.peers.is_chief else [], model=self.classifier
        )

    # -- the epochs

    def run_epochs(self) -> None:
        """Learn until the epochs are over, or none was better for `patience` epochs.

        Raises:
            TrainingError: If the loss is not finite any more.
        """
        self._restore()
        self.peers.check_same(start=self._start_digest())
        left = self.config.epochs - len(self.history)
        batches = self.batches(first_epoch=len(self.history) + 1)
        self.classifier.stop_training = False
        self._watch.on_train_begin()
        try:
            with progress.track("Training", left, "epochs") as tick:
                over = self.peers.of_chief(self._is_over())
                while not over:
                    self._epoch(len(self.history) + 1, batches)
                    # Nobody leaves at a tick before the chief has saved the epoch.
                    over = self.peers.of_chief(self._is_over())
                    tick()
            if self.peers.is_chief and self._keeps_the_last():
                with self.average.shown():
                    save_classifier(self.classifier, self.run.model_path)
        finally:
            with self.average.shown():
                self._watch.on_train_end()

    @property
    def effective(self) -> dict[str, Any]:
        """What was got of what was asked for."""
        return {"xla": self.step.xla}

    def summary(self) -> dict[str, Any]:
        """How the epochs went."""
        rates = [row["videos_per_s"] for row in self.history]
        traced = {}
        if self.profiler:
            traced["profiled_steps"] = self.profiler.traced
        return {
            "epochs_run": len(self.history),
            "best_epoch": self.selection.kept_epoch,
            "resumed_from_epoch": self.resumed_from_epoch,
            "videos_per_s": float(np.median(rates)) if rates else 0.0,
            **traced,
        }

    def _epoch(self, epoch: int, batches: Iterator[tuple]) -> None:
        self._watch.on_epoch_begin(epoch - 1)
        row = self._learn(epoch, batches)
        self.average.after_epoch(epoch)
        if not self.peers.is_chief:
            self.history.append(row)
            return
        with self.average.shown():
            row |= self.validation.measure(self.classifier)
            self.history.append(row)
            log.debug(_told(row))
            self._keep_models(row)
            told = {name for name, value in row.items() if value is not None} - {"epoch"}
            self._watch.on_epoch_end(epoch - 1, {name: row[name] for name in told})
        self._save_state()

    def batches(self, first_epoch: int = 1) -> Iterator[tuple]:
        """What the step learns from, one epoch after the other, dealt out to the replicas."""
        return iter(self.machine.distributed(self.dataset(first_epoch)))

    def dataset(self, first_epoch: int = 1) -> tf.data.Dataset:
        """What the step learns from; see `batching.batches`."""
        # TensorFlow keeps what a dataset calls until the process ends: self must not be in it.
        labels, sampling, seed = (
            self.train.labels,
            self.config.sampling,
            self.config.seed,
        )
        return batching.batches(
            self.train,
            self.weights,
            classes=len(self.classes),
            order=lambda epoch: batching.sampled_order(labels, sampling, seed=seed, epoch=epoch),
            batch_size=self.config.batch_size,
            first_epoch=first_epoch,
            replicas=self.machine.replicas * self.config.gradient_accumulation,
            share=self.machine.share,
            augment=self.augment,
            seed=self.config.seed,
        )

    def _learn(self, epoch: int, batches: Iterator[tuple]) -> dict[str, Any]:
        """One pass over the training videos; the first part of its row of the history."""
        start_s = time.monotonic()
        at_once = 1 if self.profiler else AT_ONCE  # its span begins and ends at any
        results, left = [], self._steps_per_epoch
        while left:
            self._watch.on_train_batch_begin(self.step.steps)
            results.append(self.step.run(batches, min(left, at_once)))
            self._watch.on_train_batch_end(self.step.steps - 1, _means(results[-1]))
            left -= len(results[-1]["loss"])
        steps = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
        rate = len(self.train) / (time.monotonic() - start_s)
        self._check_finite(steps["finite"], epoch)
        means = _means(steps)
        return {
            "epoch": epoch,
            "loss": means["loss"],
            "learning_rate": float(self.step.optimizer.learning_rate.numpy()),
            "gradient_norm": means["gradient_norm"],
            "videos_per_s": rate,
        }

    def _check_finite(self, finite: np.ndarray, epoch: int) -> None:
        """One bad batch is skipped; in float32 one is one too many, in float16 an epoch is."""
        sound = int(finite.sum())
        if sound < (1 if self.step.scale > 1 else len(finite)):
            raise TrainingError(
                "The loss and its gradients must stay finite. Received: "
                f"{len(finite) - sound} batches of {len(finite)} that are not, in epoch {epoch}; "
                "a lower --learning-rate helps"
            )

    def _is_over(self) -> bool:
        if self.classifier.stop_training or len(self.history) >= self.config.epochs:
            return True
        waited = len(self.history) - self.selection.best_epoch
        patience = self.config.early_stopping_patience
        return 0 < patience <= waited

    # -- what stays

    def _keeps_the_last(self) -> bool:
        """Whether the last epoch is kept, which is saved once it is known to be that."""
        averages = isinstance(self.average, StochasticAverage)
        return self.config.monitor == "none" or (averages and self.average.has_begun)

    def _keep_models(self, row: dict[str, Any]) -> None:
        epoch, monitor = row["epoch"], self.config.monitor
        losses = self.validation.losses
        if monitor in ("val_auc", "val_accuracy"):
            losses = np.array([-row[monitor]])
        better = self.selection.offer(epoch, losses)
        if self._keeps_the_last():
            self.selection.kept_epoch = epoch
        elif better:
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
        checkpoint.save(self.run.state_dir, values, facts)

    def _restore(self) -> None:
        state = checkpoint.load(self.run.state_dir) if self.config.resume else None
        if state is None:
            return
        values, facts = state
        variables = self._variables()
        if [value.shape for value in values] != [tuple(one.shape) for one in variables]:
            raise TrainingError(
                f"The state must be of this model. Received: another one's, in {self.run.state_dir}"
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        separate_dropout(self.classifier, self.machine.strategy, self.machine.first_replica)
        self.step.restore(facts["step"])
        self.selection.restore(facts["selection"])
        self.history[:] = facts["history"]
        self.resumed_from_epoch = len(self.history)
        log.info(f"Going on after epoch {self.resumed_from_epoch}.")

    def _start_digest(self) -> str:
        """Of the weights and how often they have learned, which no replica has of its own."""
        weights = self.classifier.trainable_variables
        values = [hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in weights]
        return files.sha256_of_json([self.step.state(), values])[:12]


def _means(steps: Mapping[str, Any]) -> dict[str, float]:
    """Loss and gradient norm over some steps but for those that were skipped, if not all were."""
    finite, names = np.asarray(steps["finite"]) > 0, ("loss", "gradient_norm")
    sound = finite if finite.any() else ~finite
    return {name: float(np.asarray(steps[name])[sound].mean()) for name in names}


def _told(row: dict[str, Any]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in row.items() if value is not None)


def _class_weights(labels: np.ndarray, shares: np.ndarray, balanced: bool) -> np.ndarray:
    """Weight of each video for its class, float32 (N,): with class weights 1 / (K s_c), where
    s_c is its class's share of what is drawn, so that nothing is corrected twice; else 1."""
    if not balanced:
        return np.ones(len(labels), np.float32)
    inverse = 1 / (len(shares) * np.maximum(shares, 1 / len(labels)))
    return inverse[labels].astype(np.float32)


def _recording_weights(clips: FeatureDataset, counted: str) -> np.ndarray:
    """Weight of each video for its recording, float32 (N,): in proportion to n^-1/2 for sqrt and
    to n^-1 for balanced, where n is the number of its recording's videos, else 1; its mean over
    each class is 1, so that classes count as they did."""
    power = {"natural": 0.0, "sqrt": -0.5, "balanced": -1.0}[counted]
    _, recording, counts = np.unique(clips.groups, return_inverse=True, return_counts=True)
    weights = counts[recording] ** power
    numbers = np.bincount(clips.labels)
    means = np.bincount(clips.labels, weights) / np.maximum(numbers, 1)
    return (weights / means[clips.labels]).astype(np.float32)
