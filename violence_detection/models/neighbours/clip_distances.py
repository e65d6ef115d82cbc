"""Distances between clips by their pooled statistics, and the nearest of many clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

NEIGHBOURS = 5  # whose distances are averaged, and which vote
_BLOCK_CELLS = 1 << 22  # distances that are computed at a time, 16 MB
_FLOOR = 1e-3  # of the mean variance: a value that hardly varies is not blown up


@dataclass(frozen=True)
class Standardisation:
    """The constants that scale each of F statistics to mean 0 and variance 1.

    Attributes:
        mean, deviation: float32 (F,).
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fitted_to(cls, statistics: np.ndarray) -> Self:
        """The constants of statistics (N, F); the variance has a floor of a thousandth of its
        mean."""
        mean = statistics.mean(axis=0, dtype=np.float64)
        variance = statistics.var(axis=0, dtype=np.float64)
        deviation = np.sqrt(np.maximum(variance, _FLOOR * variance.mean() + 1e-12))
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def apply(self, statistics: np.ndarray) -> np.ndarray:
        """Standardised statistics, float32 (N, F)."""
        return ((statistics - self.mean) / self.deviation).astype(np.float32)


class Neighbours(NamedTuple):
    """The nearest of M references for each of N points, the nearest first.

    Attributes:
        rows: Numbers of the references, int64 (N, k).
        distances: float32 (N, k), ascending; infinite where fewer than k are allowed.
    """

    rows: np.ndarray
    distances: np.ndarray


class References(NamedTuple):
    """Points that distances are measured to, prepared once for many calls.

    Attributes:
        points: float32 (M, F).
        squared_lengths: float32 (M,).
    """

    points: np.ndarray
    squared_lengths: np.ndarray

    @classmethod
    def from_points(cls, points: np.ndarray) -> Self:
        """The references of points, float (M, F)."""
        points = points.astype(np.float32)
        return cls(points, np.square(points).sum(1))


def squared_distances(points: np.ndarray, references: np.ndarray | References) -> np.ndarray:
    """``|a|^2 + |b|^2 - 2 a.b``, not below 0, float32 (N, M).

    Args:
        points: float (N, F).
        references: float (M, F).
    """
    if not isinstance(references, References):
        references = References.from_points(references)
    points = points.astype(np.float32)
    products = points @ references.points.T
    lengths = np.square(points).sum(1)[:, None] + references.squared_lengths[None]
    return np.maximum(lengths - 2 * products, 0)


def nearest(
    points: np.ndarray,
    references: np.ndarray | References,
    count: int = NEIGHBOURS,
    *,
    point_groups: Sequence[str] | None = None,
    reference_groups: Sequence[str] | None = None,
) -> Neighbours:
    """The nearest references of each point, by Euclidean distance.

    Args:
        points: float (N, F).
        references: float (M, F), M >= 1.
        count: k; fewer if there are fewer references.
        point_groups, reference_groups: Recordings, (N,) and (M,): references of a point's own
            recording are not allowed. None allows all.
    """
    if not isinstance(references, References):
        references = References.from_points(references)
    size = len(references.points)
    count, block = min(count, size), max(1, _BLOCK_CELLS // size)
    rows, distances = [np.zeros((0, count), np.int64)], [np.zeros((0, count), np.float32)]
    groups = None if point_groups is None else np.asarray(point_groups, str)
    for start in range(0, len(points), block):
        squared = squared_distances(points[start : start + block], references)
        if groups is not None:
            own = groups[start : start + block, None] == np.asarray(reference_groups, str)[None]
            squared[own] = np.inf
        chosen = np.argpartition(squared, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(squared, chosen, axis=1)
        order = np.argsort(values, axis=1, kind="stable")
        rows.append(np.take_along_axis(chosen, order, axis=1))
        distances.append(np.sqrt(np.take_along_axis(values, order, axis=1)))
    return Neighbours(np.concatenate(rows), np.concatenate(distances))


def mean_distances(neighbours: Neighbours) -> np.ndarray:
    """The mean distance to the allowed neighbours of each point, float32 (N,); infinite for a
    point that has none."""
    finite = np.isfinite(neighbours.distances)
    sums = np.where(finite, neighbours.distances, 0).sum(axis=1)
    counts = finite.sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf).astype(np.float32)


def vote(neighbours: Neighbours, labels: np.ndarray, classes: int) -> np.ndarray:
    """The share of each class among the neighbours, weighted by 1 / distance, float64 (N, K).

    Args:
        neighbours: Of N points.
        labels: Classes of the references, int (M,), in [0, K).
        classes: K.
    """
    weights = 1 / (neighbours.distances.astype(np.float64) + 1e-6)
    votes = np.eye(classes)[labels[neighbours.rows]] * weights[..., None]
    return votes.sum(axis=1) / weights.sum(axis=1, keepdims=True)
