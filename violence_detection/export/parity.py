"""Differences between the predictions of an exported file and of its run, and their causes."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from violence_detection.export.formats._format import Tolerance
from violence_detection.metrics import classification, paired_tests
from violence_detection.models.outputs.classes import decide, violence_score
from violence_detection.units import counted

_CAUSES = {
    "windows": "videos are predicted in windows, as by `predict`, and evaluated as a whole",
    "frame_size": "frames are resized to the file's size",
    "frame_rate": "frames are taken at the file's rate",
    "weights": "weights are pruned or clustered",
    "precision": "the file computes otherwise",
}


@dataclass(frozen=True)
class Comparison:
    """Two predictions of the same clips.

    Attributes:
        max_abs_difference, mean_abs_difference: Differences of the probabilities.
        changed_decisions: Clips with another decision.
        equal_decisions: Fraction of the others.
        auc_before, auc_after: Areas under the ROC curve; None if only one class is present.
    """

    max_abs_difference: float
    mean_abs_difference: float
    changed_decisions: int
    equal_decisions: float
    auc_before: float | None
    auc_after: float | None


@dataclass(frozen=True)
class Cost:
    """The accuracy that int8, pruning and clustering cost.

    Attributes:
        auc_difference: After - before.
        auc_ci: Its 95% interval over recordings; None if there are too few.
        equal_decisions: Fraction of the clips with the run's decision.
    """

    auc_difference: float
    auc_ci: Sequence[float] | None
    equal_decisions: float


@dataclass(frozen=True)
class Cause:
    """The part of a difference that one step makes, with all else equal.

    Attributes:
        max_abs_difference: The largest difference of a probability.
        changed_decisions: Videos with another decision.
        auc: After the step.
    """

    max_abs_difference: float
    changed_decisions: int
    auc: float | None


@dataclass(frozen=True)
class AsTheyAre:
    """The predictions of the file for the validation videos, as a user of the file makes them,
    beside those that the run was evaluated by.

    Attributes:
        videos, violent_videos: Counts.
        auc_of_run, auc_of_file: Areas under the ROC curve; None if only one class is present.
        max_abs_difference: The largest difference of a probability.
        changed_decisions: Videos with another decision.
        changed_fraction: Their fraction.
        causes: By name; the steps from the run's prediction to the file's.
    """

    videos: int
    violent_videos: int
    auc_of_run: float | None
    auc_of_file: float | None
    max_abs_difference: float
    changed_decisions: int
    changed_fraction: float
    causes: Mapping[str, Cause]

    @property
    def are_few(self) -> bool:
        """True if a class has too few videos for a number that means something."""
        least = min(self.violent_videos, self.videos - self.violent_videos)
        return least < classification.MIN_VIDEOS

    @property
    def main_cause(self) -> str:
        """The name of the cause that changes most decisions, then most of a probability."""
        return max(
            self.causes,
            key=lambda name: (
                self.causes[name].changed_decisions,
                self.causes[name].max_abs_difference,
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """The values by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class VideoPredictions:
    """Predictions of N videos, float64 (N, K) each; of several windows the most violent one.

    Attributes:
        evaluated: By the run, of the features in the cache, as it was evaluated.
        own: By the run, of windows at the video's own size and rate; None without frames.
        resized: With frames of the file's size.
        resampled: With frames at the file's rate.
        given: By the run, of the frames or features that the file is given.
        source: By the model that was converted: `given` itself, unless weights are compressed.
        exported: By the file.
    """

    evaluated: np.ndarray
    own: np.ndarray | None
    resized: np.ndarray | None
    resampled: np.ndarray | None
    given: np.ndarray
    source: np.ndarray
    exported: np.ndarray


def compare_predictions(
    before: np.ndarray, after: np.ndarray, *, violent: np.ndarray, threshold: float
) -> Comparison:
    """Compares two predictions of the same N clips.

    Args:
        before, after: float (N, K), rows sum to 1; the normal class first.
        violent: bool (N,), the labels.
        threshold: On the probability of violence.
    """
    differences = np.abs(before - after)
    changed = _changed_decisions(before, after, threshold)
    return Comparison(
        max_abs_difference=float(differences.max()),
        mean_abs_difference=float(np.mean(differences.max(axis=1))),
        changed_decisions=changed,
        equal_decisions=1 - changed / len(before),
        auc_before=auc(violent, before),
        auc_after=auc(violent, after),
    )


def auc(violent: np.ndarray, predictions: np.ndarray) -> float | None:
    """Area under the ROC curve of predictions (N, K); None if only one class is present."""
    score = np.clip(np.nan_to_num(violence_score(predictions)), 0, 1)
    return classification.area_under_curve(violent, score)


