"""Frame dropout: replaces lost frames by the nearest frame that is left."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import Augmentation, Batch, take_frames


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    p: Annotated[float, Range(0, 0.95)] = 0.1,
) -> Augmentation:
    """Loses each frame with probability p; of two nearest frames the earlier replaces it.

    Args:
        clips, views: Not used.
        p: Fraction of the frames that are lost. A clip that would lose all frames keeps all.
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        count, length = batch.features.shape[:2]
        kept = rng.random((count, length)) >= p
        kept |= ~kept.any(1, keepdims=True)
        return take_frames(batch, nearest(kept))

    return augment


def nearest(kept: np.ndarray) -> np.ndarray:
    """Number of the nearest kept frame, int64 (B, T).

    Args:
        kept: bool (B, T), with a kept frame in each row.
    """
    length = kept.shape[1]
    times, far = np.arange(length), 2 * length
    before = np.maximum.accumulate(np.where(kept, times, -far), axis=1)
    after = np.where(kept, times, far)[:, ::-1]
    after = np.minimum.accumulate(after, axis=1)[:, ::-1]
    return np.where(times - before <= after - times, before, after)
