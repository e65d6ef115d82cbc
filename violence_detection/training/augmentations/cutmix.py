"""Segment cut-mix: replaces successive frames of a clip by those of another clip of its batch."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, mix, sample_clips

MIXES = True


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    alpha: Annotated[float, Range(0.01, 100)] = 1.0,
    p: Annotated[float, Range(0, 1)] = 0.5,
) -> Augmentation:
    """Replaces ``round(s T)`` frames from a random start, s ~ Beta(alpha, alpha) for each clip;
    targets and weights are mixed by the fraction of the frames.

    Args:
        clips, views: Not used.
        alpha: 1 draws every fraction with the same probability.
        p: Fraction of the clips that are mixed.

    Reference:
        Yun et al., 2019, https://arxiv.org/abs/1905.04899 (of images)
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        count, length = batch.features.shape[:2]
        partner = rng.permutation(count)
        cut = np.where(sample_clips(batch, p, rng), rng.beta(alpha, alpha, count), 0) * length
        cut = np.rint(cut).astype(np.int64)
        start = rng.integers(length - cut + 1)[:, None]
        time = np.arange(length)
        inside = (start <= time) & (time < start + cut[:, None])
        features = np.where(inside[:, :, None], batch.features[partner], batch.features)
        return mix(batch, features, partner, 1 - cut / length)

    return augment
