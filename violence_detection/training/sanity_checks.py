"""What a trained classifier is looked at for: one answer for everything, a class that it misses,
and whether a linear classifier on pooled features does better."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification, intervals, threshold_selection
from violence_detection.metrics.intervals import standard_error
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.training.validation import CLEAR_STANDARD_ERRORS
from violence_detection.units import counted

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

_RESAMPLES = 1000


def check_classifier(
    clips: Mapping[str, FeatureDataset],
    answers: Mapping[str, np.ndarray],
    linear: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    threshold: float,
    recall_bar: float,
    operating_point: str | None = None,
    seed: int = 42,
) -> dict[str, Any]:
    """Warn of what makes a classifier useless, in the log and in what comes back.

    Args:
        clips: Of train, validation, and test where there is one.
        answers: Probabilities of the classifier on validation and test, float (N, K).
        linear: The same of a linear classifier; see `linear_answers`.
        classes: Names, the normal one first.
        threshold: Of violence.
        recall_bar: Share of a class's validation videos that must be found.
        operating_point: As for `operating.choose`; the linear classifier's threshold is put
            by the same one.
        seed: Of the resamples behind the comparison with the baseline.

    Returns:
        `warnings`, a line each, and `baseline`: accuracy and auc of the linear classifier on
        validation and test (None without one), and `compared`, how the classifier stands
        beside it.
    """
    found = []
    for split, probability in answers.items():
        decided = decide(probability, threshold)
        found += constant_prediction(split, clips[split].labels, decided, classes)
        if split == "validation":
            found += low_recalls(clips[split].labels, decided, classes, recall_bar)
    baseline: dict[str, Any] = {"validation": None, "test": None}
    validation = clips["validation"]
    its_threshold, _ = threshold_selection.choose_threshold(
        is_violent(validation.labels),
        violence_score(linear["validation"]),
        validation.groups,
        asked=operating_point,
    )
    for split, probability in linear.items():
        baseline[split] = _scores(clips[split].labels, probability, its_threshold)
    baseline["compared"], is_better = compare_with_baseline(
        validation,
        answers["validation"],
        linear["validation"],
        thresholds=(threshold, its_threshold),
        seed=seed,
    )
    if is_better:
        found.append(
            f"A linear classifier on pooled features does better on validation: "
            f"{_told(baseline['validation'])}. --head linear, more epochs or another "
            "--learning-rate may help."
        )
    for line in found:
        log.warning(line)
    return {"warnings": found, "baseline": baseline}


def constant_prediction(
    split: str, labels: np.ndarray, decided: np.ndarray, classes: Sequence[str]
) -> list[str]:
    """A line if everything gets one answer, and that is not right."""
    answers = np.unique(decided)
    if len(answers) != 1 or len(np.unique(labels)) == 1:
        return []
    return [f"The model answers {classes[answers[0]]!r} for every video of {split}."]


def low_recalls(
    labels: np.ndarray, decided: np.ndarray, classes: Sequence[str], bar: float
) -> list[str]:
    """A line for each class of which less than `bar` is found, or nothing is known."""
    lines = []
    for number, name in enumerate(classes):
        of_class = labels == number
        if not of_class.any():
            lines.append(
                f"There is no validation video of {name!r}: what is found of it is not known."
            )
            continue
        right = decided[of_class] == number
        if right.mean() < bar:
            lines.append(
                f"Of {name!r}, {right.mean():.0%} is found on validation ({right.sum()} of "
                f"{counted(len(right), 'video')}), under --recall-bar {bar:g}."
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
    """How a classifier stands beside the baseline on validation, and whether that is better.

    Clearly better is one whose accuracy is higher by more than two standard errors over
    recordings, or whose area under the curve is higher by a difference whose 95% interval
    over recordings lies above 0. Fewer than 5 recordings say nothing.

    Args:
        validation: N videos.
        probability: float (N, K).
        baseline: The same of the baseline.
        thresholds: Of either.
        seed: Of the resamples.
    """
    labels = validation.labels
    right, right_too = (
        decide(one, threshold) == labels
        for one, threshold in zip((probability, baseline), thresholds, strict=True)
    )
    recordings = np.unique(validation.groups.astype(str), return_inverse=True)[1]
    if recordings.max() + 1 < intervals.MIN_RECORDINGS:
        return "not compared: validation has too few recordings", False
    gain = right_too.astype(float) - right
    error = CLEAR_STANDARD_ERRORS * standard_error(gain, recordings)
    auc, auc_too = (
        intervals.weighted_auc(is_violent(labels), violence_score(one))
        for one in (probability, baseline)
    )
    interval = intervals.bootstrap_over_recordings(
        recordings,
        lambda counts: auc_too(counts) - auc(counts),
        resamples=_RESAMPLES,
        seed=seed,
    )
    low, high = interval or (0.0, 0.0)
    if gain.mean() > error or low > 0:
        return "the baseline is clearly better", True
    if gain.mean() < -error or high < 0:
        return "the model is clearly better", False
    return "no clear difference", False


def _scores(
    labels: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float | None]:
    decided = decide(probability, threshold)
    violence = classification.binary_metrics(
        is_violent(labels), violence_score(probability), threshold
    )
    return {"accuracy": float((decided == labels).mean()), "auc": violence["auc"]}


def _told(scores: Mapping[str, float | None]) -> str:
    auc = "none" if scores["auc"] is None else f"{scores['auc']:.3f}"
    return f"accuracy {scores['accuracy']:.1%}, AUC {auc}"
