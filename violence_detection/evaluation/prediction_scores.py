"""Scores of a run's predictions: rates at the threshold, curves, calibration, and intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection.metrics import (
    calibration,
    classification,
    delong,
    intervals,
    several_classes,
)
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.output_set import OutputPredictions
from violence_detection.models.outputs.classes import is_violent, violence_score


def score_predictions(
    labels: np.ndarray,
    probability: np.ndarray,
    uncalibrated: np.ndarray,
    predicted: np.ndarray,
    *,
    groups: np.ndarray,
    thresholds: ClassThresholds,
    classes: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Scores of the predictions of N videos, by the names of the fields of `EvaluationResult`.

    Args:
        labels: int (N,), numbers of classes.
        probability: float (N, K), calibrated.
        uncalibrated: float (N, K), the same without the run's temperature.
        predicted: int (N,), the classes that are predicted at the threshold.
        groups: (N,), recordings; intervals are over these.
        thresholds: Scores from which on a video counts as violent.
        classes: The K names, the normal class first.
        resamples: Draws of the bootstrap.
        seed: Seed of the draws.
    """
    violent, score = is_violent(labels), thresholds.score(probability)
    threshold = thresholds.threshold
    correct = predicted == labels
    by_class = classification.class_metrics(labels, predicted, classes)
    rates = threshold_selection.achieved_rates(
        violent, score, groups, threshold, resamples=resamples, seed=seed
    )[1]
    rates["false_alarm_rate"] = rates.pop("false_positive_rate")
    return {
        **vars(classification.binary_metrics(violent, score, threshold)),
        **vars(by_class),
        "class_report": (
            several_classes.class_report(labels, predicted, probability, groups, classes)
            if len(classes) > 2
            else None
        ),
        "undefined": undefined_rates(by_class.confusion, classes),
        "rates_ci": rates,
        "accuracy_ci": intervals.accuracy_interval(correct, groups, resamples=resamples, seed=seed),
        "accuracy_ci_wilson": intervals.wilson_interval(int(correct.sum()), len(correct)),
        "auc_ci": intervals.auc_interval(violent, score, groups, resamples=resamples, seed=seed),
        "auc_ci_delong": delong.interval(violent, score),
        "calibration_error": calibration.expected_calibration_error(violent, score),
        "calibration_error_as_trained": calibration.expected_calibration_error(
            violent, violence_score(uncalibrated)
        ),
        "brier_score": calibration.brier_score(violent, score),
    }


def undefined_rates(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    """Names of the rates that are 0.0 only because their denominator is 0.

    Args:
        confusion: K lists of K counts; rows are actual classes, columns predicted ones.
        classes: The K names, the normal class first.

    Returns:
        Names out of recall, precision, f1, average_precision and false_alarm_rate, and
        `recall_per_class.<name>` for a class without videos.
    """
    totals = [sum(row) for row in confusion]
    violent, normal = sum(totals[1:]), totals[0]
    empty = {
        "recall": not violent,
        "precision": not sum(sum(row[1:]) for row in confusion),
        "f1": not violent,
        "average_precision": not (violent and normal),
        "false_alarm_rate": not normal,
    }
    empty |= {
        f"recall_per_class.{name}": not total for name, total in zip(classes, totals, strict=True)
    }
    return [name for name, is_empty in empty.items() if is_empty]


def output_auc(output_predictions: OutputPredictions, labels: np.ndarray) -> dict[str, float]:
    """The area under the ROC curve of each output's own score, by its name, and that of
    `anomaly_score`; empty where `classes` is the only output, or one side has no videos.

    Args:
        output_predictions: On N videos.
        labels: int (N,).
    """
    scores = dict(output_predictions.anomaly_scores)
    if output_predictions.class_probability is not None:
        scores = {"classes": violence_score(output_predictions.class_probability), **scores}
    if len(output_predictions.anomaly_scores) > 1:
        scores["anomaly_score"] = output_predictions.anomaly_score
    violent = is_violent(labels)
    if violent.all() or not violent.any():
        return {}
    return {name: classification.area_under_curve(violent, score) for name, score in scores.items()}
