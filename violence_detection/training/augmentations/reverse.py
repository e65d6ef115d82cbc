"""Time reversal: a clip is seen from its end to its start."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, draw_clips


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    p: Annotated[float, Range(0, 1)] = 0.5,
) -> Augmentation:
    """
    Args:
        clips, views: Not used.
        p: Share of the clips that are reversed.
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        reversed_ = draw_clips(batch, p, rng)[:, None, None]
        features = np.where(reversed_, batch.features[:, ::-1], batch.features)
        return batch._replace(features=features)

    return augment
