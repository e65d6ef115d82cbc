"""Rows of predictions.csv: the prediction for one video.

Cross-validation reads them in `experiments/cross_validation/out_of_fold.py`, and pandas in
`reports/pandas_tables.py`: a further column stands there, too.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.metrics.label_suggestions import suggest_labels
from violence_detection.models.output_set import OutputPredictions


class PredictionRow(NamedTuple):
    """The prediction for a video, in the columns of predictions.csv.

    Attributes:
        path: Key of the video in the manifest.
        label: Its class.
        group: Its recording.
        probability: The probability of violence, in [0, 1].
        predicted: The predicted class.
        correct: Whether that is the label.
    """

    path: str
    label: str
    group: str
    probability: float
    predicted: str
    correct: bool


COLUMNS = PredictionRow._fields
SUGGESTION_COLUMNS = ("path", "label", "probability", "novelty", "reason", "new_label")
_SUGGESTED = 50


def class_columns(
    probability: np.ndarray, classes: Sequence[str]
) -> tuple[tuple[str, ...], list[dict[str, float]]]:
    """Names and values of the columns that hold the probability of each class; none for two
    classes, whose `probability` says it all.

    Args:
        probability: float (N, K), rows sum to 1.
        classes: The K names, the normal class first.
    """
    if len(classes) == 2:
        return (), [{} for _ in probability]
    names = tuple(f"probability_{name}" for name in classes)
    return names, [dict(zip(names, row, strict=True)) for row in probability.tolist()]


def output_columns(
    output_predictions: OutputPredictions, classes: Sequence[str]
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Names and values of the columns of what further outputs say: `class`, `confidence`,
    `anomaly_score` and `anomaly_<output>`; none where `classes` is the only output.

    Args:
        output_predictions: On N videos.
        classes: The K names, the normal class first.
    """
    columns: dict[str, list[Any]] = {}
    if output_predictions.class_probability is not None:
        likeliest = output_predictions.class_probability.argmax(1)
        columns["class"] = [classes[place] for place in likeliest]
        columns["confidence"] = output_predictions.class_probability.max(1).tolist()
    if output_predictions.anomaly_scores:
        columns["anomaly_score"] = output_predictions.anomaly_score.tolist()
        for name, scores in output_predictions.anomaly_scores.items():
            columns[f"anomaly_{name}"] = scores.tolist()
    names = tuple(columns)
    rows = (
        zip(*columns.values(), strict=True)
        if columns
        else [()] * len(output_predictions.probability)
    )
    return names, [dict(zip(names, row, strict=True)) for row in rows]


def suggestion_rows(
    rows: Sequence[PredictionRow], novelty: np.ndarray | None, threshold: float
) -> list[dict[str, Any]]:
    """The rows of label_next.csv: up to 50 videos whose label is worth another look, or whose
    likes are worth labelling; those nearest to the threshold and most unlike the training clips.

    Args:
        rows: Of the N videos.
        novelty: Of each, float (N,); None where not known.
        threshold: Of the decision.
    """
    probability = np.array([row.probability for row in rows])
    suggestions = suggest_labels(probability, novelty, threshold, count=_SUGGESTED)
    return [
        {
            "path": rows[row].path,
            "label": rows[row].label,
            "probability": rows[row].probability,
            "novelty": None if novelty is None else round(float(novelty[row]), 3),
            "reason": reason,
            "new_label": "",  # for `label --table`
        }
        for row, reason in suggestions
    ]


def prediction_rows(
    entries: Sequence[ManifestEntry],
    violence: np.ndarray,
    predicted: np.ndarray,
    classes: Sequence[str],
) -> Iterator[PredictionRow]:
    """A row for each video.

    Args:
        entries: N rows of the manifest.
        violence: Probability of violence, float64 (N,).
        predicted: Index of the predicted class, int (N,).
        classes: Names, the normal class first.
    """
    for entry, score, index in zip(entries, violence.tolist(), predicted.tolist(), strict=True):
        name = classes[index]
        yield PredictionRow(entry.path, entry.label, entry.group, score, name, name == entry.label)
