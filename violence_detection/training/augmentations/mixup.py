"""Mixup: blends a clip with another clip of its batch."""

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
    alpha: Annotated[float, Range(0.01, 100)] = 0.2,
    p: Annotated[float, Range(0, 1)] = 1.0,
) -> Augmentation:
    """``s x[i] + (1 - s) x[j]``, j a permutation of the batch, s ~ Beta(alpha, alpha) for each
    clip; targets and weights likewise.

    Args:
        clips, views: Not used.
        alpha: Below 1 most mixtures are near a single clip, above 1 near half of each.
        p: Fraction of the clips that are mixed.

    Reference:
        Zhang et al., 2018, https://arxiv.org/abs/1710.09412
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        count = len(batch.features)
        mixed = sample_clips(batch, p, rng)
        # Clips that are not mixed are their own partner: 0 times a partner that is not finite
        # would be NaN.
        partner = np.where(mixed, rng.permutation(count), np.arange(count))
        fraction = np.where(mixed, rng.beta(alpha, alpha, count), 1)
        own = fraction.astype(np.float32)[:, None, None]
        features = batch.features[partner]
        features *= 1 - own
        features += own * batch.features
        return mix(batch, features, partner, fraction)

    return augment
