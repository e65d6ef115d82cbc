"""The epochs of a training: learn, validate, record, keep the best, and be ready to be killed."""

import contextlib
import logging
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from violence_detection import (
    dataset,
    files,
    metrics,
    model,
    parts,
    progress,
    schedule,
    training_state,
)
from violence_detection.config import TrainConfig
from violence_detection.dataset import Clips
from violence_detection.errors import TrainingError
from violence_detection.runs import Run
from violence_detection.runtime import Machine
from violence_detection.selection import EpochSelection
from violence_detection.training_step import (
    TrainingStep,
    separate_dropout,
    steps_per_epoch,
)

log = logging.getLogger(__name__)

HISTORY_COLUMNS = (
    "epoch",
    "loss",
    "val_loss",
    "val_accuracy",
    "val_auc",
    "learning_rate",
    "gradient_norm",
    "videos_per_s",
)
_WARMUP_EPOCHS, _WARMUP_SHARE = 5, 0.2
_NO_DECAY = ("bias", "gamma", "beta")


class Trainer:
    """A classifier in training: model, step, history, and the files of its run."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        machine: Machine,
        *,
        clips: dict[str, Clips],
        classes: list[str],
    ) -> None:
        self.run, self.config, self.machine = run, config, machine
        self.train, self.validation = clips["train"], clips["validation"]
        self.classes = classes
        self.history: list[dict[str, Any]] = []
        self.resumed_from_epoch = 0
        self.selection = EpochSelection(
            self.validation.groups, tolerant=config.monitor == "val_loss"
        )
        shares = dataset.drawn_shares(self.train.labels, len(classes), config.sampling)
        self.weights = _video_weights(
            self.train.labels, shares, config.use_class_weights
        )
        if config.use_class_weights:
            shares = np.full(len(classes), 1 / len(classes))
        self.augment = dataset.augmentation(config.augment, self.train)
        # The same start whether or not a backbone was drawn before.
        keras.utils.set_random_seed(config.seed)
        with machine.strategy.scope():
            self.classifier = model.build_classifier(
                head=config.head,
                features=self.train.features,
                classes=len(classes),
                use_cudnn=machine.gpus > 0 and not machine.xla,
            )
            optimizer = keras.optimizers.AdamW(
                config.learning_rate, weight_decay=config.weight_decay
            )
            optimizer.exclude_from_weight_decay(var_names=list(_NO_DECAY))
            optimizer.build(self.classifier.trainable_variables)
        separate_dropout(self.classifier, machine.strategy)
        self.step = TrainingStep(
            self.classifier,
            loss=parts.load(
                "losses",
                config.loss,
                label_smoothing=config.label_smoothing,
                class_shares=shares.tolist(),
            ),
            optimizer=optimizer,
            strategy=machine.strategy,
            schedule=self._schedule(),
            clip_norm=config.clip_norm,
            xla=machine.xla,
        )

    # -- the epochs

    def run_epochs(self) -> None:
        """Learn until the epochs are over, or none was better for `patience` epochs.

        Raises:
            TrainingError: If the loss is not finite any more.
        """
        self._restore()
        writer = tf.summary.create_file_writer(str(self.run.tensorboard_dir))
        left = self.config.epochs - len(self.history)
        with (
            contextlib.closing(writer),
            progress.track("Training", left, "epochs") as tick,
        ):
            while (
                len(self.history) < self.config.epochs and not self._out_of_patience()
            ):
                row, losses = self._epoch(len(self.history) + 1)
                self.history.append(row)
                files.write_csv(self.run.history_path, HISTORY_COLUMNS, self.history)
                self._record(writer, row)
                self._keep_models(row, losses)
                self._save_state()
                tick()

    def summary(self) -> dict[str, Any]:
        """How the epochs went."""
        rates = [row["videos_per_s"] for row in self.history]
        return {
            "epochs_run": len(self.history),
            "best_epoch": self.selection.kept_epoch,
            "resumed_from_epoch": self.resumed_from_epoch,
            "videos_per_s": float(np.median(rates)) if rates else 0.0,
        }

    def _epoch(self, epoch: int) -> tuple[dict[str, Any], np.ndarray]:
        """A row of the history, and the loss of each validation video."""
        start_s = time.monotonic()
        order = dataset.sampled_order(
            self.train.labels,
            self.config.sampling,
            seed=self.config.seed,
            epoch=epoch,
        )
        batches = dataset.batches(
            self.train,
            self.weights,
            classes=len(self.classes),
            order=order,
            batch_size=self.config.batch_size,
            replicas=self.machine.replicas,
            augment=self.augment,
            seed=self.config.seed,
            epoch=epoch,
        )
        batches = self.machine.strategy.experimental_distribute_dataset(batches)
        steps = [self.step(batch) for batch in batches]
        rate = len(self.train) / (time.monotonic() - start_s)
        self._check_finite(steps, epoch)
        sound = [step for step in steps if step["finite"]] or steps
        scores, losses = self._validate()
        row = {
            "epoch": epoch,
            "loss": float(np.mean([step["loss"] for step in sound])),
            **scores,
            "learning_rate": float(self.step.optimizer.learning_rate.numpy()),
            "gradient_norm": float(np.mean([step["gradient_norm"] for step in sound])),
            "videos_per_s": rate,
        }
        log.debug(
            " ".join(
                f"{name}={value:.4g}"
                for name, value in row.items()
                if value is not None
            )
        )
        return row, losses

    def _check_finite(self, steps: list[dict[str, float]], epoch: int) -> None:
        """One bad batch is skipped; in float32 one is one too many, in float16 an epoch is."""
        sound = sum(step["finite"] for step in steps)
        if sound < (1 if self.step.scale > 1 else len(steps)):
            raise TrainingError(
                "The loss and its gradients must stay finite. Received: "
                f"{len(steps) - sound:.0f} batches of {len(steps)} that are not, in epoch {epoch}; "
                "a lower --learning-rate helps"
            )

    def _validate(self) -> tuple[dict[str, float | None], np.ndarray]:
        probability = model.probabilities(self.classifier, self.validation.features)
        if not np.isfinite(probability).all():
            raise TrainingError(
                "Predictions must be finite. Received: NaN on validation"
            )
        logits = np.log(np.clip(probability, 1e-12, 1))
        if len(self.classes) == 2:
            logits = logits[:, 1:] - logits[:, :1]
        goals = dataset.targets(self.validation.labels, len(self.classes))
        losses = np.array(self.step.loss(goals, logits.astype(np.float32)))
        violent = self.validation.labels > 0
        scores = {
            "val_loss": float(losses.mean()),
            "val_accuracy": float(
                (probability.argmax(1) == self.validation.labels).mean()
            ),
            "val_auc": metrics.binary_metrics(violent, 1 - probability[:, 0], 0.5)[
                "auc"
            ],
        }
        return scores, losses

    def _out_of_patience(self) -> bool:
        patience = self.config.early_stopping_patience
        return 0 < patience <= len(self.history) - self.selection.best_epoch

    # -- what stays

    def _record(self, writer: tf.summary.SummaryWriter, row: dict[str, Any]) -> None:
        with writer.as_default(step=row["epoch"]):
            for name in HISTORY_COLUMNS[1:]:
                if row[name] is not None:
                    tf.summary.scalar(name, row[name])
        writer.flush()

    def _keep_models(self, row: dict[str, Any], losses: np.ndarray) -> None:
        epoch, monitor = row["epoch"], self.config.monitor
        if monitor != "val_loss":
            losses = np.array([-(row[monitor] or 0.0)])
        if self.selection.offer(epoch, losses):
            save_classifier(self.classifier, self.run.model_path)
        every = self.config.checkpoint_epochs
        if every and epoch % every == 0:
            save_classifier(self.classifier, self.run.checkpoint_path(epoch))

    def _variables(self) -> list[keras.Variable]:
        return [*self.classifier.variables, *self.step.optimizer.variables]

    def _save_state(self) -> None:
        values = [variable.numpy() for variable in self._variables()]
        facts = {
            "history": self.history,
            "step": self.step.state(),
            "selection": self.selection.state(),
        }
        training_state.save(self.run.state_dir, values, facts)

    def _restore(self) -> None:
        state = training_state.load(self.run.state_dir) if self.config.resume else None
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
        separate_dropout(self.classifier, self.machine.strategy)
        self.step.restore(facts["step"])
        self.selection.restore(facts["selection"])
        self.history = facts["history"]
        self.resumed_from_epoch = len(self.history)
        log.info(f"Going on after epoch {self.resumed_from_epoch}.")

    def _schedule(self):
        per_epoch = steps_per_epoch(len(self.train), self.config.batch_size)
        warmup_epochs = self.config.warmup_epochs
        if warmup_epochs is None:
            warmup_epochs = min(_WARMUP_EPOCHS, _WARMUP_SHARE * self.config.epochs)
        return schedule.warmup_cosine(
            peak=self.config.learning_rate,
            warmup_steps=warmup_epochs * per_epoch,
            total_steps=self.config.epochs * per_epoch,
        )


def save_classifier(classifier: keras.Model, path) -> None:
    """Save under a temporary name, then rename: a kill leaves the model before."""
    # Not ending as the checkpoints do, which people list by their name.
    temporary = path.with_name(f"{files.temporary_mark()}-{path.name}")
    try:
        classifier.save(temporary)
        files.replace(temporary, path)
    except OSError as error:
        raise files.write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _video_weights(
    labels: np.ndarray, shares: np.ndarray, balanced: bool
) -> np.ndarray:
    """Weight of each video, float32 (N,): with class weights 1 / (K s_c), where s_c is its
    class's share of what is drawn, so that nothing is corrected twice; else 1."""
    if not balanced:
        return np.ones(len(labels), np.float32)
    inverse = 1 / (len(shares) * np.maximum(shares, 1 / len(labels)))
    return inverse[labels].astype(np.float32)
