"""The TensorBoard events of a training: scalars, curves, images, and the settings."""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.pr_curve import summary as pr_curve

from violence_detection.features.dataset import balanced_rows
from violence_detection.metrics import classification
from violence_detection.models.attention_maps import attention_weights
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.reports.plots import figures
from violence_detection.training.monitoring.validation import Validation

_CURVE_THRESHOLDS = 101  # of a precision-recall curve
_IMAGES = 10  # images of a kind in a training; TensorBoard shows no more, either
_ATTENTION_CLIPS = 8  # clips in an image of the attention
_TRAIN, _VALIDATION = "train", "validation"
_DESCRIPTIONS = {
    "loss": "Mean loss of an epoch: of the training videos with dropout and augmentation, and of "
    "the validation videos after it. A validation loss that rises while the training loss falls "
    "is over-fitting.",
    "accuracy": "Fraction of the validation videos whose class has the highest probability.",
    "auc": "Area under the ROC curve of the validation videos.",
    "learning_rate": "The learning rate of the last step of each epoch.",
    "gradient_norm": "Mean norm of the gradient over the steps of an epoch, before clipping.",
    "videos_per_s": "Speed of an epoch without validation.",
}
_PREFIXES = {
    "recall": "Fraction of the validation videos of this class whose class has the highest "
    "probability.",
    "loss": "Mean loss of this output, not weighted.",
    "weight": "Mean weight of this output's loss over the steps of an epoch.",
}


class TensorBoard(keras.callbacks.Callback):
    """Writes TensorBoard events: scalars, precision-recall curves, confusion, attention, settings.

    Values of the training videos are in `train/`, those of the validation videos in `validation/`:
    TensorBoard draws values of one name in one chart, so that the two losses are seen together.
    Scalars and curves are written after each epoch; the images of confusion and attention at most
    every tenth epoch, and after the last. A resumed training adds files; of an epoch that it
    repeats, TensorBoard shows the last events.
    """

    def __init__(
        self,
        folder: Path,
        *,
        validation: Validation,
        epochs: int,
        settings: Mapping[str, Any],
    ) -> None:
        """
        Args:
            folder: The folder of the event files.
            validation: Measured before the end of each epoch.
            epochs: Length of the training, if it is not stopped earlier.
            settings: Settings of the training, for the text and the table of runs (HPARAMS).
        """
        super().__init__()
        self._folder, self._validation = folder, validation
        self._settings = settings
        self._image_epochs = max(_IMAGES, math.ceil(epochs / _IMAGES))
        self._attention_rows = balanced_rows(validation.clips.labels, _ATTENTION_CLIPS)
        self._epoch_without_images = 0  # the epoch written last, if its images are not written yet
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_train_begin(self, logs=None) -> None:
        self._writers = {
            part: tf.summary.create_file_writer(str(self._folder / part))
            for part in (_TRAIN, _VALIDATION)
        }

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self._epoch_without_images = 0
        if epoch == 0:
            self._write_settings()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        for name, value in logs.items():
            part = _VALIDATION if name.startswith("val_") else _TRAIN
            name = name.removeprefix("val_")
            description = _DESCRIPTIONS.get(name) or _PREFIXES[name.partition("_")[0]]
            with self._writers[part].as_default(step=epoch + 1):
                tf.summary.scalar(f"epoch/{name}", value, description=description)
        with self._writers[_VALIDATION].as_default(step=epoch + 1):
            self._write_curves()
        self._epoch_without_images = epoch + 1
        if (epoch + 1) % self._image_epochs == 0:
            self._write_images()
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None) -> None:
        if self._epoch_without_images:
            self._write_images()
        for writer in self._writers.values():
            writer.close()

    def _write_settings(self) -> None:
        """Writes the settings as a text, and as a row of the table of runs."""
        given = {name: value for name, value in self._settings.items() if value is not None}
        rows = [f"| {name} | `{value}` |" for name, value in given.items()]
        # The table of runs looks for the values in the folders below that of its own events.
        with tf.summary.create_file_writer(str(self._folder)).as_default(step=0) as writer:
            tf.summary.text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))
            hparams.hparams(given)
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in given],
                metrics=[
                    hparams.Metric(f"epoch/{name}", _VALIDATION, f"validation {text}")
                    for name, text in (("loss", "loss"), ("accuracy", "accuracy"), ("auc", "AUC"))
                ],
            )
            writer.close()

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
        with self._writers[_VALIDATION].as_default(step=self._epoch_without_images):
            _write_image("confusion", figures.draw_confusion, confusion, classes)
            for layer, layer_weights in weights.items():
                _write_image(layer, figures.draw_attention, layer_weights, names, captions)
        self._epoch_without_images = 0


def _write_image(name: str, draw: Callable, *arguments: Any) -> None:
    """Writes a figure, with the name `images/<name>`."""
    file = io.BytesIO()
    draw(file, *arguments)
    image = tf.io.decode_png(file.getvalue())[None]
    tf.summary.image(f"images/{name}", image, description="Validation videos.")
