"""Results of cross-validation folds: their predictions, tables, and scores over all folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from violence_detection.datasets.config import BY_CAMERA, BY_RECORDING, BY_TIME, ONE_RECORDING
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation import baselines
from violence_detection.evaluation.predictions import prediction_rows
from violence_detection.experiments.cross_validation.out_of_fold import OutOfFoldRow
from violence_detection.experiments.cross_validation.pooled_scores import (
    PooledPredictions,
    mean_over_folds,
    value_of,
)
from violence_detection.metrics import intervals
from violence_detection.metrics.several_classes import ClassReport, class_report
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.reports.cross_validation.cross_validation_result import FoldRow
from violence_detection.reports.cross_validation.cross_validation_scores import (
    LINEAR,
    MODEL,
    FoldScores,
    PooledScores,
    PredictorMeans,
    ScoreDifference,
)
from violence_detection.units import counted

# The names in files, where they are others than in code.
_KEYS = {"predictions": "answers", "kept_epoch": "best_epoch"}


@dataclass(frozen=True)
class FoldResult:
    """Predictions for the held-out videos of one fold, by the model and the baselines.

    Attributes:
        repeat, fold: From 1.
        grouped: Whether all videos of a recording are in one fold.
        rows: Row numbers of the held-out videos, int64 (M,).
        epochs, kept_epoch: Epochs that were run, and the one that is kept.
        threshold: Probability from which on the model predicts violence; for a baseline it is 0.5.
        predictions: Probability of each class, float64 (M, K), by `model` and the names of the
            baselines.
        temperature: Divides the model's logits.
        effective: Devices, precision and engine that were used.
        left_out: Reasons why baselines are missing.
        training_videos: Number of videos that the model was trained on or its epoch chosen on; 0
            in files of older versions.
        videos_per_s: Speed of the training, where it is measured; a cross-validation leaves it at
            0.0, so that its files are the same in every start.
    """

    repeat: int
    fold: int
    grouped: bool
    rows: np.ndarray
    epochs: int
    kept_epoch: int
    threshold: float
    predictions: Mapping[str, np.ndarray]
    temperature: float
    effective: EffectiveSettings
    left_out: Sequence[str]
    training_videos: int = 0
    videos_per_s: float = 0.0

    def predicted(self, name: str) -> np.ndarray:
        """The class that a predictor gives each video, int64 (M,)."""
        return decide(self.predictions[name], self.threshold if name == MODEL else 0.5)

    def violence(self, name: str) -> np.ndarray:
        """The probability of violence by a predictor, float64 (M,) in [0, 1]."""
        return np.clip(violence_score(self.predictions[name]), 0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """The content of a file of `folds/`, without loss of a bit."""
        lists = {name: array.tolist() for name, array in self.predictions.items()}
        values = vars(self) | {
            "rows": self.rows.tolist(),
            "predictions": lists,
            "effective": self.effective.to_json(),
        }
        return {_KEYS.get(name, name): value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            TypeError, ValueError, KeyError, AttributeError: If the values are something else.
        """
        fields = dict(values)
        kept_epoch = fields.pop(_KEYS["kept_epoch"])
        predictions = {
            name: np.array(rows, np.float64)
            for name, rows in fields.pop(_KEYS["predictions"]).items()
        }
        rows = np.array(fields.pop("rows"), np.int64)
        if any(len(array) != len(rows) for array in predictions.values()):
            raise ValueError("a prediction for each video")
        effective = EffectiveSettings.from_json(fields.pop("effective"))
        return cls(
            **fields,
            rows=rows,
            kept_epoch=kept_epoch,
            predictions=predictions,
            effective=effective,
        )


