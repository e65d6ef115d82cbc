"""Scores of the predictions under each condition, compared with the unchanged videos."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation import predictions
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.metrics import classification, intervals, paired_tests
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.outputs.classes import is_violent
from violence_detection.reports.robustness_result import ConditionScores, RobustnessScores

NOTE = (
    "Each condition corrupts the video itself, in a lossless copy (compress: in an encoded copy), "
    "which is then read and predicted as any video. Differences are to the unchanged videos, on "
    "the same videos, with intervals over recordings. The control "
    f"({CONTROL}) is a copy without corruption: its difference comes from the copy, not from a "
    "condition."
)
CONDITION_COLUMNS = "path label group condition probability predicted correct".split()
_INTERVALS = ("accuracy_ci", "auc_ci", "difference_ci", "auc_difference_ci")

VideoProbabilities = Mapping[str, np.ndarray]  # by path of the video: float64 (K,)
Probabilities = Mapping[str, VideoProbabilities]  # by name of the condition


def score_conditions(
    probabilities: Probabilities,
    entries: Sequence[ManifestEntry],
    *,
    conditions: Mapping[str, str],
    classes: Sequence[str],
    thresholds: ClassThresholds,
    resamples: int,
    seed: int,
) -> RobustnessScores:
    """Scores under each condition, and the differences to the unchanged videos.

    A video counts under a condition if it has a prediction under it and one unchanged.

    Args:
        probabilities: By condition, including `clean` and `re-encoded`.
        entries: The videos.
        conditions: By name of a condition, the text with every severity written out.
        classes: Names, the normal one first.
        thresholds: Scores from which on a video is violent.
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    scorer = _ConditionScorer(
        probabilities[CLEAN],
        entries,
        classes=classes,
        thresholds=thresholds,
        resamples=resamples,
        seed=seed,
    )
    rows = {
        name: scorer.row(name, conditions[name], given) for name, given in probabilities.items()
    }
    corrupted = [row for name, row in rows.items() if name not in (CLEAN, CONTROL)]
    scored = [row.name for row in corrupted if row.videos]
    areas = [row.auc for row in corrupted if row.auc is not None]
    mean = scorer.mean([probabilities[name] for name in scored])
    return RobustnessScores(
        clean=rows[CLEAN],
        control=rows[CONTROL],
        conditions=corrupted,
        mean_accuracy=mean.accuracy,
        mean_accuracy_ci=mean.interval,
        mean_videos=mean.videos,
        mean_auc=float(np.mean(areas)) if areas else None,
    )


class _Mean(NamedTuple):
    """Mean accuracy over conditions, its interval, and the number of videos."""

    accuracy: float
    interval: list[float] | None
    videos: int


class _ConditionScorer:
    """Scores predictions under a condition against those for the unchanged videos."""

    def __init__(
        self,
        clean: VideoProbabilities,
        entries: Sequence[ManifestEntry],
        *,
        classes: Sequence[str],
        thresholds: ClassThresholds,
        resamples: int,
        seed: int,
    ) -> None:
        self._clean, self._entries, self._classes = clean, entries, classes
        self._thresholds = thresholds
        self._resampling = {"resamples": resamples, "seed": seed}

    def row(self, name: str, condition: str, given: VideoProbabilities) -> ConditionScores:
        """Scores under a condition; 0 and None without any video."""
        entries = [
            entry for entry in self._entries if entry.path in self._clean and entry.path in given
        ]
        if not entries:
            return ConditionScores(name, 0, condition=condition)
        labels, groups = self._labels_and_groups(entries)
        before, after = (
            np.stack([by_video[entry.path] for entry in entries])
            for by_video in (self._clean, given)
        )
        correct_before, correct = (self._correct(labels, values) for values in (before, after))
        violent, score = is_violent(labels), self._thresholds.score(after)
        scores = classification.scores(correct, violent, score, groups, **self._resampling)
        difference = paired_tests.accuracy_difference(
            correct_before, correct, groups, **self._resampling
        )
        # Only intervals over recordings: a test that exchanges runs has no meaning here.
        areas = [
            intervals.weighted_auc(violent, values)
            for values in (self._thresholds.score(before), score)
        ]
        once = np.ones((1, len(entries)), int)
        return ConditionScores(
            name,
            len(entries),
            **vars(scores),
            accuracy_difference=difference.accuracy_difference,
            difference_ci=difference.ci,
            auc_difference=(
                0.0 if scores.auc is None else float((areas[1](once) - areas[0](once))[0])
            ),
            auc_difference_ci=intervals.bootstrap_over_recordings(
                groups, lambda counts: areas[1](counts) - areas[0](counts), **self._resampling
            ),
            condition=condition,
        )

    def mean(self, conditions: Sequence[VideoProbabilities]) -> _Mean:
        """Mean accuracy over conditions, of the videos that have a prediction under each."""
        entries = [
            entry
            for entry in self._entries
            if conditions and all(entry.path in by_video for by_video in (self._clean, *conditions))
        ]
        if not entries:
            return _Mean(0.0, None, 0)
        labels, groups = self._labels_and_groups(entries)
        correct = [
            self._correct(labels, np.stack([by_video[entry.path] for entry in entries]))
            for by_video in conditions
        ]
        fraction = np.mean(correct, axis=0)
        interval = intervals.accuracy_interval(fraction, groups, **self._resampling)
        return _Mean(float(fraction.mean()), interval, len(entries))

    def _labels_and_groups(self, entries: Sequence[ManifestEntry]) -> tuple[np.ndarray, list[str]]:
        labels = np.array([self._classes.index(entry.label) for entry in entries], np.int64)
        return labels, [entry.group for entry in entries]

    def _correct(self, labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
        return self._thresholds.decide(probability) == labels


def scores_table(rows: Sequence[ConditionScores]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows for a CSV file, with two columns for each interval; and the columns."""
    flat = []
    for row in rows:
        cells = dataclasses.asdict(row)
        for name in _INTERVALS:
            low, high = cells.pop(name) or (None, None)
            cells |= {
                name.replace("_ci", "_low"): low,
                name.replace("_ci", "_high"): high,
            }
        flat.append(cells)
    return flat, list(flat[0])


def condition_rows(
    probabilities: Probabilities,
    entries: Sequence[ManifestEntry],
    *,
    classes: Sequence[str],
    thresholds: ClassThresholds,
) -> Iterator[dict[str, Any]]:
    """A row for each prediction, sorted by video and then by condition."""
    for entry in entries:
        for name, given in probabilities.items():
            if entry.path not in given:
                continue
            probability = given[entry.path][None]
            (row,) = predictions.prediction_rows(
                [entry], thresholds.score(probability), thresholds.decide(probability), classes
            )
            yield {**row._asdict(), "condition": name}
