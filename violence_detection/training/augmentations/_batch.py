"""The batch that augmentations change, and the changes that several of them make."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """The real videos of a batch, without its padding.

    Attributes:
        features: float32 (B, T, D).
        targets: float32 (B, 1) for two classes, else one-hot (B, K); between 0 and 1 if mixed.
        weights: float32 (B,).
        rows: int64 (B,), rows of the features in the training clips.
    """

    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    rows: np.ndarray


Augmentation = Callable[[Batch, np.random.Generator], Batch]


def sample_clips(batch: Batch, p: float, rng: np.random.Generator) -> np.ndarray:
    """Draws each clip with probability p, bool (B,)."""
    return rng.random(len(batch.features)) < p


def take_frames(batch: Batch, frames: np.ndarray) -> Batch:
    """The batch with the frames of these numbers, int64 (B, T), from each clip."""
    clip = np.arange(len(batch.features))[:, None]
    return batch._replace(features=batch.features[clip, frames])


def mix(batch: Batch, features: np.ndarray, partner: np.ndarray, fraction: np.ndarray) -> Batch:
    """The batch with mixed features, and targets and weights in the same proportion.

    Args:
        batch: B clips.
        features: The mixed features, float32 (B, T, D).
        partner: The clip that each clip is mixed with, int64 (B,).
        fraction: The fraction of the clip itself in the mixture, (B,) in [0, 1].
    """
    fraction = fraction.astype(np.float32)
    rest = 1 - fraction
    return batch._replace(
        features=features,
        targets=fraction[:, None] * batch.targets + rest[:, None] * batch.targets[partner],
        weights=fraction * batch.weights + rest * batch.weights[partner],
    )
