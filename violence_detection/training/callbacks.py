"""Keras callbacks of a training: history file, TensorBoard, profiler, scores of a trial."""

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

from violence_detection.features.dataset import balanced_rows
from violence_detection.metrics import classification
from violence_detection.metrics.classification import log_loss
from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.reports import figures
from violence_detection.system import files
from violence_detection.training.learning_rate_schedules import Schedule
from violence_detection.training.training_state import HISTORY_COLUMNS, EpochResult
from violence_detection.training.validation import Validation

_SCHEDULE_POINTS = 500
_CURVE_THRESHOLDS = 101  # of a precision-recall curve
_IMAGES = 10  # images of a kind in a training; TensorBoard shows no more, either
_ATTENTION_CLIPS = 8  # clips in an image of the attention

log = logging.getLogger(__name__)


class HistoryFile(keras.callbacks.Callback):
    """Rewrites training_history.csv after each epoch."""

    def __init__(self, path: Path, history: list[EpochResult]) -> None:
        """
        Args:
            path: The file.
            history: A result for each epoch so far; the training appends to it.
        """
        super().__init__()
        self._path, self._history = path, history

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        rows = [row.columns() for row in self._history]
        more = [name for name in rows[-1] if name not in HISTORY_COLUMNS]
        files.write_csv(self._path, [*HISTORY_COLUMNS, *more], rows)


class TensorBoard(keras.callbacks.Callback):
    """Writes TensorBoard events: scalars, precision-recall curves, confusion, attention.

    Scalars and curves are written after each epoch; the images of confusion and attention at most
    every tenth epoch, and after the last. A resumed training adds a file; of an epoch that it
    repeats, TensorBoard shows the last events.
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
            folder: The folder of the event files.
            validation: Measured before the end of each epoch.
            schedule: The planned learning rate at a step.
            epochs, steps: Length of the training, if it is not stopped earlier.
        """
        super().__init__()
        self._folder, self._validation = folder, validation
        self._schedule, self._steps = schedule, steps
        self._image_epochs = max(_IMAGES, math.ceil(epochs / _IMAGES))
        self._attention_rows = balanced_rows(validation.clips.labels, _ATTENTION_CLIPS)
        self._epoch_without_images = 0  # the epoch written last, if its images are not written yet
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs=None) -> None:
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self._epoch_without_images = 0
        if epoch == 0:
            self._write_schedule()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        with self._writer.as_default(step=epoch + 1):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
            self._write_curves()
        self._epoch_without_images = epoch + 1
        if (epoch + 1) % self._image_epochs == 0:
            self._write_images()
        self._writer.flush()

    def on_train_end(self, logs=None) -> None:
        if self._epoch_without_images:
            self._write_images()
        if self._writer:
            self._writer.close()

    def _write_schedule(self) -> None:
        """Writes the planned learning rate, at the middles of steps, as the step sets it."""
        points = min(self._steps, _SCHEDULE_POINTS)
        steps = np.linspace(0, self._steps - 1, points).round().astype(int)
        with self._writer.as_default():
            for step in steps.tolist():
                rate = self._schedule(step + 0.5)
                tf.summary.scalar("schedule/learning_rate", rate, step=step + 1)

    def _write_curves(self) -> None:
        """Writes a precision-recall curve for each violent class, and for all of them together."""
        labels, probability = self._validation.clips.labels, self._validation.probability
        normal, *violent_classes = self._validation.classes
        curves = {
            name: (labels == number, probability[:, number])
            for number, name in enumerate(violent_classes, 1)
        }
        if len(violent_classes) > 1:
            curves[f"not {normal}"] = is_violent(labels), violence_score(probability)
        for name, (truth, scores) in curves.items():
            curve = pr_curve.pb(name, truth, np.clip(scores, 0, 1), _CURVE_THRESHOLDS)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString())

    def _write_images(self) -> None:
        """Writes the confusion matrix, and the attention over time in some validation clips."""
        classes, clips = self._validation.classes, self._validation.clips
        probability, rows = self._validation.probability, self._attention_rows
        predicted = probability.argmax(1)
        confusion = classification.class_metrics(clips.labels, predicted, classes).confusion
        names = [Path(clips.entries[row].path).stem for row in rows]
        scores = violence_score(probability)
        captions = [f"{scores[row]:.2f} {classes[clips.labels[row]]}" for row in rows]
        weights = attention_weights(self.model, clips.features[rows])
        with self._writer.as_default(step=self._epoch_without_images):
            _write_image("confusion", figures.draw_confusion, confusion, classes)
            for layer, layer_weights in weights.items():
                _write_image(layer, figures.draw_attention, layer_weights, names, captions)
        self._epoch_without_images = 0


def _write_image(name: str, draw: Callable, *arguments: Any) -> None:
    file = io.BytesIO()
    draw(file, *arguments)
    tf.summary.image(name, tf.io.decode_png(file.getvalue())[None])


class Profiler(keras.callbacks.Callback):
    """Traces steps for TensorBoard; a failure is logged and does not stop the training.

    Attributes:
        traced: First and last step in the trace, from 1; empty without a trace.
    """

    def __init__(self, folder: Path, first: int, last: int) -> None:
        """
        Args:
            folder: The folder of the event files; the trace goes to `plugins/profile/` in it.
            first, last: Steps to trace, from 1. A training that ends between them keeps the trace
                so far.
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
        self._step.close()  # `logs` holds numbers, so the devices have finished the step
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
    """Collects the monitored score of each epoch, and stops a training that is pruned.

    Args:
        monitor: `val_loss`, `val_auc` or `val_accuracy`.
        report: Gets the number of each epoch, from 1, and its score; returns True to stop.

    Attributes:
        validation: The validation of the trainer; to be set once the trainer is built.
        values: The scores so far. For `val_loss` they are the cross-entropy, which is comparable
            between trainings with different losses.
        stopped: True if `report` stopped the training.
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
