"""How good a trial is after each epoch, and whether it goes on."""

from collections.abc import Callable

import keras

from violence_detection.lesson import log_loss
from violence_detection.validation import Validation


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
