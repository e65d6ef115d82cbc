"""The figures of an evaluation, as files for its report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.metrics import calibration
from violence_detection.metrics.thresholds.threshold_curve import ThresholdCurve
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.reports.plots import figures, threshold_figure


def write_figures(
    folder: Path,
    result: EvaluationResult,
    *,
    violent: np.ndarray,
    score: np.ndarray,
    uncalibrated: np.ndarray,
    history: Sequence[Mapping[str, Any]],
    kept_epoch: int | None,
    threshold_curves: Mapping[str, ThresholdCurve],
) -> dict[str, Path]:
    """Draws the figures of the report; their paths by name, in the order of the page.

    Args:
        folder: Folder of the evaluation.
        result: The evaluation.
        violent: bool (N,), the actual class.
        score: Probability of violence, float (N,).
        uncalibrated: The same without the run's temperature.
        history: Rows of training_history.csv; see `figures.draw_history`. Not drawn if empty.
        kept_epoch: The epoch whose weights the run has; None if it is not known.
        threshold_curves: See `threshold_figure.draw_threshold_curves`.
    """
    names = "roc precision_recall threshold score_histogram reliability history confusion".split()
    paths = {name: folder / f"{name}.png" for name in names}
    threshold = result.threshold
    figures.draw_roc(paths["roc"], violent, score, result.auc, threshold=threshold)
    figures.draw_precision_recall(
        paths["precision_recall"], violent, score, result.average_precision, threshold=threshold
    )
    point = result.operating_point
    is_own = point is not None and point.threshold == threshold
    interval = point.interval if is_own else None
    threshold_figure.draw_threshold_curves(
        paths["threshold"], threshold_curves, threshold, interval
    )
    figures.draw_confusion(paths["confusion"], result.confusion, result.classes)
    figures.draw_score_histogram(paths["score_histogram"], violent, score, threshold)
    scores = {"": score}
    if result.temperature != 1.0:
        scores = {"calibrated": score, "as trained": uncalibrated}
    curves = {
        name: calibration.reliability_curve(violent, values) for name, values in scores.items()
    }
    figures.draw_reliability(paths["reliability"], curves, result.calibration_error)
    if history:
        figures.draw_history(paths["history"], history, kept_epoch=kept_epoch)
    else:
        del paths["history"]
    return paths
