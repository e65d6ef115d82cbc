"""Time reversal: plays a clip backwards."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, sample_clips


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    p: Annotated[float, Range(0, 1)] = 0.5,
) -> Augmentation:
    """Reverses the order of the frames.

    Args:
        clips, views: Not used.
        p: Fraction of the clips that are reversed.
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        reversed_ = sample_clips(batch, p, rng)[:, None, None]
        features = np.where(reversed_, batch.features[:, ::-1], batch.features)
        return batch._replace(features=features)

    return augment
