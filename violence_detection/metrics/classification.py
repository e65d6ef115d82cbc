"""Rates of a detector: accuracy, recall, precision, area under the ROC curve, and others.

Names used in this package: `violent`, bool (N,), is the truth. `probability`, float (N,) in
[0, 1], is the predicted probability of violence (1 - that of the normal class). A video is called
violent if ``probability >= threshold``. Label 0 is the normal class, the first of `classes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from violence_detection.metrics.input_checks import (
    check_labels,
    check_probability,
    check_same_length,
    checked_scores,
)
from violence_detection.metrics.intervals import (
    MIN_RECORDINGS,
    accuracy_interval,
    auc_interval,
)
from violence_detection.units import counted

MIN_VIDEOS = 20  # videos of each class, to choose a threshold or a temperature on


@dataclass(frozen=True)
class Scores:
    """Accuracy and area under the ROC curve of predictions.

    Attributes:
        accuracy: In [0, 1]; 0.0 for no videos.
        auc: In [0, 1]; None if only one class is present.
        accuracy_ci: [low, high] at 95% over recordings; None if no recordings were given.
        auc_ci: The same of `auc`; None also if `auc` is.
    """

    accuracy: float
    auc: float | None
    accuracy_ci: Sequence[float] | None = None
    auc_ci: Sequence[float] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; intervals may be missing."""
        return cls(
            values["accuracy"], values["auc"], values.get("accuracy_ci"), values.get("auc_ci")
        )

    def to_json(self) -> dict[str, Any]:
        """The values by name, without the intervals if no recordings were given."""
        if self.accuracy_ci is None:
            return {"accuracy": self.accuracy, "auc": self.auc}
        return {
            "accuracy": self.accuracy,
            "accuracy_ci": self.accuracy_ci,
            "auc": self.auc,
            "auc_ci": self.auc_ci,
        }


@dataclass(frozen=True)
class BinaryMetrics:
    """Rates of a detector of violence at one threshold, and the areas over all thresholds.

    All are in [0, 1]; a rate whose denominator is 0 is 0.0.

    Attributes:
        accuracy: Fraction of videos whose side of the threshold is right.
        balanced_accuracy: Mean recall of the classes that are present.
        auc: Area under the ROC curve; None if only one class is present.
        average_precision: Area under the precision-recall curve; 0.0 if only one class is present.
        precision: Fraction of alarms that are right.
        recall: Fraction of violent videos with an alarm.
        f1: ``2 TP / (2 TP + FP + FN)``.
        false_alarm_rate: Fraction of normal videos with an alarm.
    """

    accuracy: float
    balanced_accuracy: float
    auc: float | None
    average_precision: float
    precision: float
    recall: float
    f1: float
    false_alarm_rate: float


@dataclass(frozen=True)
class ClassMetrics:
    """Accuracy, recall of each class, and the confusion matrix.

    Attributes:
        accuracy: Fraction of videos whose class was predicted.
        recall_per_class: By class; 0.0 for a class without videos.
        confusion: K lists of K counts, true classes in rows and predicted ones in columns.
    """

    accuracy: float
    recall_per_class: Mapping[str, float]
    confusion: Sequence[Sequence[int]]


