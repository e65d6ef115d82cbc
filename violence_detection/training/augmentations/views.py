"""Cached views: replaces a clip by its mirrored, cropped, brighter or darker copy."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, sample_clips

READS_VIEWS = True


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    p: Annotated[float, Range(0, 1)] = 0.5,
) -> Augmentation:
    """Replaces the features of a clip by those of a further view, all with the same probability.

    Args:
        clips: Not used.
        views: The training clips in each further view, float16 (N, T, D).
        p: Fraction of the clips that are replaced.

    Raises:
        ConfigError: If no further views are cached.
    """
    if not views:
        raise ConfigError(
            "The augmentation `views` must have views to choose among. Received: features without "
            "further views (extract-features --views 1 makes one)"
        )

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        features, replaced = batch.features.copy(), sample_clips(batch, p, rng)
        choice = rng.integers(len(views), size=len(features))
        for number, view in enumerate(views):
            of_view = replaced & (choice == number)
            features[of_view] = view[batch.rows[of_view]]
        return batch._replace(features=features)

    return augment
