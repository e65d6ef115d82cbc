"""Choice among the cached views: a clip is seen mirrored, cropped, brighter or darker."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, draw_clips

READS_VIEWS = True


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    p: Annotated[float, Range(0, 1)] = 0.5,
) -> Augmentation:
    """The features of a further view, all of which are as likely, in place of the clip's own.

    Args:
        clips: Not used.
        views: The training clips in each further view, float16 (N, T, D).
        p: Share of the clips that are seen otherwise.

    Raises:
        ConfigError: If there are no further views.
    """
    if not views:
        raise ConfigError(
            "The augmentation `views` must be given views to choose among. Received: none"
        )

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        features, other = batch.features.copy(), draw_clips(batch, p, rng)
        choice = rng.integers(len(views), size=len(features))
        for number, view in enumerate(views):
            seen = other & (choice == number)
            features[seen] = view[batch.rows[seen]]
        return batch._replace(features=features)

    return augment
