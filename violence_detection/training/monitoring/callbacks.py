"""Keras callbacks of a training: history file, profiler, scores of a trial."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from violence_detection.metrics.classification import log_loss
from violence_detection.system import files
from violence_detection.training.monitoring.validation import Validation
from violence_detection.training.saving.training_state import HISTORY_COLUMNS, EpochResult

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
