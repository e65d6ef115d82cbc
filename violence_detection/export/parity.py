"""How far the answers of an exported model are from those at home, and what that costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from violence_detection.export.formats._format import Tolerance
from violence_detection.metrics import classification, paired_tests
from violence_detection.models.outputs.classes import decide, violence_score


def compare_predictions(
    home: np.ndarray, away: np.ndarray, *, violent: np.ndarray, threshold: float
) -> dict[str, Any]:
    """Two answers to the same N clips.

    Args:
        home, away: float (N, K), rows sum to 1; the normal class first.
        violent: bool (N,), the truth.
        threshold: On the probability of violence.

    Returns:
        `max_abs_difference` and `mean_abs_difference` of a probability, `equal_decisions`, a
        share, and the areas under the ROC curve `auc_before` and `auc_after`, None where one
        class is present only.
    """
    differences = np.abs(home - away)
    same = decide(home, threshold) == decide(away, threshold)
    return {
        "max_abs_difference": float(differences.max()),
        "mean_abs_difference": float(np.mean(differences.max(axis=1))),
        "equal_decisions": float(same.mean()),
        "auc_before": auc(violent, home),
        "auc_after": auc(violent, away),
    }


def auc(violent: np.ndarray, answers: np.ndarray) -> float | None:
    """Area under the ROC curve of answers (N, K); None where one class is present only."""
    score = np.clip(np.nan_to_num(violence_score(answers)), 0, 1)
    return classification.binary_metrics(violent, score, 0.5)["auc"]


def measure_cost(
    home: np.ndarray,
    away: np.ndarray,
    *,
    violent: np.ndarray,
    groups: Sequence[str],
    threshold: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """What other answers change in area under the ROC curve, with an interval over recordings.

    Returns:
        `auc_difference`, after - before, its `auc_ci`, None where it cannot be had, and
        `equal_decisions`, a share.
    """
    if not np.isfinite(away).all():
        return {"auc_difference": 0.0, "auc_ci": None, "equal_decisions": 0.0}
    same = decide(home, threshold) == decide(away, threshold)
    found = paired_tests.auc_difference(
        violent,
        violence_score(home),
        violence_score(away),
        groups,
        resamples=resamples,
        seed=seed,
    )
    return {
        "auc_difference": found["auc_difference"],
        "auc_ci": found["auc_ci"],
        "equal_decisions": float(same.mean()),
    }


def describe_excess(found: dict[str, Any], away: np.ndarray, tolerance: Tolerance) -> str:
    """What is past the tolerance, in words; nothing where nothing is."""
    if not np.isfinite(away).all():
        return "it answers NaN"
    if found["max_abs_difference"] > tolerance.difference:
        return (
            f"a probability differs by {found['max_abs_difference']:.2g}, more than "
            f"{tolerance.difference:g}"
        )
    if found["equal_decisions"] < tolerance.agreement:
        return (
            f"{found['equal_decisions']:.1%} of decisions are equal, fewer than "
            f"{tolerance.agreement:.0%}"
        )
    return ""