def scores(
    correct: np.ndarray,
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    *,
    resamples: int = 2000,
    seed: int = 42,
) -> Scores:
    """Accuracy and area under the ROC curve, with their intervals if recordings are given.

    Args:
        correct: Whether each video's class was predicted, bool (N,).
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups: The recording of each video (N,); None for no intervals.
        resamples, seed: See `intervals.bootstrap_over_recordings`.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    correct = np.asarray(correct, dtype=bool)
    violent, probability = checked_scores(violent, probability)
    check_same_length(correct=correct, violent=violent)
    accuracy = fraction(correct.sum(), correct.size)
    auc = area_under_curve(violent, probability)
    if groups is None:
        return Scores(accuracy, auc)
    bootstrap = {"resamples": resamples, "seed": seed}
    return Scores(
        accuracy,
        auc,
        accuracy_ci=accuracy_interval(correct, groups, **bootstrap),
        auc_ci=auc_interval(violent, probability, groups, **bootstrap),
    )


def area_under_curve(violent: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve, in [0, 1]; None if only one class is present.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = checked_scores(violent, probability)
    if violent.all() or not violent.any():
        return None
    return float(roc_auc_score(violent, probability))


def binary_metrics(violent: np.ndarray, probability: np.ndarray, threshold: float) -> BinaryMetrics:
    """Rates of a detector of violence at one threshold, and the areas over all thresholds.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        threshold: In [0, 1].

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.

    Reference:
        Fawcett, An introduction to ROC analysis, 2006,
        https://doi.org/10.1016/j.patrec.2005.10.010
    """
    violent, probability = checked_scores(violent, probability)
    check_probability("threshold", threshold)
    alarm = probability >= threshold
    hits, false_alarms = int(np.sum(alarm & violent)), int(np.sum(alarm & ~violent))
    num_violent, num_normal = int(violent.sum()), int((~violent).sum())
    recall = fraction(hits, num_violent)
    specificity = fraction(num_normal - false_alarms, num_normal)
    has_both_classes = num_violent > 0 and num_normal > 0
    return BinaryMetrics(
        accuracy=fraction(hits + num_normal - false_alarms, violent.size),
        balanced_accuracy=(recall + specificity) / (2 if has_both_classes else 1),
        auc=area_under_curve(violent, probability),
        average_precision=(
            float(average_precision_score(violent, probability)) if has_both_classes else 0.0
        ),
        precision=fraction(hits, hits + false_alarms),
        recall=recall,
        f1=fraction(2 * hits, num_violent + hits + false_alarms),
        false_alarm_rate=fraction(false_alarms, num_normal),
    )


def class_metrics(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> ClassMetrics:
    """Accuracy, recall of each class, and the confusion matrix.

    Args:
        labels: int (N,), in [0, K).
        predicted: int (N,), in [0, K).
        classes: The K names, the normal class first.

    Raises:
        ConfigError: If the lengths differ, or a label is not in [0, K).
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    check_same_length(labels=labels, predicted=predicted)
    check_labels("labels", labels, len(classes))
    check_labels("predicted", predicted, len(classes))
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    if labels.size:
        counts = confusion_matrix(labels, predicted, labels=range(len(classes)))
    return ClassMetrics(
        accuracy=fraction(np.trace(counts), labels.size),
        recall_per_class={
            name: fraction(row[index], row.sum())
            for index, (name, row) in enumerate(zip(classes, counts, strict=True))
        },
        confusion=counts.tolist(),
    )


def majority_class(labels: np.ndarray, classes: int) -> int:
    """The class with most training videos, of equally large ones the first: the answer of the
    baseline that always gives the same one. Its area under the ROC curve is 0.5.

    Args:
        labels: int (N,), in [0, K), of the training videos.
        classes: K.
    """
    return int(np.bincount(labels, minlength=classes).argmax())


def too_few_reason(
    violent: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    among: str = "validation",
) -> str:
    """The reason why nothing can be chosen on these videos: too few of a class; else empty.

    Args:
        violent: bool (N,).
        groups: The recording of each video (N,).
        among: The name of the videos, in words.
    """
    groups = np.asarray(groups)
    check_same_length(violent=violent, groups=groups)
    for name, members in (("violent", violent), ("normal", ~violent)):
        videos, recordings = int(members.sum()), np.unique(groups[members]).size
        if videos < MIN_VIDEOS or recordings < MIN_RECORDINGS:
            available = f"{counted(videos, f'{name} video')} of {counted(recordings, 'recording')}"
            verb = "has" if among == "validation" else "have"
            return (
                f"{among} {verb} {available}; {MIN_VIDEOS} videos of {MIN_RECORDINGS} recordings "
                "are needed"
            )
    return ""


def fraction(part: float, whole: float) -> float:
    """``part / whole``; 0.0 if `whole` is 0."""
    return float(part / whole) if whole else 0.0


def log_loss(labels: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative logarithm of the probability of the true class.

    Args:
        labels: int (N,), in [0, K).
        probability: float (N, K), rows sum to 1.
    """
    likelihood = probability[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(likelihood, 1e-12, 1)).mean())
