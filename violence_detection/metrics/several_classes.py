"""Scores of each of several classes, and the confusions between them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from violence_detection.metrics.classification import class_metrics
from violence_detection.metrics.input_checks import check_same_length
from violence_detection.metrics.intervals import MIN_RECORDINGS

# Kinds of confusions, in the order of the reports.
FALSE_ALARM, MISS, BETWEEN = "normal_to_abnormal", "abnormal_to_normal", "between_abnormal"
KINDS = (FALSE_ALARM, MISS, BETWEEN)
_LISTED = 5  # confusions of each kind
_RANKED = 3  # best and hardest classes


@dataclass(frozen=True)
class ClassScore:
    """Scores of a class against all others.

    Attributes:
        name: The class.
        videos, recordings: How many have this class.
        precision: Fraction of the videos with this prediction that are right; 0.0 for none.
        recall: Fraction of its videos with this prediction; 0.0 for a class without videos.
        f1: Harmonic mean of the two; 0.0 where both are.
        auc: Area under the ROC curve of its probability, its videos against all others; None if
            either side has no videos.
    """

    name: str
    videos: int
    recordings: int
    precision: float
    recall: float
    f1: float
    auc: float | None

    @property
    def is_anecdote(self) -> bool:
        """True if its videos come from too few recordings to stand for others."""
        return 0 < self.recordings < MIN_RECORDINGS


@dataclass(frozen=True)
class Confusion:
    """Videos of a class that are predicted as another.

    Attributes:
        true, predicted: The two classes.
        count: Number of these videos.
        share: ``count`` over the videos of the true class.
        kind: One of `KINDS`.
    """

    true: str
    predicted: str
    count: int
    share: float
    kind: str


@dataclass(frozen=True)
class ClassReport:
    """Scores of each class, their means, and the most frequent confusions.

    Attributes:
        scores: One for each class, the normal class first.
        macro_f1: Mean F1 of the classes that have videos.
        weighted_f1: The same, each weighted by its videos.
        balanced_accuracy: Mean recall of the classes that have videos.
        best, hardest: Classes with the highest and the lowest F1, each the most extreme first.
        confusions: At most five of each kind, the most frequent first.
    """

    scores: Sequence[ClassScore]
    macro_f1: float
    weighted_f1: float
    balanced_accuracy: float
    best: Sequence[str]
    hardest: Sequence[str]
    confusions: Sequence[Confusion]

    def confusions_of(self, kind: str) -> list[Confusion]:
        return [confusion for confusion in self.confusions if confusion.kind == kind]

    @property
    def anecdotes(self) -> list[ClassScore]:
        """The classes whose videos come from fewer than five recordings."""
        return [score for score in self.scores if score.is_anecdote]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            **dict(values)
            | {
                "scores": [ClassScore(**row) for row in values["scores"]],
                "confusions": [Confusion(**row) for row in values["confusions"]],
            }
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def class_report(
    labels: np.ndarray,
    predicted: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    classes: Sequence[str],
) -> ClassReport:
    """Scores of each class and the confusions between them.

    Args:
        labels, predicted: int (N,), in [0, K).
        probability: float (N, K), rows sum to 1.
        groups: The recording of each video (N,).
        classes: The K names, the normal class first.

    Raises:
        ConfigError: If the lengths differ, or a label is not in [0, K).
    """
    labels, predicted, groups = map(np.asarray, (labels, predicted, groups))
    check_same_length(labels=labels, probability=probability[:, 0], groups=groups)
    counts = np.asarray(class_metrics(labels, predicted, classes).confusion)
    columns = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=0.0
    )
    scores = [
        ClassScore(
            name,
            videos=int(videos),
            recordings=len(set(groups[labels == number].tolist())),
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            auc=_auc(labels == number, probability[:, number]),
        )
        for number, (name, precision, recall, f1, videos) in enumerate(
            zip(classes, *columns, strict=True)
        )
    ]
    present = [score for score in scores if score.videos]
    f1s, videos = ([getattr(score, name) for score in present] for name in ("f1", "videos"))
    ranked = sorted(present, key=lambda score: score.f1)
    names = [score.name for score in ranked]
    listed = min(_RANKED, len(names) // 2)
    return ClassReport(
        scores,
        macro_f1=float(np.mean(f1s)) if present else 0.0,
        weighted_f1=float(np.average(f1s, weights=videos)) if present else 0.0,
        balanced_accuracy=float(np.mean([score.recall for score in present])) if present else 0.0,
        best=names[::-1][:listed],
        hardest=names[:listed],
        confusions=_confusions(counts, classes),
    )


def _auc(positive: np.ndarray, probability: np.ndarray) -> float | None:
    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive, probability))


def _confusions(counts: np.ndarray, classes: Sequence[str]) -> list[Confusion]:
    """The most frequent confusions of each kind; of equally frequent ones the larger share
    first."""
    wrong = [
        Confusion(
            classes[true],
            classes[predicted],
            count=int(counts[true, predicted]),
            share=float(counts[true, predicted] / counts[true].sum()),
            kind=FALSE_ALARM if true == 0 else MISS if predicted == 0 else BETWEEN,
        )
        for true, predicted in np.argwhere(counts)
        if true != predicted
    ]
    wrong.sort(key=lambda confusion: (-confusion.count, -confusion.share))
    return [
        confusion
        for kind in KINDS
        for confusion in [row for row in wrong if row.kind == kind][:_LISTED]
    ]
