"""Frame dropout: frames are lost, and the nearest one that is left stands in."""

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
    """Every frame is lost with probability p; of two that are as near, the earlier stands in.

    Args:
        clips, views: Not used.
        p: Share of the frames that are lost. A clip that would lose all keeps all.
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        count, length = batch.features.shape[:2]
        kept = rng.random((count, length)) >= p
        kept |= ~kept.any(1, keepdims=True)
        return take_frames(batch, nearest(kept))

    return augment


def nearest(kept: np.ndarray) -> np.ndarray:
    """Number of the nearest frame that is kept, int64 (B, T); `kept` has one in each row."""
    length = kept.shape[1]
    times, far = np.arange(length), 2 * length
    before = np.maximum.accumulate(np.where(kept, times, -far), axis=1)
    after = np.where(kept, times, far)[:, ::-1]
    after = np.minimum.accumulate(after, axis=1)[:, ::-1]
    return np.where(times - before <= after - times, before, after)