def compare_as_they_are(
    predictions: VideoPredictions, *, violent: np.ndarray, threshold: float
) -> AsTheyAre:
    """Compares the file's predictions of videos as they are with the run's, cause by cause.

    Args:
        predictions: Predictions of N videos.
        violent: bool (N,), the labels.
        threshold: On the probability of violence.
    """

    def compare(before: np.ndarray, after: np.ndarray) -> Comparison:
        return compare_predictions(before, after, violent=violent, threshold=threshold)

    steps = {
        "windows": (predictions.evaluated, predictions.own),
        "frame_size": (predictions.own, predictions.resized),
        "frame_rate": (predictions.own, predictions.resampled),
        "weights": (predictions.given, predictions.source),
        "precision": (predictions.source, predictions.exported),
    }
    if predictions.source is predictions.given:  # no weights are compressed
        del steps["weights"]
    causes = {}
    for name, (before, after) in steps.items():
        if before is not None and after is not None:
            step = compare(before, after)
            causes[name] = Cause(step.max_abs_difference, step.changed_decisions, step.auc_after)
    total = compare(predictions.evaluated, predictions.exported)
    return AsTheyAre(
        videos=len(violent),
        violent_videos=int(violent.sum()),
        auc_of_run=total.auc_before,
        auc_of_file=total.auc_after,
        max_abs_difference=total.max_abs_difference,
        changed_decisions=total.changed_decisions,
        changed_fraction=total.changed_decisions / len(violent),
        causes=causes,
    )


def describe_changes(compared: AsTheyAre, limit: float, taken: str) -> str:
    """A warning if more decisions change than allowed, with what to do; empty if not.

    Args:
        compared: The comparison of the validation videos.
        limit: The largest fraction of changed decisions.
        taken: The frames that the file takes, in words, such as "640x360 at 25 a second".
    """
    if compared.changed_fraction <= limit:
        return ""
    name = compared.main_cause
    remedy = {
        "windows": "predict does so, too; train and evaluate on videos of about one length",
        "frame_size": "export at your camera's size and rate: --height --width --fps",
        "frame_rate": "export at your camera's size and rate: --height --width --fps",
        "weights": "prune less, or allow more values with --cluster",
        "precision": "--precision float32 is closer",
    }[name]
    before, after = (
        "none" if value is None else f"{value:.3f}"
        for value in (compared.auc_of_run, compared.auc_of_file)
    )
    aucs = "" if before == after else f", and its AUC is {after} instead of {before}"
    taken = f" ({taken})" if name in ("frame_size", "frame_rate") else ""
    return (
        f"On the validation videos as they are the file decides otherwise than the run for "
        f"{compared.changed_decisions} of {compared.videos} ({compared.changed_fraction:.1%})"
        f"{aucs}. Most of it: {_CAUSES[name]}{taken}; {remedy}"
    )


def describe_few(compared: AsTheyAre) -> str:
    """A warning if the videos are too few to say much; empty if not."""
    if not compared.are_few:
        return ""
    violent, normal = compared.violent_videos, compared.videos - compared.violent_videos
    if not violent or not normal:
        of_one = "violent" if violent else "normal"
        return (
            f"The file was checked on {counted(compared.videos, 'video')}, all {of_one}: that says "
            "nothing of its AUC, and little of its decisions"
        )
    return (
        f"The file was checked on few videos, {violent} violent and {normal} normal: AUC and "
        f"decisions of fewer than {classification.MIN_VIDEOS} of each say little"
    )


def measure_cost(
    reference: np.ndarray,
    exported: np.ndarray,
    *,
    violent: np.ndarray,
    groups: Sequence[str],
    threshold: float,
    resamples: int,
    seed: int,
) -> Cost:
    """The change of the area under the ROC curve, with an interval over recordings.

    Args:
        reference, exported: float (N, K), rows sum to 1; the normal class first.
        violent: bool (N,), the labels.
        groups: The recording of each clip.
        threshold: On the probability of violence.
        resamples, seed: Settings of the bootstrap.
    """
    if not np.isfinite(exported).all():
        return Cost(0.0, None, 0.0)
    difference = paired_tests.auc_difference(
        violent,
        violence_score(reference),
        violence_score(exported),
        groups,
        resamples=resamples,
        seed=seed,
    )
    changed = _changed_decisions(reference, exported, threshold)
    return Cost(difference.auc_difference, difference.auc_ci, 1 - changed / len(reference))


def _changed_decisions(before: np.ndarray, after: np.ndarray, threshold: float) -> int:
    return int((decide(before, threshold) != decide(after, threshold)).sum())


def describe_excess(compared: Comparison, exported: np.ndarray, tolerance: Tolerance) -> str:
    """A clause that names the first figure beyond its tolerance; empty if all are within.

    Args:
        compared: The file with the model that was converted, on equal frames.
        exported: Predictions (N, K) of the exported model.
        tolerance: The tolerance of the format and precision.
    """
    if not np.isfinite(exported).all():
        return "it predicts NaN"
    if compared.max_abs_difference > tolerance.difference:
        return (
            f"a probability differs by {compared.max_abs_difference:.2g}, more than "
            f"{tolerance.difference:g}"
        )
    if compared.equal_decisions < tolerance.agreement:
        return (
            f"{compared.equal_decisions:.1%} of decisions are equal, fewer than "
            f"{tolerance.agreement:.0%}"
        )
    return ""
