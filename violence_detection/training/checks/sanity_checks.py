"""Sanity checks of a trained classifier: constant predictions, low recall, a better baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import intervals
from violence_detection.metrics.intervals import standard_error
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.linear_baseline import BaselinePredictions
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run_scores import BaselineScores
from violence_detection.reports import console
from violence_detection.training.monitoring.split_scoring import score_split
from violence_detection.training.saving.epoch_selection import CLEAR_STANDARD_ERRORS

_RESAMPLES = 1000


@dataclass(frozen=True)
class SanityChecks:
    """The result of all sanity checks.

    Attributes:
        warnings: One line each.
        baseline: Scores of the linear baseline, and its comparison with the classifier.
    """

    warnings: list[str]
    baseline: BaselineScores


def check_classifier(
    clips: Mapping[str, FeatureDataset],
    predicted: Mapping[str, np.ndarray],
    baseline: BaselinePredictions,
    *,
    classes: Sequence[str],
    threshold: float,
    baseline_threshold: float,
    recall_bar: float,
    seed: int = 42,
    thresholds: ClassThresholds | None = None,
) -> SanityChecks:
    """Runs all sanity checks.

    Args:
        clips: The videos of each split.
        predicted: Probabilities of the classifier on validation and test, float (N, K).
        baseline: Predictions of the linear baseline for the same splits.
        classes: Names, the normal class first.
        threshold: The threshold of violence.
        baseline_threshold: The same of the baseline, chosen for the same operating point.
        recall_bar: Fraction of a class's validation videos that must be detected.
        seed: Seed of the resamples in the comparison with the baseline.
        thresholds: `threshold`, with those of single classes; None if no class has one.
    """
    warnings = []
    for split, probability in predicted.items():
        decided = thresholds.decide(probability) if thresholds else decide(probability, threshold)
        warnings += constant_prediction(split, clips[split].labels, decided, classes)
        if split == "validation":
            warnings += low_recalls(clips[split].labels, decided, classes, recall_bar)
    validation, on_validation = clips["validation"], baseline.probability["validation"]
    scores = {
        split: score_split(
            clips[split], probability, threshold=baseline_threshold, seed=seed, with_loss=False
        )
        for split, probability in baseline.probability.items()
    }
    compared, is_better = compare_with_baseline(
        validation,
        predicted["validation"],
        on_validation,
        thresholds=(threshold, baseline_threshold),
        seed=seed,
    )
    if is_better:
        warnings.append(
            f"A linear classifier on pooled features does better on validation: "
            f"{console.format_scores(scores['validation'])}. --head linear, more epochs or "
            "another --learning-rate may help."
        )
    return SanityChecks(
        warnings,
        BaselineScores(scores["validation"], scores.get("test"), compared, baseline.videos),
    )


def constant_prediction(
    split: str, labels: np.ndarray, decided: np.ndarray, classes: Sequence[str]
) -> list[str]:
    """A warning if all videos of a split, of several classes, are assigned to one class."""
    assigned = np.unique(decided)
    if len(assigned) != 1 or len(np.unique(labels)) == 1:
        return []
    return [f"The model predicts {classes[assigned[0]]!r} for every video of {split}."]


def low_recalls(
    labels: np.ndarray, decided: np.ndarray, classes: Sequence[str], bar: float
) -> list[str]:
    """A warning for each class with a recall below `bar`, or without validation videos."""
    lines = []
    for number, name in enumerate(classes):
        of_class = labels == number
        if not of_class.any():
            lines.append(f"There is no validation video of {name!r}: its recall is unknown.")
            continue
        right = decided[of_class] == number
        if right.mean() < bar:
            lines.append(
                f"Of the validation videos of {name!r}, {right.sum()} of {len(right)} are "
                f"predicted right, fewer than --recall-bar {bar:g} of them."
            )
    return lines


def compare_with_baseline(
    validation: FeatureDataset,
    probability: np.ndarray,
    baseline: np.ndarray,
    *,
    thresholds: tuple[float, float],
    seed: int,
) -> tuple[str, bool]:
    """Compares a classifier with the baseline on validation.

    A model is clearly better if its accuracy is higher by more than two standard errors over
    recordings, or if the 95% interval over recordings of the difference in the area under the
    curve lies above 0. Fewer than 5 recordings are too few to compare.

    Args:
        validation: N videos.
        probability: Probabilities of the classifier, float (N, K).
        baseline: Probabilities of the baseline, float (N, K).
        thresholds: The threshold of the classifier and that of the baseline.
        seed: Seed of the resamples.

    Returns:
        The result as text, and True if the baseline is clearly better.
    """
    labels = validation.labels
    correct, baseline_correct = (
        decide(values, threshold) == labels
        for values, threshold in zip((probability, baseline), thresholds, strict=True)
    )
    recordings = np.unique(validation.groups.astype(str), return_inverse=True)[1]
    if recordings.max() + 1 < intervals.MIN_RECORDINGS:
        return "not compared: validation has too few recordings", False
    difference = baseline_correct.astype(float) - correct
    error = CLEAR_STANDARD_ERRORS * standard_error(difference, recordings)
    auc, baseline_auc = (
        intervals.weighted_auc(is_violent(labels), violence_score(values))
        for values in (probability, baseline)
    )
    interval = intervals.bootstrap_over_recordings(
        recordings,
        lambda counts: baseline_auc(counts) - auc(counts),
        resamples=_RESAMPLES,
        seed=seed,
    )
    low, high = interval or (0.0, 0.0)
    if difference.mean() > error or low > 0:
        return "the baseline is clearly better", True
    if difference.mean() < -error or high < 0:
        return "the model is clearly better", False
    return "no clear difference", False
