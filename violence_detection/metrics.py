"""What a detector's answers are worth: rates and their intervals.

Words: `violent` bool (N,) is the truth, `probability` float (N,) in [0, 1] is that of
violence (1 - that of the normal class), and a video is called violent where
``probability >= threshold``. Label 0 is the normal class, first in `classes`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from violence_detection.errors import ConfigError
from violence_detection.units import counted

MIN_VIDEOS = 20  # of each class, to choose anything on
MIN_RECORDINGS = 5
_BLOCK_CELLS = 1 << 21  # resamples x videos held at once
_NOISE = 1e-6  # of float32 arithmetic


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
    violent, probability = checked(violent, probability)
    _check_probability("threshold", threshold)
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
    _check_same_length(labels=labels, predicted=predicted)
    _check_labels("labels", labels, len(classes))
    _check_labels("predicted", predicted, len(classes))
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


def too_few_to_choose(violent: np.ndarray, groups: Sequence[str] | np.ndarray) -> str:
    """Why nothing can be chosen on these videos, bool (N,), of these recordings (N,); else ""."""
    groups = np.asarray(groups)
    _check_same_length(violent=violent, groups=groups)
    for name, members in (("violent", violent), ("normal", ~violent)):
        videos, recordings = int(members.sum()), np.unique(groups[members]).size
        if videos < MIN_VIDEOS or recordings < MIN_RECORDINGS:
            had = f"{counted(videos, f'{name} video')} of {counted(recordings, 'recording')}"
            return f"validation has {had}; a choice needs {MIN_VIDEOS} and {MIN_RECORDINGS}"
    return ""


def wilson_interval(correct: int, total: int, level: float = 0.95) -> list[float]:
    """The interval of a share, as if every video were independent of the others.

    ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``, p = correct/n.
    Clips of one recording are not independent: see `accuracy_interval`.

    Returns:
        [low, high], in [0, 1]; [0.0, 0.0] where `total` is 0.

    Raises:
        ConfigError: If `correct` is not in [0, total] or `level` not in (0, 1).

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference,
        1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    _check_level(level)
    if not 0 <= correct <= total:
        raise ConfigError(f"`correct` must be in [0, total={total}]. Received: correct={correct}")
    if total == 0:
        return [0.0, 0.0]
    test = binomtest(int(correct), int(total))
    interval = test.proportion_ci(confidence_level=level, method="wilson")
    return [float(interval.low), float(interval.high)]


def bootstrap_over_recordings(
    groups: Sequence[str] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> list[float] | None:
    """The interval of any statistic, when whole recordings are drawn with replacement.

    Each resample draws as many recordings as there are, so a video counts as often as
    its recording was drawn. With one recording the interval has no width, which says
    that nothing is known about other recordings and not that the statistic is sure.

    Args:
        groups: The recording of each video (N,).
        statistic: Takes int counts (R, N), how often each video is in each of R
            resamples; returns float (R,), NaN where a resample does not define it.
        resamples: Resamples drawn, >= 1.
        seed: The same seed gives the same interval.
        level: Confidence, in (0, 1).

    Returns:
        [low, high], the (1 -+ level)/2 quantiles of the resamples that are not NaN;
        None if all are, or if there are no videos.

    Raises:
        ConfigError: If `resamples` is below 1 or `level` not in (0, 1).

    Reference:
        Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8.
    """
    _check_level(level)
    if resamples < 1:
        raise ConfigError(f"`resamples` must be >= 1. Received: resamples={resamples}")
    recordings, recording = np.unique(np.asarray(groups), return_inverse=True)
    if recordings.size == 0:
        return None
    rng = np.random.default_rng(seed)
    share = np.full(recordings.size, 1.0 / recordings.size)
    block = max(1, _BLOCK_CELLS // recording.size)
    values = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.multinomial(recordings.size, share, size=size)
        values.append(statistic(drawn[:, recording]))
    values = np.concatenate(values)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def accuracy_interval(
    correct: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> list[float]:
    """The interval of accuracy, recordings drawn with replacement.

    Args:
        correct: bool (N,).
        groups, resamples, seed, level: As in `bootstrap_over_recordings`.

    Returns:
        [low, high], in [0, 1]; [0.0, 0.0] for no videos.

    Raises:
        ConfigError: If the lengths differ, or a setting is out of range.
    """
    right, groups = np.asarray(correct, dtype=float), np.asarray(groups)
    _check_same_length(correct=right, groups=groups)
    interval = bootstrap_over_recordings(
        groups,
        lambda counts: counts @ right / counts.sum(axis=1),
        resamples=resamples,
        seed=seed,
        level=level,
    )
    return interval or [0.0, 0.0]


def auc_interval(
    violent: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> list[float] | None:
    """The interval of the area under the ROC curve, recordings drawn with replacement.

    Resamples with one class are dropped.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups, resamples, seed, level: As in `bootstrap_over_recordings`.

    Returns:
        [low, high], in [0, 1]; None where only one class is present.

    Raises:
        ConfigError: If the lengths differ, or a value is out of range.
    """
    violent, probability = checked(violent, probability)
    groups = np.asarray(groups)
    _check_same_length(violent=violent, groups=groups)
    return bootstrap_over_recordings(
        groups,
        weighted_auc(violent, probability),
        resamples=resamples,
        seed=seed,
        level=level,
    )


def weighted_auc(
    violent: np.ndarray, probability: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """A function of counts (R, N) that gives AUC (R,), NaN where a class is missing.

    Mann-Whitney: the share of (violent, normal) pairs in which the violent video has
    the higher probability, ties counting half. Sorting is done once, here.
    """
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1.0))  # probabilities are >= 0

    def auc(counts: np.ndarray) -> np.ndarray:
        counts = counts[:, order].astype(float)
        positive = np.add.reduceat(counts * violent[order], starts, axis=1)
        negative = np.add.reduceat(counts * ~violent[order], starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        wins = np.sum(positive * below, axis=1)
        return np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)

    return auc


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def checked(violent: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`violent` as bool (N,) and `probability` as float64 (N,), once they are fit."""
    violent = np.asarray(violent, dtype=bool)
    probability = np.asarray(probability, dtype=np.float64)
    _check_same_length(violent=violent, probability=probability)
    # A float32 softmax sums to 1 only nearly; NaN is outside too.
    inside = (probability >= -_NOISE) & (probability <= 1.0 + _NOISE)
    if not inside.all():
        _check_probability("probability", probability[~inside][0])
    return violent, np.clip(probability, 0.0, 1.0)


def _check_probability(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"`{name}` must be in [0, 1]. Received: {name}={value}")


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"`level` must be in (0, 1). Received: level={level}")


def _check_same_length(**arrays: np.ndarray) -> None:
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or len(min(shapes)) != 1:
        names = " and ".join(f"`{name}`" for name in arrays)
        came = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ConfigError(f"{names} must have one length (N,). Received: {came}")


def _check_labels(name: str, labels: np.ndarray, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ConfigError(
            f"`{name}` must be in [0, {num_classes}), one for each class. Received: {wrong[0]}"
        )
