"""What answers under several conditions come to: each beside the videos as they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.metrics import classification, intervals, paired_tests
from violence_detection.models.outputs.classes import decide, is_violent, violence_score

NOTE = (
    "Each condition alters the videos themselves, in copies that keep every byte of what was done "
    "(compress: that it encodes), which are then read and answered as any video is. Differences "
    "are to the videos as they are, on the same videos, with intervals over recordings. Of the "
    f"control ({CONTROL}) nothing is altered: what it differs by is the way, not the condition."
)
CONDITION_COLUMNS = "path label group condition probability predicted correct".split()
_INTERVALS = ("accuracy_ci", "auc_ci", "difference_ci", "auc_difference_ci")

Probabilities = Mapping[str, Mapping[str, np.ndarray]]  # by condition, then by video: float64 (K,)


def study_scores(
    answers: Probabilities,
    entries: Sequence[ManifestEntry],
    *,
    classes: Sequence[str],
    threshold: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How good the answers are under each condition, and how much worse than to the videos as
    they are.

    A video counts under a condition where it has an answer under that and as it is.

    Args:
        answers: By condition, `clean` and `re-encoded` among them.
        entries: The videos.
        classes: Names, the normal one first.
        threshold: On 1 - P(normal).
        resamples, seed: Of the intervals.

    Returns:
        `clean`, `control` and `conditions`, each with name, videos, accuracy, auc and differences
        with their intervals; `mean_accuracy` over the conditions with its interval, of the videos
        that have an answer under each; `mean_auc`.
    """
    judge = _ConditionScorer(entries, classes, threshold, {"resamples": resamples, "seed": seed})
    clean = answers[CLEAN]
    rows = {name: judge.row(name, clean, answers[name]) for name in answers}
    conditions = [row for name, row in rows.items() if name not in (CLEAN, CONTROL)]
    judged = {row["name"]: answers[row["name"]] for row in conditions if row["videos"]}
    return {
        "clean": rows[CLEAN],
        "control": rows[CONTROL],
        "conditions": conditions,
        **judge.mean(clean, list(judged.values())),
        "mean_auc": _mean([rows[name]["auc"] for name in judged]),
    }


class _ConditionScorer:
    """Truth and recordings of the videos, and how answers are judged."""

    def __init__(
        self,
        entries: Sequence[ManifestEntry],
        classes: Sequence[str],
        threshold: float,
        draw: dict[str, int],
    ) -> None:
        self._entries, self._classes = entries, classes
        self._threshold, self._draw = threshold, draw

    def row(
        self,
        name: str,
        clean: Mapping[str, np.ndarray],
        given: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        both = [one for one in self._entries if one.path in clean and one.path in given]
        nothing = {"accuracy": 0.0, "auc": None, "accuracy_difference": 0.0}
        nothing |= {"auc_difference": 0.0, **dict.fromkeys(_INTERVALS)}
        found = self._scores(both, clean, given) if both else nothing
        return {"name": name, "videos": len(both), **found}

    def _scores(
        self,
        entries: Sequence[ManifestEntry],
        clean: Mapping[str, np.ndarray],
        given: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        labels, groups = self._truth(entries)
        before, after = (
            np.stack([answers[entry.path] for entry in entries]) for answers in (clean, given)
        )
        right_before, right = (self._right(labels, one) for one in (before, after))
        violent, score = is_violent(labels), violence_score(after)
        auc = classification.binary_metrics(violent, score, self._threshold)["auc"]
        worse = paired_tests.accuracy_difference(right_before, right, groups, **self._draw)
        # Two intervals over recordings alone: what exchanges runs means nothing here.
        areas = [intervals.weighted_auc(violent, one) for one in (violence_score(before), score)]
        every = np.ones((1, len(entries)), int)
        less = float((areas[1](every) - areas[0](every))[0])
        return {
            "accuracy": float(right.mean()),
            "accuracy_ci": intervals.accuracy_interval(right, groups, **self._draw),
            "auc": auc,
            "auc_ci": intervals.auc_interval(violent, score, groups, **self._draw),
            "accuracy_difference": worse["accuracy_difference"],
            "difference_ci": worse["ci"],
            "auc_difference": 0.0 if auc is None else less,
            "auc_difference_ci": intervals.bootstrap_over_recordings(
                groups, lambda counts: areas[1](counts) - areas[0](counts), **self._draw
            ),
        }

    def mean(
        self,
        clean: Mapping[str, np.ndarray],
        given: Sequence[Mapping[str, np.ndarray]],
    ) -> dict[str, Any]:
        """Mean accuracy over conditions, of the videos that have an answer under each."""
        entries = [
            entry
            for entry in self._entries
            if given and all(entry.path in one for one in (clean, *given))
        ]
        if not entries:
            return {"mean_accuracy": 0.0, "mean_accuracy_ci": None, "mean_videos": 0}
        labels, groups = self._truth(entries)
        right = [
            self._right(labels, np.stack([one[entry.path] for entry in entries])) for one in given
        ]
        share = np.mean(right, axis=0)
        return {
            "mean_accuracy": float(share.mean()),
            "mean_accuracy_ci": intervals.accuracy_interval(share, groups, **self._draw),
            "mean_videos": len(entries),
        }

    def _truth(self, entries: Sequence[ManifestEntry]) -> tuple[np.ndarray, list[str]]:
        labels = np.array([self._classes.index(one.label) for one in entries], np.int64)
        return labels, [one.group for one in entries]

    def _right(self, labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
        return decide(probability, self._threshold) == labels


def scores_table(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows for a CSV, intervals as two columns each; and the columns."""
    flat = []
    for row in rows:
        cells = dict(row)
        for name in _INTERVALS:
            low, high = cells.pop(name) or (None, None)
            cells |= {
                name.replace("_ci", "_low"): low,
                name.replace("_ci", "_high"): high,
            }
        flat.append(cells)
    return flat, list(flat[0])


def condition_rows(
    answers: Probabilities,
    entries: Sequence[ManifestEntry],
    *,
    classes: Sequence[str],
    threshold: float,
) -> Iterator[dict[str, Any]]:
    """A row for each answer, those to a video one after the other."""
    for entry in entries:
        for name, given in answers.items():
            if entry.path not in given:
                continue
            probability = given[entry.path]
            called = classes[int(decide(probability[None], threshold)[0])]
            yield {
                "path": entry.path,
                "label": entry.label,
                "group": entry.group,
                "condition": name,
                "probability": float(violence_score(probability)),
                "predicted": called,
                "correct": called == entry.label,
            }


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
