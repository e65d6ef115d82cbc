"""Validation after each epoch: metrics of the classifier, and the choice of the epoch to keep."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.metrics.intervals import standard_error
from violence_detection.models.classifier import probabilities
from violence_detection.models.outputs.classes import Classes, is_violent, violence_score

if TYPE_CHECKING:
    import keras


class Validation:
    """Measures a classifier after every epoch.

    Attributes:
        clips: The videos.
        classes: Names of the K classes, the normal one first.
        probability: Of each video as last measured, float64 (N, K).
        losses: The same of the loss, float32 (N,).
    """

    def __init__(
        self, clips: FeatureDataset, *, classes: list[str], loss: "keras.losses.Loss"
    ) -> None:
        """
        Args:
            clips: N videos.
            classes: Names.
            loss: On logits, a value per example.
        """
        self.clips, self.classes, self._loss = clips, classes, loss
        self.probability = np.zeros((len(clips), len(classes)))
        self.losses = np.zeros(len(clips), np.float32)

    def measure(self, classifier: "keras.Model") -> dict[str, float | None]:
        """val_loss, val_accuracy, val_auc (None where a class has no video), and of each class
        that has videos val_recall_<class>.

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
        goals = Classes(len(self.classes)).targets(labels)
        self.losses = np.array(self._loss(goals, logits.astype(np.float32)))
        self.probability = probability
        correct = probability.argmax(1) == labels
        auc = classification.binary_metrics(is_violent(labels), violence_score(probability), 0.5)[
            "auc"
        ]
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


CLEAR_STANDARD_ERRORS = 2.0


def check_monitor(monitor: str, labels: Iterable[int]) -> None:
    """Whether validation videos with these labels can tell one epoch from another.

    Raises:
        ConfigError: If an area under the curve is asked for, and they are of one side only.
    """
    violent = set(is_violent(list(labels)).tolist())
    if monitor == "val_auc" and len(violent) == 1:
        sides = "violent" if True in violent else "normal"
        raise ConfigError(
            "`monitor` val_auc must have validation videos with violence and without. Received: "
            f"{sides} ones only"
        )


class EpochSelection:
    """Takes the epochs in order and says of each whether to keep it.

    The epoch with the lowest validation loss is mostly luck when a few recordings decide it. So
    a later epoch is kept as long as it is not clearly worse than the best one: by no more than
    two standard errors of the difference, over recordings. With much validation data the
    standard error is small, and this is the usual choice of the best epoch.
    docs/experiments.md has what it gave on real clips.

    Attributes:
        best_epoch: The epoch with the smallest mean loss so far; patience counts from it.
        kept_epoch: The epoch to keep so far. Both are 0 before the first.
    """

    def __init__(self, groups: np.ndarray, *, tolerant: bool) -> None:
        """
        Args:
            groups: The recording of each validation video, (N,).
            tolerant: Keep what is not clearly worse; else only what is better.
        """
        self._groups = np.unique(groups.astype(str), return_inverse=True)[1]
        self._tolerant = tolerant
        self._best: np.ndarray | None = None
        self.best_epoch = 0
        self.kept_epoch = 0

    def offer(self, epoch: int, losses: np.ndarray) -> bool:
        """Whether to keep this epoch.

        Args:
            epoch: From 1.
            losses: Of each validation video, (N,), or one of all of them, (1,); smaller is
                better.
        """
        losses = losses.astype(np.float64)  # as a state that was saved is read
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
