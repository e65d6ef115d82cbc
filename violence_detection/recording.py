"""What is written down while a training goes on, as Keras callbacks."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from violence_detection import files

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
    """Records the history as scalars that TensorBoard draws."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs=None) -> None:
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        with self._writer.as_default(step=epoch + 1):
            for name, value in logs.items():
                if name != "epoch" and value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def on_train_end(self, logs=None) -> None:
        if self._writer:
            self._writer.close()
