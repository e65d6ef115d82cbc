"""The cost of a run at a site: from evaluated videos, or from false alarms in normal footage."""

import numpy as np

from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics.sample_size import widest_interval
from violence_detection.metrics.thresholds import operating_cost
from violence_detection.metrics.thresholds.operating_cost import (
    CameraTraffic,
    OperatingCost,
    VideoTraffic,
)
from violence_detection.models.outputs.classes import is_violent
from violence_detection.reports.evaluation.evaluation_result import FootageAlarms


def cost_at_site(
    clips: FeatureDataset,
    predicted: np.ndarray,
    footage: FootageAlarms | None,
    *,
    videos_per_day: float | None,
    prevalence: float | None,
    cameras: int | None,
    hours_per_day: float,
    review_cost: float | None,
    resamples: int,
    seed: int,
) -> OperatingCost | None:
    """Alarms and misses a day, and the cost of their reviews; None if no traffic is given.

    Args:
        clips: The N evaluated videos.
        predicted: int (N,), the predicted classes.
        footage: False alarms in normal footage, for `cameras`.
        videos_per_day, prevalence, cameras, hours_per_day, review_cost: Settings of `evaluate`.
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    if videos_per_day is not None and prevalence is not None:
        return operating_cost.cost_of_videos(
            is_violent(clips.labels),
            is_violent(predicted),
            clips.groups,
            VideoTraffic(videos_per_day, prevalence),
            review_cost=review_cost,
            resamples=resamples,
            seed=seed,
        )
    if cameras is not None and footage is not None:
        return operating_cost.cost_of_cameras(
            footage.alarms_per_hour,
            widest_interval(footage.alarms_per_hour_ci, footage.alarms_per_hour_ci_videos),
            CameraTraffic(cameras, hours_per_day),
            review_cost=review_cost,
        )
    return None
