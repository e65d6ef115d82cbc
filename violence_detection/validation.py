"""The validation videos, and how well a classifier does on them."""

import keras
import numpy as np

from violence_detection import dataset, metrics, model
from violence_detection.dataset import Clips
from violence_detection.errors import TrainingError


class Validation:
    """Measures a classifier after every epoch.

    Attributes:
        clips: The videos.
        classes: Names of the K classes, the normal one first.
        probability: Of each video as last measured, float64 (N, K).
        losses: The same of the loss, float32 (N,).
    """

    def __init__(self, clips: Clips, *, classes: list[str], loss: keras.losses.Loss) -> None:
        """
        Args:
            clips: N videos.
            classes: Names.
            loss: On logits, a value per example.
        """
        self.clips, self.classes, self._loss = clips, classes, loss
        self.probability = np.zeros((len(clips), len(classes)))
        self.losses = np.zeros(len(clips), np.float32)

    def measure(self, classifier: keras.Model) -> dict[str, float | None]:
        """val_loss, val_accuracy, val_auc (None where a class has no video), and of each class
        that has videos val_recall_<class>.

        Raises:
            TrainingError: If a prediction is not finite.
        """
        probability = model.probabilities(classifier, self.clips.features)
        if not np.isfinite(probability).all():
            raise TrainingError("Predictions must be finite. Received: NaN on validation")
        logits = np.log(np.clip(probability, 1e-12, 1))
        if len(self.classes) == 2:
            logits = logits[:, 1:] - logits[:, :1]
        labels = self.clips.labels
        goals = dataset.targets(labels, len(self.classes))
        self.losses = np.array(self._loss(goals, logits.astype(np.float32)))
        self.probability = probability
        correct = probability.argmax(1) == labels
        auc = metrics.binary_metrics(labels > 0, 1 - probability[:, 0], 0.5)["auc"]
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
