"""Validation after each epoch: scores of the classifier in training."""

from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.models.classifier import build_output, probabilities
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.training.training_state import ValidationScores

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

    def measure(self, classifier: "keras.Model") -> ValidationScores:
        """Scores a classifier; also sets `probability` and `losses`.

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
        return ValidationScores(
            loss=float(self.losses.mean()),
            accuracy=float(correct.mean()),
            auc=auc,
            recalls={
                name: float(correct[labels == number].mean())
                for number, name in enumerate(self.classes)
                if (labels == number).any()
            },
        )