class FoldResults:
    """Tables and figures of the folds of one protocol, grouped or random."""

    def __init__(
        self,
        results: Sequence[FoldResult],
        *,
        entries: Sequence[ManifestEntry],
        labels: np.ndarray,
        classes: Sequence[str],
        seed: int,
        note: str,
        by: str = BY_RECORDING,
    ) -> None:
        """
        Args:
            results: The finished folds; at least one.
            entries: All N videos.
            labels: The videos' classes, int64 (N,).
            classes: K names, the normal one first.
            seed: The seed of the first repeat and of the intervals.
            note: The protocol in words, for every output.
            by: What is held out, as `datasets.config` lists it.
        """
        self._by = by
        self._results, self._entries, self._labels = results, entries, labels
        self._classes, self._seed, self._note = classes, seed, note
        self._groups = np.array([entry.group for entry in entries], dtype=object)
        # A baseline may be missing from folds that ran while the video files were away.
        self._names = [
            name
            for name in results[0].predictions
            if all(name in result.predictions for result in results)
        ]

    # -- tables

    def fold_rows(self) -> list[FoldRow]:
        """The row of each fold in folds.csv."""
        violent = is_violent(self._labels)

        def flagged(result: FoldResult, among: np.ndarray) -> float | None:
            alarms = is_violent(result.predicted(MODEL))[among[result.rows]]
            return float(alarms.mean()) if len(alarms) else None

        return [
            FoldRow(
                repeat=result.repeat,
                fold=result.fold,
                grouped=result.grouped,
                videos=len(result.rows),
                training_videos=result.training_videos,
                recordings=len(set(self._groups[result.rows])),
                scores={name: self._scores(result, name) for name in self._names},
                recall=flagged(result, violent),
                false_positive_rate=flagged(result, ~violent),
                epochs=result.epochs,
                kept_epoch=result.kept_epoch,
                threshold=result.threshold,
                temperature=result.temperature,
                recording_names=sorted(set(self._groups[result.rows])),
                held_out=self._held_out(result),
                note=self._note,
            )
            for result in self._results
        ]

    def _held_out(self, result: FoldResult) -> str:
        """The cameras or the recording of a fold, or its first and last time; empty where
        recordings are drawn."""
        entries = [self._entries[row] for row in result.rows]
        if self._by == BY_CAMERA:
            return ", ".join(sorted({entry.camera for entry in entries}))
        if self._by == ONE_RECORDING:
            return entries[0].group
        if self._by == BY_TIME:
            times = sorted((entry.recorded_at for entry in entries), key=iso_times.instant)
            return f"{times[0]} to {times[-1]}"
        return ""

    def out_of_fold(self) -> list[OutOfFoldRow]:
        """The model's prediction for each video and repeat; rows of predictions.csv."""
        return [
            OutOfFoldRow(
                prediction,
                tuple(probabilities),
                repeat=result.repeat,
                fold=result.fold,
                grouped=result.grouped,
                seed=self._seed + result.repeat - 1,
                threshold=result.threshold,
                note=self._note,
            )
            for result in self._results
            for prediction, probabilities in zip(
                prediction_rows(
                    [self._entries[number] for number in result.rows],
                    violence_score(result.predictions[MODEL]),
                    result.predicted(MODEL),
                    self._classes,
                ),
                result.predictions[MODEL].tolist(),
                strict=True,
            )
        ]

    def _scores(self, result: FoldResult, name: str) -> FoldScores:
        labels = self._labels[result.rows]
        auc = intervals.weighted_auc(is_violent(labels), result.violence(name))
        return FoldScores(
            accuracy=float((result.predicted(name) == labels).mean()),
            auc=value_of(auc, len(labels)),
        )

    # -- scores over all folds

    def class_report(self) -> ClassReport | None:
        """Scores of each class in the first repeat, each fold at its own threshold; None for two
        classes."""
        if len(self._classes) == 2:
            return None
        results = [result for result in self._results if result.repeat == 1]
        rows = np.concatenate([result.rows for result in results])
        return class_report(
            self._labels[rows],
            np.concatenate([result.predicted(MODEL) for result in results]),
            np.concatenate([result.predictions[MODEL] for result in results]),
            self._groups[rows],
            self._classes,
        )

    def means(self) -> dict[str, PredictorMeans]:
        """Accuracy and AUC over folds, of the model and of each baseline."""
        means = {}
        for name in self._names:
            scores = [self._scores(result, name) for result in self._results]
            means[name] = PredictorMeans(
                mean_over_folds([score.accuracy for score in scores], self._test_to_train),
                mean_over_folds([score.auc for score in scores], self._test_to_train),
            )
        return means

    @property
    def _test_to_train(self) -> float:
        """Held-out videos over training videos, the mean over the folds."""
        ratios = [len(result.rows) / result.training_videos for result in self._results]
        return float(np.mean(ratios))

    def pooled(self) -> dict[str, PooledScores]:
        """Scores of the predictions of all folds together, of the model and of each baseline.

        Rates are at the threshold of each fold. The AUC compares predictions of different models,
        which may lower it a little.
        """
        groups = self._tested_groups
        return {name: self._pool(name).scores(groups, self._seed) for name in self._names}

    def over_linear(self) -> ScoreDifference | None:
        """The model's pooled scores minus those of the linear baseline; None without that."""
        if LINEAR not in self._names:
            return None
        return self._pool(MODEL).minus(self._pool(LINEAR), self._tested_groups, self._seed)

    def over(self, results: Self) -> ScoreDifference:
        """The model's pooled scores minus those on the same videos in other folds."""
        groups = self._tested_groups
        return self._pool(MODEL).minus(results._pool(MODEL), groups, self._seed)

    @property
    def _tested(self) -> np.ndarray:
        """The videos that are held out by a fold: by time, the first ones are not; int64 (M,)."""
        return np.unique(np.concatenate([result.rows for result in self._results]))

    @property
    def _tested_groups(self) -> np.ndarray:
        """The recording of each of these videos, str (M,)."""
        return self._groups[self._tested].astype(str)

    def _pool(self, name: str) -> PooledPredictions:
        """The predictions for the tested videos, which are numbered from 0."""
        tested = self._tested
        pooled = PooledPredictions(is_violent(self._labels[tested]))
        for repeat in sorted({result.repeat for result in self._results}):
            results = [result for result in self._results if result.repeat == repeat]
            rows = np.concatenate([result.rows for result in results])
            predicted = np.concatenate([result.predicted(name) for result in results])
            violence = np.concatenate([result.violence(name) for result in results])
            right = predicted == self._labels[rows]
            pooled.add(np.searchsorted(tested, rows), predicted, violence, right)
        return pooled

    def draws(self) -> list[np.ndarray]:
        """For each repeat the fold of each video, int64 (N,); -1 for a fold not yet finished."""
        draws = {}
        for result in self._results:
            folds = draws.setdefault(result.repeat, np.full(len(self._labels), -1))
            folds[result.rows] = result.fold
        return list(draws.values())

    # -- warnings

    def warnings(self, pooled: Mapping[str, PooledScores]) -> list[str]:
        """A line for each baseline of the video's source that comes close to the model, and for
        each class that is missing from folds."""
        intervals = {name: scores.accuracy.ci for name, scores in pooled.items()}
        lines = baselines.source_warnings(intervals, MODEL)
        # A recording that is held out alone, or a camera, mostly has one class.
        drawn = self._by in (BY_RECORDING, BY_TIME)
        for number, label in enumerate(self._classes if drawn else ()):
            lacking = sum(
                not (self._labels[result.rows] == number).any() for result in self._results
            )
            if lacking:
                lines.append(
                    f"No video of {label!r} is in {counted(lacking, 'fold')} of "
                    f"{len(self._results)}."
                )
        return lines
