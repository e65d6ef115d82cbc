"""What came of the folds: scores of each, their mean with an interval, and the answers of all
folds pooled."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.evaluation import baselines
from violence_detection.metrics import calibration, intervals
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.units import counted

MODEL = "model"
_LEVEL = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Judged:
    """One fold, answered by those who have not learned from it.

    Attributes:
        repeat, fold: From 1.
        grouped: Whether all videos of a recording are in one fold.
        rows: int64 (M,), which videos these are.
        epochs, best_epoch: How many were run, and which is kept.
        threshold: Of the model; a baseline's is 0.5.
        temperature: That the model's logits were divided by.
        answers: Probabilities by `model` and the names of the baselines, float64 (M, K).
        effective: What was got of what was asked for.
        left_out: Why there are not more baselines.
    """

    repeat: int
    fold: int
    grouped: bool
    rows: np.ndarray
    epochs: int
    best_epoch: int
    threshold: float
    answers: Mapping[str, np.ndarray]
    temperature: float
    effective: Mapping[str, Any]
    left_out: Sequence[str]

    def decided(self, name: str) -> np.ndarray:
        """The class that `name` gives each video, int64 (M,)."""
        threshold = self.threshold if name == MODEL else 0.5
        return decide(self.answers[name], threshold)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, from which it comes back to the bit."""
        answers = {name: answer.tolist() for name, answer in self.answers.items()}
        return vars(self) | {"rows": self.rows.tolist(), "answers": answers}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Judged":
        """From what `as_dict` gave.

        Raises:
            TypeError, ValueError, KeyError, AttributeError: If it is something else.
        """
        answers = {name: np.array(answer, np.float64) for name, answer in values["answers"].items()}
        rows = np.array(values["rows"], np.int64)
        if any(len(answer) != len(rows) for answer in answers.values()):
            raise ValueError("an answer for each video")
        return cls(**{**values, "rows": rows, "answers": answers})


