"""Mistakes, errors by recording, and curves, from the predictions for the held-out videos."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.evaluation.mistakes import contact_sheet, error_analysis
from violence_detection.experiments.cross_validation.out_of_fold import OutOfFoldRow
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import calibration, classification
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.outputs.classes import is_violent
from violence_detection.reports.cross_validation.cross_validation_report import VideoDiagnostics
from violence_detection.reports.plots import figures


def diagnose_videos(
    predictions: Sequence[OutOfFoldRow],
    cache: FeatureCache,
    clips: FeatureDataset,
    classes: Sequence[str],
    *,
    summaries: AvailableSummaries | str,
    folder: Path,
    with_frames: bool,
    blur: bool,
    trained_on: Callable[[int], FeatureDataset],
) -> VideoDiagnostics:
    """The mistakes, errors by recording and figures of one protocol.

    Args:
        predictions: Rows of the protocol; those of the first repeat are used, so that every video
            counts once.
        cache: Features of the videos.
        clips: All N videos that a fold holds out.
        classes: Names, the normal class first.
        summaries: Summaries of these videos, or the reason why there are none.
        folder: Folder for the figures.
        with_frames: Whether frames of the worst mistakes are shown.
        blur: Whether people in the frames are made hard to recognise.
        trained_on: The training clips of a fold of the first repeat, by its number; the nearest
            of them are shown beside a mistake.
    """
    by_path = {row.prediction.path: row for row in predictions if row.repeat == 1}
    rows = [by_path[entry.path] for entry in clips.entries]
    predicted = np.array([classes.index(row.prediction.predicted) for row in rows], np.int64)
    violence = np.array([row.prediction.probability for row in rows], np.float64)
    errors = error_analysis.errors_by_condition(
        clips.entries,
        violent=is_violent(clips.labels),
        alarm=is_violent(predicted),
        correct=predicted == clips.labels,
        summaries=summaries,
    )
    errors_by = dict(errors.errors_by)
    by_recording = errors_by.pop("recording")
    training_clips = functools.cache(lambda number: TrainingClips.from_features(trained_on(number)))
    is_whole = len(clips.features.shape) == 3  # the distance of a bag of segments says little
    return VideoDiagnostics(
        mistakes=contact_sheet.build_contact_sheet(
            cache,
            clips,
            [row.prediction for row in rows],
            normal_class=classes[0],
            classifier=None,
            with_frames=with_frames,
            blur=blur,
            known=(lambda row: training_clips(rows[row].fold)) if is_whole else None,
            training_cache=cache,
        ),
        thresholds={path: row.threshold for path, row in by_path.items()},
        errors_by_recording=by_recording,
        errors_by=errors_by,
        errors_left_out=errors.errors_left_out,
        figures=_draw_figures(folder, clips.labels, predicted, violence, classes),
    )


def _draw_figures(
    folder: Path,
    labels: np.ndarray,
    predicted: np.ndarray,
    violence: np.ndarray,
    classes: Sequence[str],
) -> dict[str, Path]:
    """Draws the figures of the report; their paths by name."""
    violent, violence = is_violent(labels), np.clip(violence, 0.0, 1.0)
    paths = {
        name: folder / f"{name}.png"
        for name in ("roc", "precision_recall", "reliability", "confusion")
    }
    rates = classification.binary_metrics(violent, violence, 0.5)
    figures.draw_roc(paths["roc"], violent, violence, rates.auc)
    figures.draw_precision_recall(
        paths["precision_recall"], violent, violence, rates.average_precision
    )
    figures.draw_reliability(
        paths["reliability"],
        {"": calibration.reliability_curve(violent, violence)},
        calibration.expected_calibration_error(violent, violence),
    )
    confusion = classification.class_metrics(labels, predicted, list(classes)).confusion
    figures.draw_confusion(paths["confusion"], confusion, classes)
    return paths
