"""Temporal jitter: moves the start and the end of a clip by a few frames."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from violence_detection.registry import Range
from violence_detection.training.augmentations._batch import (
    Augmentation,
    Batch,
    sample_clips,
    take_frames,
)


def build(
    *,
    clips: np.ndarray,
    views: Sequence[np.ndarray],
    frames: Annotated[float, Range(0, 1024)] = 2.0,
    p: Annotated[float, Range(0, 1)] = 1.0,
) -> Augmentation:
    """``frame[t] = round(a + (b - a) t / (T - 1))`` with a and b drawn around 0 and T - 1.

    The clip is shifted by the mean of both moves, and slowed down or sped up by their difference.
    Beyond its ends the first or the last frame is repeated.

    Args:
        clips, views: Not used.
        frames: Largest move of each end, in frames; never so large that the ends meet.
        p: Fraction of the clips that are changed.
    """

    def augment(batch: Batch, rng: np.random.Generator) -> Batch:
        count, length = batch.features.shape[:2]
        reach = min(frames, (length - 1) / 2)
        moves = rng.uniform(-reach, reach, (2, count, 1)) * sample_clips(batch, p, rng)[:, None]
        first, last = moves[0], length - 1 + moves[1]
        times = first + (last - first) * np.linspace(0, 1, length)
        return take_frames(batch, np.rint(times.clip(0, length - 1)).astype(np.int64))

    return augment
