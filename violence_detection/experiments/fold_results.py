"""Results of cross-validation folds: scores of each, their mean with an interval, pooled scores."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import stats

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.evaluation import baselines
from violence_detection.evaluation.predictions import prediction_rows
from violence_detection.metrics import calibration, intervals
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.units import counted

MODEL = "model"
_LEVEL = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class FoldResult:
    """Predictions for the held-out videos of one fold, by the model and the baselines.

    Attributes:
        repeat, fold: From 1.
        grouped: Whether all videos of a recording are in one fold.
        rows: Row numbers of the held-out videos, int64 (M,).
        epochs, best_epoch: Epochs that were run, and the one that is kept.
        threshold: Of the model; a baseline has 0.5.
        predictions: Probability of each class, float64 (M, K), by `model` and the names of the
            baselines.
        temperature: Divides the model's logits.
        effective: Devices, precision and engine that were used.
        left_out: Reasons why baselines are missing.
    """

    repeat: int
    fold: int
    grouped: bool
    rows: np.ndarray
    epochs: int
    best_epoch: int
    threshold: float
    predictions: Mapping[str, np.ndarray]
    temperature: float
    effective: Mapping[str, Any]
    left_out: Sequence[str]

    def predicted(self, name: str) -> np.ndarray:
        """The class that a predictor gives each video, int64 (M,)."""
        return decide(self.predictions[name], self.threshold if name == MODEL else 0.5)

    def violence(self, name: str) -> np.ndarray:
        """The probability of violence by a predictor, float64 (M,) in [0, 1]."""
        return np.clip(violence_score(self.predictions[name]), 0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, without loss of a bit."""
        lists = {name: array.tolist() for name, array in self.predictions.items()}
        values = vars(self) | {"rows": self.rows.tolist(), "predictions": lists}
        # In files the predictions are called answers.
        return {"answers" if name == "predictions" else name: values[name] for name in values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The result that `as_dict` wrote.

        Raises:
            TypeError, ValueError, KeyError, AttributeError: If the values are something else.
        """
        fields = dict(values)
        predictions = {
            name: np.array(rows, np.float64) for name, rows in fields.pop("answers").items()
        }
        rows = np.array(fields.pop("rows"), np.int64)
        if any(len(array) != len(rows) for array in predictions.values()):
            raise ValueError("a prediction for each video")
        return cls(**fields, rows=rows, predictions=predictions)


class FoldResults:
    """Tables and figures of the folds of one protocol, grouped or random."""

    def __init__(
        self,
        results: Sequence[FoldResult],
        *,
        entries: Sequence[ManifestEntry],
        labels: np.ndarray,
        classes: Sequence[str],
        folds: int,
        note: str,
    ) -> None:
        """
        Args:
            results: Of the folds that are finished; at least one.
            entries: All N videos.
            labels: Of the videos, int64 (N,).
            classes: K names, the normal one first.
            folds: Of a repeat.
            note: The protocol in words, for every output.
        """
        self._results, self._entries, self._labels = results, entries, labels
        self._classes, self._folds, self._note = classes, folds, note
        self._groups = np.array([entry.group for entry in entries], dtype=object)
        # A baseline may be missing from folds that ran while the video files were away.
        self._names = [
            name
            for name in results[0].predictions
            if all(name in result.predictions for result in results)
        ]

    # -- tables

    def fold_rows(self) -> list[dict[str, Any]]:
        """A row a fold: its size, scores, epochs and threshold, and each baseline's scores."""
        rows = []
        for result in self._results:
            row = {
                "repeat": result.repeat,
                "fold": result.fold,
                "grouped": result.grouped,
                "videos": len(result.rows),
                "recordings": len(set(self._groups[result.rows])),
                **self._scores(result, MODEL),
                "epochs": result.epochs,
                "best_epoch": result.best_epoch,
                "threshold": result.threshold,
                "temperature": result.temperature,
            }
            for name in self._names[1:]:
                scores = self._scores(result, name)
                row |= {f"{name}_{metric}": value for metric, value in scores.items()}
            rows.append(row | {"note": self._note})
        return rows

    def prediction_rows(self) -> list[dict[str, Any]]:
        """A row for each video and repeat: the prediction of the model not trained on it."""
        return [
            {
                "repeat": result.repeat,
                "fold": result.fold,
                "grouped": result.grouped,
                **row._asdict(),
                "probability": round(row.probability, 6),
                "note": self._note,
            }
            for result in self._results
            for row in prediction_rows(
                [self._entries[number] for number in result.rows],
                violence_score(result.predictions[MODEL]),
                result.predicted(MODEL),
                self._classes,
            )
        ]

    def _scores(self, result: FoldResult, name: str) -> dict[str, float | None]:
        """Accuracy and AUC of a predictor on one fold; no AUC (None) for one class only."""
        labels = self._labels[result.rows]
        auc = intervals.weighted_auc(is_violent(labels), result.violence(name))
        return {
            "accuracy": float((result.predicted(name) == labels).mean()),
            "auc": _value_of(auc, len(labels)),
        }

    # -- figures

    def summary(self) -> dict[str, Any]:
        """`accuracy` and `auc` over folds, and those of the baselines."""
        by_name = {}
        for name in self._names:
            scores = [self._scores(result, name) for result in self._results]
            by_name[name] = {
                metric: over_folds([score[metric] for score in scores], self._folds)
                for metric in ("accuracy", "auc")
            }
        return by_name[MODEL] | {
            "baselines": {
                name: {
                    "accuracy": scores["accuracy"]["mean"],
                    "auc": scores["auc"]["mean"],
                    "over_folds": scores,
                }
                for name, scores in by_name.items()
                if name != MODEL
            }
        }

    def pooled(self, *, seed: int) -> dict[str, dict[str, Any]]:
        """Scores of the predictions of all folds together, by predictor.

        Rates are at the threshold of each fold. The AUC compares predictions of different models,
        which may lower it a little, and that of a constant prediction more.

        Args:
            seed: Of the bootstrap over recordings.

        Returns:
            accuracy, auc, recall, false_positive_rate and brier_score, each with its interval
            (`accuracy_ci`, ...), and calibration_error; of several repeats, the mean.
        """
        return {name: self._pooled(name, seed) for name in self._names}

    def _pooled(self, name: str, seed: int) -> dict[str, Any]:
        violent, groups = is_violent(self._labels), self._groups.astype(str)
        sums = _RepeatSums(violent)
        for repeat in sorted({result.repeat for result in self._results}):
            results = [result for result in self._results if result.repeat == repeat]
            rows = np.concatenate([result.rows for result in results])
            predicted = np.concatenate([result.predicted(name) for result in results])
            violence = np.concatenate([result.violence(name) for result in results])
            sums.add(rows, predicted, violence, predicted == self._labels[rows])
        draw = {"resamples": _RESAMPLES, "seed": seed, "level": _LEVEL}
        scores: dict[str, Any] = {}
        for metric, statistic in sums.statistics().items():
            scores[metric] = _value_of(statistic, len(violent))
            scores[f"{metric}_ci"] = intervals.bootstrap_over_recordings(groups, statistic, **draw)
        return scores | {"calibration_error": sums.calibration_error}

    def draws(self) -> list[np.ndarray]:
        """For each repeat the fold of each video, int64 (N,); -1 for a fold not yet finished."""
        draws = {}
        for result in self._results:
            folds = draws.setdefault(result.repeat, np.full(len(self._labels), -1))
            folds[result.rows] = result.fold
        return list(draws.values())

    # -- warnings

    def warnings(self, pooled: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """A line for each baseline of the video's source that comes close to the model, and for
        each class that is missing from folds."""
        lines = baselines.source_warnings(pooled, MODEL)
        for number, label in enumerate(self._classes):
            lacking = sum(
                not (self._labels[result.rows] == number).any() for result in self._results
            )
            if lacking:
                lines.append(
                    f"No video of {label!r} is in {counted(lacking, 'fold')} of "
                    f"{len(self._results)}."
                )
        return lines


class _RepeatSums:
    """Predictions of several repeats, summed up by video.

    Sums by video let the bootstrap weigh each video by how often its recording is drawn.
    """

    def __init__(self, violent: np.ndarray) -> None:
        """
        Args:
            violent: bool (N,).
        """
        self._violent = violent
        zeros = [np.zeros(len(violent)) for _ in range(4)]
        self._predictions, self._correct, self._alarms, self._squares = zeros
        self._auc_functions: list[tuple[np.ndarray, Callable]] = []
        self._calibration_errors: list[float] = []

    def add(
        self,
        rows: np.ndarray,
        predicted: np.ndarray,
        violence: np.ndarray,
        correct: np.ndarray,
    ) -> None:
        """Adds one repeat.

        Args:
            rows: The videos, int64 (M,).
            predicted: Their predicted classes, int64 (M,).
            violence: Their probabilities of violence, float64 (M,).
            correct: Whether the predicted class is the label, bool (M,).
        """
        violent = self._violent[rows]
        self._predictions[rows] += 1
        self._correct[rows] += correct
        self._alarms[rows] += predicted > 0
        self._squares[rows] += (violence - violent) ** 2
        self._auc_functions.append((rows, intervals.weighted_auc(violent, violence)))
        error = calibration.expected_calibration_error(violent, violence)
        self._calibration_errors.append(error)

    @property
    def calibration_error(self) -> float:
        return float(np.mean(self._calibration_errors))

    def statistics(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Functions of counts (R, N) that return (R,), NaN if undefined."""
        everything, violent, normal = np.ones(len(self._violent)), self._violent, ~self._violent

        def fraction(part: np.ndarray, among: np.ndarray) -> Callable:
            return lambda counts: intervals.ratio(
                counts @ (part * among), counts @ (self._predictions * among)
            )

        return {
            "accuracy": fraction(self._correct, everything),
            "auc": lambda counts: np.mean(
                [auc(counts[:, rows]) for rows, auc in self._auc_functions], axis=0
            ),
            "recall": fraction(self._alarms, violent),
            "false_positive_rate": fraction(self._alarms, normal),
            "brier_score": fraction(self._squares, everything),
        }


def over_folds(values: Sequence[float | None], folds: int) -> dict[str, Any]:
    """Mean, sample deviation, and a 95% t-interval of a score over folds.

    ``mean -+ t(n - 1) sd sqrt(1 / n + 1 / (folds - 1))``, within [0, 1]. Folds share most of
    their training videos, so their scores are not independent: the second term under the root,
    the ratio of test to training videos, corrects for it.

    Args:
        values: In [0, 1]; None for a fold in which the score is undefined.
        folds: Of a repeat, >= 2.

    Returns:
        `mean`, None for no value; `sd`, 0.0 for fewer than two; `ci`, [low, high], None for
        fewer than two.

    Reference:
        Nadeau and Bengio, Inference for the generalization error, 2003,
        https://doi.org/10.1023/A:1024068626366
    """
    scores = np.array([value for value in values if value is not None], np.float64)
    if scores.size < 2:
        return {"mean": float(scores[0]) if scores.size else None, "sd": 0.0, "ci": None}
    mean, sd = float(scores.mean()), float(scores.std(ddof=1))
    quantile = stats.t.ppf((1 + _LEVEL) / 2, scores.size - 1)
    half = float(quantile * sd * math.sqrt(1 / scores.size + 1 / (folds - 1)))
    return {"mean": mean, "sd": sd, "ci": [max(0.0, mean - half), min(1.0, mean + half)]}


def _value_of(statistic: Callable[[np.ndarray], np.ndarray], count: int) -> float | None:
    """The value of a statistic of counts when each video counts once; None if undefined."""
    value = float(statistic(np.ones((1, count), int))[0])
    return None if math.isnan(value) else value
