"""Scores of probabilities on the videos of a split, with their intervals."""

import numpy as np

from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification, delong, intervals
from violence_detection.metrics.classification import log_loss
from violence_detection.metrics.sample_size import widest_interval
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run_scores import SplitScores

_RESAMPLES = 1000


def score_split(
    clips: FeatureDataset,
    probability: np.ndarray,
    *,
    threshold: float,
    seed: int,
    with_loss: bool = True,
    thresholds: ClassThresholds | None = None,
) -> SplitScores:
    """Accuracy, area under the curve and loss on a split.

    The intervals are the wider of a bootstrap over recordings and Wilson's, or DeLong's: the
    former has no width where nothing is wrong, the latter take every video as independent.

    Args:
        clips: N videos.
        probability: float (N, K).
        threshold: On the probability of violence.
        seed: Seed of the bootstrap.
        with_loss: Whether the loss is measured.
        thresholds: `threshold`, with those of single classes; None if no class has one.
    """
    labels, groups = clips.labels, clips.groups
    violent, score = is_violent(labels), violence_score(probability)
    decided = thresholds.decide(probability) if thresholds else decide(probability, threshold)
    correct = decided == labels
    scored = classification.scores(correct, violent, score, groups, resamples=_RESAMPLES, seed=seed)
    wilson = intervals.wilson_interval(int(correct.sum()), len(correct))
    return SplitScores(
        accuracy=scored.accuracy,
        auc=scored.auc,
        loss=log_loss(labels, probability) if with_loss else None,
        accuracy_ci=widest_interval(scored.accuracy_ci, wilson),
        auc_ci=widest_interval(scored.auc_ci, delong.interval(violent, score)),
        videos=len(clips),
        recordings=len(set(groups.tolist())),
    )
