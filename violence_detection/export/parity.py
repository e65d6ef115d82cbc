"""Differences between the predictions of an exported model and of the original, and their cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection.export.formats._format import Tolerance
from violence_detection.metrics import classification, paired_tests
from violence_detection.models.outputs.classes import decide, violence_score


def compare_predictions(
    reference: np.ndarray, exported: np.ndarray, *, violent: np.ndarray, threshold: float
) -> dict[str, Any]:
    """Compares two predictions of the same N clips.

    Args:
        reference, exported: float (N, K), rows sum to 1; the normal class first.
        violent: bool (N,), the labels.
        threshold: On the probability of violence.

    Returns:
        `max_abs_difference` and `mean_abs_difference` of a probability; `equal_decisions`, a
        fraction; the areas under the ROC curve `auc_before` and `auc_after`, None if only one
        class is present.
    """
    differences = np.abs(reference - exported)
    return {
        "max_abs_difference": float(differences.max()),
        "mean_abs_difference": float(np.mean(differences.max(axis=1))),
        "equal_decisions": _equal_decisions(reference, exported, threshold),
        "auc_before": auc(violent, reference),
        "auc_after": auc(violent, exported),
    }


def auc(violent: np.ndarray, predictions: np.ndarray) -> float | None:
    """Area under the ROC curve of predictions (N, K); None if only one class is present."""
    score = np.clip(np.nan_to_num(violence_score(predictions)), 0, 1)
    return classification.area_under_curve(violent, score)


def measure_cost(
    reference: np.ndarray,
    exported: np.ndarray,
    *,
    violent: np.ndarray,
    groups: Sequence[str],
    threshold: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The change of the area under the ROC curve, with an interval over recordings.

    Args:
        reference, exported, violent, threshold: See `compare_predictions`.
        groups: The recording of each clip.
        resamples, seed: Of the bootstrap.

    Returns:
        `auc_difference`, after - before; its `auc_ci`, None if there are too few recordings; and
        `equal_decisions`, a fraction.
    """
    if not np.isfinite(exported).all():
        return {"auc_difference": 0.0, "auc_ci": None, "equal_decisions": 0.0}
    difference = paired_tests.auc_difference(
        violent,
        violence_score(reference),
        violence_score(exported),
        groups,
        resamples=resamples,
        seed=seed,
    )
    return {
        "auc_difference": difference["auc_difference"],
        "auc_ci": difference["auc_ci"],
        "equal_decisions": _equal_decisions(reference, exported, threshold),
    }


def _equal_decisions(reference: np.ndarray, exported: np.ndarray, threshold: float) -> float:
    return float((decide(reference, threshold) == decide(exported, threshold)).mean())


def describe_excess(figures: dict[str, Any], exported: np.ndarray, tolerance: Tolerance) -> str:
    """A clause that names the first figure beyond its tolerance; empty if all are within.

    Args:
        figures: Of `compare_predictions`.
        exported: Predictions (N, K) of the exported model.
        tolerance: Of the format and precision.
    """
    if not np.isfinite(exported).all():
        return "it predicts NaN"
    if figures["max_abs_difference"] > tolerance.difference:
        return (
            f"a probability differs by {figures['max_abs_difference']:.2g}, more than "
            f"{tolerance.difference:g}"
        )
    if figures["equal_decisions"] < tolerance.agreement:
        return (
            f"{figures['equal_decisions']:.1%} of decisions are equal, fewer than "
            f"{tolerance.agreement:.0%}"
        )
    return ""
