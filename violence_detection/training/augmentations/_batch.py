"""What augmentations share: a batch, and what is done to it by more than one of them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """The videos of a batch that count; rows that fill it up are not among them.

    Attributes:
        features: float32 (B, T, D).
        targets: float32 (B, 1) for two classes, else one-hot (B, K); mixed ones in between.
        weights: float32 (B,).
        rows: int64 (B,), of the training clips, that the features are from.
    """

    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    rows: np.ndarray


Augmentation = Callable[[Batch, np.random.Generator], Batch]


def draw_clips(batch: Batch, p: float, rng: np.random.Generator) -> np.ndarray:
    """Each clip with probability p, bool (B,)."""
    return rng.random(len(batch.features)) < p


def take_frames(batch: Batch, frames: np.ndarray) -> Batch:
    """The batch with other frames of each clip, whose numbers are int64 (B, T)."""
    clip = np.arange(len(batch.features))[:, None]
    return batch._replace(features=batch.features[clip, frames])


def mix(batch: Batch, features: np.ndarray, partner: np.ndarray, share: np.ndarray) -> Batch:
    """The batch with mixed features, and targets and weights in the same proportion.

    Args:
        batch: B clips.
        features: float32 (B, T, D), mixed.
        partner: int64 (B,), which clip each is mixed with.
        share: (B,) in [0, 1], what is left of the clip itself.
    """
    share = share.astype(np.float32)
    rest = 1 - share
    return batch._replace(
        features=features,
        targets=share[:, None] * batch.targets + rest[:, None] * batch.targets[partner],
        weights=share * batch.weights + rest * batch.weights[partner],
    )
