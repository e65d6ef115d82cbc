"""Keras callbacks of a training: history, TensorBoard, profile, and the scores of a trial."""

import contextlib
import io
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import summary as pr_curve

from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.metrics.classification import log_loss
from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.reports import figures
from violence_detection.system import files
from violence_detection.training.optimizer import Schedule
from violence_detection.training.validation import Validation

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

_CURVE_POINTS = 500
_THRESHOLDS = 101  # of a precision-recall curve
_PICTURES = 10  # of a kind in a training; no more is what TensorBoard shows, either
_CLIPS = 8  # in a picture of the attention


class HistoryFile(keras.callbacks.Callback):
    """Writes training_history.csv anew after each epoch."""

    def __init__(self, path: Path, history: list[dict[str, Any]]) -> None:
        """
        Args:
            path: Of the file.
            history: A row for each epoch so far, to which the training adds.
        """
        super().__init__()
        self._path, self._history = path, history

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        more = [name for name in self._history[-1] if name not in HISTORY_COLUMNS]
        files.write_csv(self._path, [*HISTORY_COLUMNS, *more], self._history)


class TensorBoard(keras.callbacks.Callback):
    """Records what TensorBoard draws: the history as scalars, precision-recall curves, and at
    most every tenth epoch and after the last, what is confused and where attention lies.

    A training that is resumed adds a file. Where it does an epoch again, TensorBoard shows
    what came last.
    """

    def __init__(
        self,
        folder: Path,
        *,
        validation: Validation,
        schedule: Schedule,
        epochs: int,
        steps: int,
    ) -> None:
        """
        Args:
            folder: Of the event files.
            validation: As measured before each epoch's end.
            schedule: The planned learning rate at a step.
            epochs, steps: Of the training, if it is not stopped earlier.
        """
        super().__init__()
        self._folder, self._validation = folder, validation
        self._schedule, self._steps = schedule, steps
        self._picture_epochs = max(_PICTURES, math.ceil(epochs / _PICTURES))
        self._shown = _evenly_of_each_class(validation.clips, _CLIPS)
        self._not_drawn = 0  # the epoch just recorded, if without pictures
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs=None) -> None:
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self._not_drawn = 0
        if epoch == 0:
            self._draw_schedule()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        with self._writer.as_default(step=epoch + 1):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
            self._draw_curves()
        self._not_drawn = epoch + 1
        if (epoch + 1) % self._picture_epochs == 0:
            self._draw_pictures()
        self._writer.flush()

    def on_train_end(self, logs=None) -> None:
        if self._not_drawn:
            self._draw_pictures()
        if self._writer:
            self._writer.close()

    def _draw_schedule(self) -> None:
        """The rate that is planned, at the middles of steps, as it is set."""
        points = min(self._steps, _CURVE_POINTS)
        steps = np.linspace(0, self._steps - 1, points).round().astype(int)
        with self._writer.as_default():
            for step in steps.tolist():
                rate = self._schedule(step + 0.5)
                tf.summary.scalar("schedule/learning_rate", rate, step=step + 1)

    def _draw_curves(self) -> None:
        """Of each class but the normal one; where they are several, also of all together."""
        labels, probability = (
            self._validation.clips.labels,
            self._validation.probability,
        )
        normal, *others = self._validation.classes
        curves = {
            name: (labels == number, probability[:, number])
            for number, name in enumerate(others, 1)
        }
        if len(others) > 1:
            curves[f"not {normal}"] = is_violent(labels), violence_score(probability)
        for name, (truth, found) in curves.items():
            curve = pr_curve.pb(name, truth, np.clip(found, 0, 1), _THRESHOLDS)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString())

    def _draw_pictures(self) -> None:
        classes, clips = self._validation.classes, self._validation.clips
        answers = self._validation.probability.argmax(1)
        confused = classification.class_metrics(clips.labels, answers, classes)["confusion"]
        names = [Path(clips.entries[row].path).stem for row in self._shown]
        told = [
            f"{1 - self._validation.probability[row, 0]:.2f} {classes[clips.labels[row]]}"
            for row in self._shown
        ]
        weights = attention_weights(self.model, clips.features[self._shown])
        with self._writer.as_default(step=self._not_drawn):
            _write_picture("confusion", figures.draw_confusion, confused, classes)
            for layer, rows in weights.items():
                _write_picture(layer, figures.draw_attention, rows, names, told)
        self._not_drawn = 0