class FoldResults:
    """Tables and figures of the folds of one protocol, grouped or random."""

    def __init__(
        self,
        judged: Sequence[Judged],
        *,
        entries: Sequence[ManifestEntry],
        labels: np.ndarray,
        classes: Sequence[str],
        folds: int,
        note: str,
    ) -> None:
        """
        Args:
            judged: So far; at least one.
            entries: All N videos.
            labels: Of them, int64 (N,).
            classes: K names, the normal one first.
            folds: Of a repeat.
            note: What the folds are, for every output.
        """
        self._judged, self._entries, self._labels = judged, entries, labels
        self._classes, self._folds, self._note = classes, folds, note
        self._groups = np.array([entry.group for entry in entries], dtype=object)
        # A baseline may be missing from folds that were judged while the videos were away.
        self._names = [
            name for name in judged[0].answers if all(name in one.answers for one in judged)
        ]

    # -- tables

    def fold_rows(self) -> list[dict[str, Any]]:
        """A row a fold: its size, scores, epochs and threshold, and each baseline's scores."""
        rows = []
        for one in self._judged:
            row = {
                "repeat": one.repeat,
                "fold": one.fold,
                "grouped": one.grouped,
                "videos": len(one.rows),
                "recordings": len(set(self._groups[one.rows])),
                **self._scores(one, MODEL),
                "epochs": one.epochs,
                "best_epoch": one.best_epoch,
                "threshold": one.threshold,
                "temperature": one.temperature,
            }
            for name in self._names[1:]:
                scores = self._scores(one, name)
                row |= {f"{name}_{what}": value for what, value in scores.items()}
            rows.append(row | {"note": self._note})
        return rows

    def prediction_rows(self) -> list[dict[str, Any]]:
        """A row for each video and repeat: what the model answered that has not met it."""
        return [
            {
                "repeat": one.repeat,
                "fold": one.fold,
                "grouped": one.grouped,
                "path": self._entries[row].path,
                "label": self._entries[row].label,
                "group": self._entries[row].group,
                "probability": round(float(violence_score(answer)), 6),
                "predicted": self._classes[decided],
                "correct": bool(decided == self._labels[row]),
                "note": self._note,
            }
            for one in self._judged
            for row, answer, decided in zip(
                one.rows, one.answers[MODEL], one.decided(MODEL), strict=True
            )
        ]

    def _scores(self, one: Judged, name: str) -> dict[str, float | None]:
        labels = self._labels[one.rows]
        auc = intervals.weighted_auc(is_violent(labels), _violence(one.answers[name]))
        return {
            "accuracy": float((one.decided(name) == labels).mean()),
            "auc": _of_once(auc, len(labels)),
        }

    # -- figures

    def summary(self) -> dict[str, Any]:
        """`accuracy` and `auc` over folds, and those of the baselines."""
        over = {}
        for name in self._names:
            scores = [self._scores(one, name) for one in self._judged]
            over[name] = {
                what: over_folds([score[what] for score in scores], self._folds)
                for what in ("accuracy", "auc")
            }
        return over[MODEL] | {
            "baselines": {
                name: {
                    "accuracy": found["accuracy"]["mean"],
                    "auc": found["auc"]["mean"],
                    "over_folds": found,
                }
                for name, found in over.items()
                if name != MODEL
            }
        }

    def pooled(self, *, seed: int) -> dict[str, dict[str, Any]]:
        """What the answers of all folds together come to, by name: accuracy, auc, recall,
        false_positive_rate and brier_score, each with its interval by a bootstrap over
        recordings, and calibration_error; of several repeats, the mean.

        Rates are at the threshold of each fold. The area compares answers of different models
        with each other, which may cost it a little, and a constant answer more.
        """
        return {name: self._pooled(name, seed) for name in self._names}

    def _pooled(self, name: str, seed: int) -> dict[str, Any]:
        violent, groups = is_violent(self._labels), self._groups.astype(str)
        sums = _Sums(violent)
        for repeat in sorted({one.repeat for one in self._judged}):
            folds = [one for one in self._judged if one.repeat == repeat]
            rows = np.concatenate([one.rows for one in folds])
            decided = np.concatenate([one.decided(name) for one in folds])
            violence = np.concatenate([_violence(one.answers[name]) for one in folds])
            sums.add(rows, decided, violence, decided == self._labels[rows])
        draw = {"resamples": _RESAMPLES, "seed": seed, "level": _LEVEL}
        found: dict[str, Any] = {}
        for what, statistic in sums.statistics().items():
            found[what] = _of_once(statistic, len(violent))
            found[f"{what}_ci"] = intervals.bootstrap_over_recordings(groups, statistic, **draw)
        return found | {"calibration_error": sums.calibration_error}

    def draws(self) -> list[np.ndarray]:
        """For each repeat the fold of each video, int64 (N,); -1 where it is not judged yet."""
        found = {}
        for one in self._judged:
            folds = found.setdefault(one.repeat, np.full(len(self._labels), -1))
            folds[one.rows] = one.fold
        return list(found.values())

    # -- what there is to warn of

    def warnings(self, pooled: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """A line for each baseline of the source that comes close, and for each class that
        folds lack."""
        lines = baselines.source_warnings(pooled, MODEL)
        for number, label in enumerate(self._classes):
            lacking = sum(not (self._labels[one.rows] == number).any() for one in self._judged)
            if lacking:
                lines.append(
                    f"No video of {label!r} is in {counted(lacking, 'fold')} of "
                    f"{len(self._judged)}."
                )
        return lines


class _Sums:
    """Answers of several draws of folds, added up by video."""

    def __init__(self, violent: np.ndarray) -> None:
        """
        Args:
            violent: bool (N,).
        """
        self._violent = violent
        zeros = [np.zeros(len(violent)) for _ in range(4)]
        self._answered, self._right, self._alarms, self._squares = zeros
        self._areas: list[tuple[np.ndarray, Callable]] = []
        self._errors: list[float] = []

    def add(
        self,
        rows: np.ndarray,
        decided: np.ndarray,
        violence: np.ndarray,
        right: np.ndarray,
    ) -> None:
        """One draw: what each of M videos was decided to be, how likely violence, and
        whether that is right; (M,) each."""
        violent = self._violent[rows]
        self._answered[rows] += 1
        self._right[rows] += right
        self._alarms[rows] += decided > 0
        self._squares[rows] += (violence - violent) ** 2
        self._areas.append((rows, intervals.weighted_auc(violent, violence)))
        self._errors.append(calibration.expected_calibration_error(violent, violence))

    @property
    def calibration_error(self) -> float:
        return float(np.mean(self._errors))

    def statistics(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Functions of counts (R, N) that give (R,), NaN where they are not defined."""
        violent, normal = self._violent, ~self._violent

        def share(of: np.ndarray, among: np.ndarray) -> Callable:
            return lambda counts: _ratio(counts @ (of * among), counts @ (self._answered * among))

        everything = np.ones(len(violent))
        return {
            "accuracy": share(self._right, everything),
            "auc": lambda counts: np.mean(
                [area(counts[:, rows]) for rows, area in self._areas], axis=0
            ),
            "recall": share(self._alarms, violent),
            "false_positive_rate": share(self._alarms, normal),
            "brier_score": share(self._squares, everything),
        }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def over_folds(values: Sequence[float | None], folds: int) -> dict[str, Any]:
    """Mean, sample deviation, and a 95% t-interval of a score over folds.

    ``mean -+ t(n - 1) sd sqrt(1 / n + 1 / (folds - 1))``, within [0, 1]. Folds share most of
    what they learn from, so their scores are not independent: the second term under the root,
    the share of test to training videos, makes up for it.

    Args:
        values: In [0, 1]; None where a fold does not define it.
        folds: Of a repeat, >= 2.

    Returns:
        `mean`, None for no value; `sd`, 0.0 for fewer than two; `ci`, [low, high], None for
        fewer than two.

    Reference:
        Nadeau and Bengio, Inference for the generalization error, 2003,
        https://doi.org/10.1023/A:1024068626366
    """
    known = np.array([value for value in values if value is not None], np.float64)
    if known.size < 2:
        return {
            "mean": float(known[0]) if known.size else None,
            "sd": 0.0,
            "ci": None,
        }
    mean, sd = float(known.mean()), float(known.std(ddof=1))
    quantile = stats.t.ppf((1 + _LEVEL) / 2, known.size - 1)
    half = float(quantile * sd * math.sqrt(1 / known.size + 1 / (folds - 1)))
    return {
        "mean": mean,
        "sd": sd,
        "ci": [max(0.0, mean - half), min(1.0, mean + half)],
    }


def _violence(answer: np.ndarray) -> np.ndarray:
    """Probability of violence, (M,), of those of the classes, (M, K)."""
    return np.clip(violence_score(answer), 0.0, 1.0)


def _of_once(statistic: Callable[[np.ndarray], np.ndarray], count: int) -> float | None:
    """A statistic of counts where each video counts once; None where it is not defined."""
    value = float(statistic(np.ones((1, count), int))[0])
    return None if math.isnan(value) else value
