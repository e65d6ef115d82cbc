"""Kernels with fewer weights or fewer values, which take less room once a file is zipped."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

_ROUNDS = 20


def compress(model: "keras.Model", *, prune: float, cluster: int | None) -> None:
    """Prune every kernel of a model, and then cluster what is left.

    Kernels are weights of two dimensions and more; biases and scales stay as they are.

    Args:
        model: Changed in place.
        prune: Share of each kernel that becomes 0.
        cluster: Values that the rest of it may have; None leaves them.
    """
    for variable in model.weights:
        if len(variable.shape) >= 2:
            variable.assign(compress_kernel(np.array(variable), prune=prune, cluster=cluster))


def compress_kernel(kernel: np.ndarray, *, prune: float, cluster: int | None) -> np.ndarray:
    """A kernel that is pruned and then clustered; zeros stay zeros."""
    kernel = prune_kernel(kernel, prune)
    if cluster is None:
        return kernel
    if not prune:
        return cluster_kernel(kernel, cluster)
    left = kernel != 0
    found = kernel.copy()
    found[left] = cluster_kernel(kernel[left], cluster)
    return found


def prune_kernel(kernel: np.ndarray, share: float) -> np.ndarray:
    """The kernel with ``floor(share N)`` of its N weights, the smallest, set to 0.

    Reference:
        Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
        https://arxiv.org/abs/1506.02626 (without the training that follows there)
    """
    count = int(share * kernel.size)
    found = kernel.copy()
    if count:
        sizes = np.abs(kernel).ravel()
        found.reshape(-1)[np.argpartition(sizes, count - 1)[:count]] = 0
    return found


def cluster_kernel(kernel: np.ndarray, count: int) -> np.ndarray:
    """The kernel with each weight replaced by the nearest of `count` values.

    The values are the means of their weights, by 20 rounds of Lloyd's algorithm on evenly spaced
    values.

    Reference:
        Han et al., Deep Compression, 2016, https://arxiv.org/abs/1510.00149 (linear
        initialisation)
    """
    if np.unique(kernel).size <= count:
        return kernel
    weights = np.sort(kernel.ravel().astype(np.float64))
    sums = np.concatenate([[0.0], weights.cumsum()])
    values = np.linspace(weights[0], weights[-1], count)
    for _ in range(_ROUNDS):
        edges = np.searchsorted(weights, (values[1:] + values[:-1]) / 2)
        edges = np.concatenate([[0], edges, [weights.size]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        values = np.where(sizes > 0, means, values)
    middles = (values[1:] + values[:-1]) / 2
    return values[np.searchsorted(middles, kernel)].astype(kernel.dtype)