def _evenly_of_each_class(clips: FeatureDataset, most: int) -> np.ndarray:
    """Rows of some clips, evenly spaced among those of each class, one of it at least."""
    kinds = np.unique(clips.labels)
    rows = [np.flatnonzero(clips.labels == kind) for kind in kinds]
    return np.concatenate(
        [one[:: math.ceil(len(one) / max(1, most // len(kinds)))] for one in rows]
    )


def _write_picture(name: str, draw: Callable, *what) -> None:
    file = io.BytesIO()
    draw(file, *what)
    tf.summary.image(name, tf.io.decode_png(file.getvalue())[None])


log = logging.getLogger(__name__)


class Profiler(keras.callbacks.Callback):
    """Traces steps; what goes wrong with that is said in the log, and training goes on.

    Attributes:
        traced: First and last step in the trace, from 1; empty without one.
    """

    def __init__(self, folder: Path, first: int, last: int) -> None:
        """
        Args:
            folder: Of the event files; the trace goes to `plugins/profile/` in it.
            first, last: Steps, from 1. A training that ends between them keeps what it has.
        """
        super().__init__()
        self._folder, self._first, self._last = folder, first, last
        self._step = contextlib.ExitStack()
        self._is_on = False
        self.traced: list[int] = []

    def on_train_batch_begin(self, batch: int, logs=None) -> None:
        if not self._first <= batch + 1 <= self._last:
            return
        if not self._is_on:
            self._start()
        if self._is_on:
            mark = tf.profiler.experimental.Trace("train", step_num=batch + 1, _r=1)
            self._step.enter_context(mark)
            self.traced = [*self.traced[:1], batch + 1]

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        if not self._is_on:
            return
        self._step.close()  # `logs` has numbers: the devices have done the step
        if batch + 1 == self._last:
            self._stop()

    def on_train_end(self, logs=None) -> None:
        self._step.close()
        if self._is_on:
            self._stop()
        elif not list(self._folder.glob("plugins/profile/*")):
            log.warning(
                f"--profile {self._first},{self._last} left no trace: no such step was run."
            )

    def _start(self) -> None:
        try:
            tf.profiler.experimental.start(str(self._folder))
            self._is_on = True
        except tf.errors.OpError as error:
            self._give_up(error)

    def _stop(self) -> None:
        self._is_on = False
        try:
            tf.profiler.experimental.stop()
        except tf.errors.OpError as error:
            self._give_up(error)

    def _give_up(self, error: tf.errors.OpError) -> None:
        self._last = 0
        self.traced = []
        log.warning(f"--profile does not work here: {str(error).splitlines()[0]}")


class EpochScores(keras.callbacks.Callback):
    """Reads what is monitored after each epoch, and ends a training that is not worth more.

    Args:
        monitor: `val_loss`, `val_auc` or `val_accuracy`.
        report: Told the score of each epoch, from 1; whether to stop.

    Attributes:
        validation: Of the training, once that is built.
        values: The scores so far; of `val_loss` the cross-entropy, which can be compared
            between trainings with different losses.
        stopped: Whether `report` ended the training.
    """

    validation: Validation

    def __init__(self, monitor: str, report: Callable[[int, float], bool]) -> None:
        super().__init__()
        self._monitor, self._report = monitor, report
        self.values: list[float] = []
        self.stopped = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._monitor == "val_loss":
            labels = self.validation.clips.labels
            value = log_loss(labels, self.validation.probability)
        else:
            value = logs[self._monitor]
        self.values.append(value)
        if self._report(len(self.values), value):
            self.stopped = self.model.stop_training = True
