"""A second look at an evaluation: what trivial baselines answer on the same videos, where the
errors gather, and what is to be seen in the worst of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection.datasets import summary_cache
from violence_detection.evaluation import baseline_comparison, contact_sheet, error_analysis
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.training import run_setup

if TYPE_CHECKING:
    import keras


def examine(
    run: Run,
    cache: FeatureCache,
    clips: FeatureDataset,
    predicted: np.ndarray,
    *,
    accuracy_ci: Sequence[float],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """What `baseline_judge.judge` and `mistakes.breakdowns` find.

    Args:
        run: Which is judged.
        cache: The features that it is judged on.
        clips: The N videos.
        predicted: int (N,), the class that each was given.
        accuracy_ci: Interval over recordings.
        config: Of the evaluation.
    """
    record = run.record()
    seen: summary_cache.AvailableSummaries | str = baseline_comparison.NO_PICTURES
    if config.pictures:
        seen = cache.summaries(clips.entries)
    found = error_analysis.errors_by_condition(
        clips.entries,
        violent=is_violent(clips.labels),
        alarm=predicted > 0,
        correct=predicted == clips.labels,
        seen=seen,
    )
    judged = baseline_comparison.compare_with_baselines(
        run,
        cache,
        clips,
        record.classes,
        accuracy_ci=accuracy_ci,
        pictures=config.pictures,
        resamples=config.bootstrap,
        seed=config.seed,
    )
    return judged | found


def worst(
    cache: FeatureCache,
    clips: FeatureDataset,
    predictions: Sequence[Mapping[str, Any]],
    classifier: "keras.Model",
    *,
    normal_class: str,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """The surest mistakes with their frames and attention; see `contact_sheet.of`. `blurred`
    says whether people in the frames were made hard to recognise."""
    sheet = contact_sheet.build_contact_sheet(
        cache,
        clips,
        predictions,
        normal_class=normal_class,
        classifier=classifier,
        with_frames=config.frames,
        blur=config.blur_faces,
    )
    return sheet | {"blurred": config.frames and config.blur_faces}


def settings_told(trained: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's training_config.json holds, without settings that meant nothing: with
    features that were there, those of stage one, which the feature space tells."""
    settings = dict(trained.get("settings", {}))
    if settings.get("features"):
        for name in run_setup.STAGE_ONE - run_setup.OWN_SPLIT:
            settings.pop(name, None)
    return {**trained, "settings": settings}
