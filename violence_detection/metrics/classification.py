"""What a detector's answers are worth: rates and their intervals.

Words: `violent` bool (N,) is the truth, `probability` float (N,) in [0, 1] is that of
violence (1 - that of the normal class), and a video is called violent where
``probability >= threshold``. Label 0 is the normal class, first in `classes`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from violence_detection.metrics.input_checks import (
    check_labels,
    check_probability,
    check_same_length,
    checked_scores,
)
from violence_detection.metrics.intervals import MIN_RECORDINGS
from violence_detection.units import counted

MIN_VIDEOS = 20  # of each class, to choose anything on


def binary_metrics(
    violent: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float | None]:
    """Rates of a yes-or-no detector at one threshold, and over all of them.

    ``balanced_accuracy`` is the mean recall of the classes that are present,
    ``false_alarm_rate`` the share of normal videos called violent, ``f1 = 2 TP / (2 TP
    + FP + FN)``. A rate with nothing in its denominator is 0.0.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        threshold: Decides "violent" at or above it, in [0, 1].

    Returns:
        accuracy, balanced_accuracy, auc, average_precision, precision, recall, f1,
        false_alarm_rate; all in [0, 1]. With one class present `auc` is None and
        `average_precision` 0.0.

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
    recall = _share(hits, num_violent)
    specificity = _share(num_normal - false_alarms, num_normal)
    both = num_violent > 0 and num_normal > 0
    return {
        "accuracy": _share(hits + num_normal - false_alarms, violent.size),
        "balanced_accuracy": (recall + specificity) / (2 if both else 1),
        "auc": float(roc_auc_score(violent, probability)) if both else None,
        "average_precision": (
            float(average_precision_score(violent, probability)) if both else 0.0
        ),
        "precision": _share(hits, hits + false_alarms),
        "recall": recall,
        "f1": _share(2 * hits, num_violent + hits + false_alarms),
        "false_alarm_rate": _share(false_alarms, num_normal),
    }


def class_metrics(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """How often each class is named rightly, and what it is mistaken for.

    Args:
        labels: int (N,), in [0, K).
        predicted: int (N,), in [0, K).
        classes: The K names, the normal class first.

    Returns:
        accuracy; baseline_accuracy, the share of the commonest class, which is what
        always giving that answer scores; recall_per_class {name: float}, 0.0 for a
        class without videos; confusion, K lists of K counts, rows true and columns
        predicted.

    Raises:
        ConfigError: If the lengths differ, or a label is not that of a class.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    check_same_length(labels=labels, predicted=predicted)
    check_labels("labels", labels, len(classes))
    check_labels("predicted", predicted, len(classes))
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    if labels.size:
        counts = confusion_matrix(labels, predicted, labels=range(len(classes)))
    return {
        "accuracy": _share(np.trace(counts), labels.size),
        "baseline_accuracy": _share(counts.sum(axis=1).max(), labels.size),
        "recall_per_class": {
            name: _share(row[index], row.sum())
            for index, (name, row) in enumerate(zip(classes, counts, strict=True))
        },
        "confusion": counts.tolist(),
    }


def too_few_reason(violent: np.ndarray, groups: Sequence[str] | np.ndarray) -> str:
    """Why nothing can be chosen on these videos, bool (N,), of these recordings (N,); else ""."""
    groups = np.asarray(groups)
    check_same_length(violent=violent, groups=groups)
    for name, members in (("violent", violent), ("normal", ~violent)):
        videos, recordings = int(members.sum()), np.unique(groups[members]).size
        if videos < MIN_VIDEOS or recordings < MIN_RECORDINGS:
            had = f"{counted(videos, f'{name} video')} of {counted(recordings, 'recording')}"
            return f"validation has {had}; a choice needs {MIN_VIDEOS} and {MIN_RECORDINGS}"
    return ""


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def log_loss(labels: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative logarithm of the probability of the true class."""
    likelihood = probability[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(likelihood, 1e-12, 1)).mean())
