"""A trace of some steps of a training, for TensorBoard's profile plugin."""

import contextlib
import logging
from pathlib import Path

import keras
import tensorflow as tf

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
