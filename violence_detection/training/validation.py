"""Validation after each epoch: metrics of the classifier, and the choice of the kept epoch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.metrics.intervals import standard_error
from violence_detection.models.classifier import build_output, probabilities
from violence_detection.models.outputs.classes import is_violent, violence_score

if TYPE_CHECKING:
    import keras


class Validation:
    """Scores a classifier on the validation videos after every epoch.

    Attributes:
        clips: The N videos.
        classes: Names of the K classes, the normal class first.
        probability: Probabilities of the last measurement, float64 (N, K).
        losses: Loss of each video in the last measurement, float32 (N,).
    """

    def __init__(
        self, clips: FeatureDataset, *, classes: list[str], loss: "keras.losses.Loss"
    ) -> None:
        """
        Args:
            clips: N videos.
            classes: Names of the K classes, the normal class first.
            loss: A loss on logits that gives a value per example.
        """
        self.clips, self.classes, self._loss = clips, classes, loss
        self.probability = np.zeros((len(clips), len(classes)))
        self.losses = np.zeros(len(clips), np.float32)

    def measure(self, classifier: "keras.Model") -> dict[str, float | None]:
        """Scores a classifier; also sets `probability` and `losses`.

        Returns:
            val_loss, val_accuracy, val_auc (None unless both sides have videos), and
            val_recall_<class> for each class that has videos.

        Raises:
            TrainingError: If a prediction is not finite.
        """
        probability = probabilities(classifier, self.clips.features)
        if not np.isfinite(probability).all():
            raise TrainingError("Predictions must be finite. Received: NaN on validation")
        logits = np.log(np.clip(probability, 1e-12, 1))
        if len(self.classes) == 2:
            logits = logits[:, 1:] - logits[:, :1]
        labels = self.clips.labels
        goals = build_output(len(self.classes)).targets(labels)
        self.losses = np.array(self._loss(goals, logits.astype(np.float32)))
        self.probability = probability
        correct = probability.argmax(1) == labels
        auc = classification.area_under_curve(is_violent(labels), violence_score(probability))
        return {
            "val_loss": float(self.losses.mean()),
            "val_accuracy": float(correct.mean()),
            "val_auc": auc,
            **{
                f"val_recall_{name}": float(correct[labels == number].mean())
                for number, name in enumerate(self.classes)
                if (labels == number).any()
            },
        }


def check_monitor(monitor: str, labels: Iterable[int]) -> None:
    """Checks that validation videos with these labels can compare epochs by `monitor`.

    Raises:
        ConfigError: If it is an area under the curve, and all videos are normal or all violent.
    """
    violent = set(is_violent(list(labels)).tolist())
    if monitor == "val_auc" and len(violent) == 1:
        sides = "violent" if True in violent else "normal"
        raise ConfigError(
            "`monitor` val_auc must have validation videos with violence and without. Received: "
            f"{sides} videos only"
        )


# Two standard errors of a mean difference are about its 95% interval. The standard error is over
# recordings, not videos: clips of one recording are right or wrong together.
CLEAR_STANDARD_ERRORS = 2.0


class EpochSelection:
    """Chooses the epoch to keep: the last that is not clearly worse than the best.

    Where a few recordings decide the validation loss, the epoch with the lowest loss is mostly
    luck: it is the epoch in which those recordings happened to fit. So a later epoch replaces the
    kept epoch unless it is clearly worse than the best: unless its mean loss is higher by more
    than two standard errors of the difference, taken video by video, over recordings. With many
    validation recordings the standard error is small, and the choice is the usual one, the best
    epoch. On real clips with 4 to 8 validation recordings the lowest loss gave an accuracy of
    .699, the last epoch .735 and this rule .739 (docs/experiments.md).

    Attributes:
        best_epoch: The epoch with the smallest mean loss so far; patience counts from it.
        kept_epoch: The epoch to keep so far. Before the first epoch, 0, as `best_epoch` is.
    """

    def __init__(self, groups: np.ndarray, *, tolerant: bool) -> None:
        """
        Args:
            groups: The recording of each validation video, (N,).
            tolerant: Keep an epoch that is not clearly worse; else only a better epoch.
        """
        self._groups = np.unique(groups.astype(str), return_inverse=True)[1]
        self._tolerant = tolerant
        self._best: np.ndarray | None = None
        self.best_epoch = 0
        self.kept_epoch = 0

    def offer(self, epoch: int, losses: np.ndarray) -> bool:
        """True if this epoch is to be kept; epochs are offered in order.

        Args:
            epoch: From 1.
            losses: The loss of each validation video, (N,), or one value for all of them, (1,);
                smaller is better.
        """
        # As they are read from a saved state: a resumed training must choose the same epoch.
        losses = losses.astype(np.float64)
        better = self._best is None or losses.mean() < self._best.mean()
        if better:
            self._best = losses
            self.best_epoch = epoch
        keep = better or (self._tolerant and not self._clearly_worse(losses))
        if keep:
            self.kept_epoch = epoch
        return keep

    def _clearly_worse(self, losses: np.ndarray) -> bool:
        difference = losses - self._best
        error = standard_error(difference, self._groups)
        return bool(difference.mean() > CLEAR_STANDARD_ERRORS * error)

    def state(self) -> dict[str, Any]:
        best = None if self._best is None else self._best.tolist()
        return {
            "best": best,
            "best_epoch": self.best_epoch,
            "kept_epoch": self.kept_epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._best = None if state["best"] is None else np.array(state["best"])
        self.best_epoch = state["best_epoch"]
        self.kept_epoch = state["kept_epoch"]
