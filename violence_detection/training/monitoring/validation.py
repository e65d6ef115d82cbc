"""Validation after each epoch: scores of the classifier in training."""

from typing import TYPE_CHECKING

import numpy as np

from violence_detection.errors import TrainingError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.models.forward_pass import run_model
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.training.optimisation.objective import Objective
from violence_detection.training.saving.training_state import ValidationScores

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

    def __init__(self, clips: FeatureDataset, *, classes: list[str], objective: Objective) -> None:
        """
        Args:
            clips: N videos.
            classes: Names of the K classes, the normal class first.
            objective: The loss of the training, with its present state.
        """
        self.clips, self.classes, self._objective = clips, classes, objective
        self.probability = np.zeros((len(clips), len(classes)))
        self.losses = np.zeros(len(clips), np.float32)

    def measure(self, classifier: "keras.Model") -> ValidationScores:
        """Scores a classifier; also sets `probability` and `losses`.

        Raises:
            TrainingError: If a prediction is not finite.
        """
        outputs = run_model(classifier, self.clips.features)
        probability = self._objective.outputs.predictions(outputs)
        if not np.isfinite(probability).all():
            raise TrainingError("Predictions must be finite. Received: NaN on validation")
        labels = self.clips.labels
        if not self._objective.names:
            outputs = np.log(np.clip(probability, 1e-12, 1))
            if len(self.classes) == 2:
                outputs = outputs[:, 1:] - outputs[:, :1]
            outputs = outputs.astype(np.float32)
        targets = self._objective.outputs.targets(labels)
        self.losses, by_output = self._objective.validation_losses(targets, outputs)
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
            by_output=by_output,
        )
