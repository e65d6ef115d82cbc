"""Weight pruning and clustering, which make a zipped model smaller."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

_ROUNDS = 20


def compress(model: "keras.Model", *, prune: float, cluster: int | None) -> None:
    """Prunes every kernel of a model, and then clusters its other weights.

    Kernels are weights of two or more dimensions; biases and scales are not changed.

    Args:
        model: Changed in place.
        prune: Fraction of each kernel that becomes 0.
        cluster: Count of values that the other weights may have; None does not cluster.
    """
    for variable in model.weights:
        if len(variable.shape) >= 2:
            variable.assign(compress_kernel(np.array(variable), prune=prune, cluster=cluster))


def compress_kernel(kernel: np.ndarray, *, prune: float, cluster: int | None) -> np.ndarray:
    """The kernel, pruned and then clustered; pruned weights stay 0."""
    kernel = prune_kernel(kernel, prune)
    if cluster is None:
        return kernel
    if not prune:
        return cluster_kernel(kernel, cluster)
    remaining = kernel != 0
    compressed = kernel.copy()
    compressed[remaining] = cluster_kernel(kernel[remaining], cluster)
    return compressed


def prune_kernel(kernel: np.ndarray, fraction: float) -> np.ndarray:
    """The kernel with the ``floor(fraction N)`` smallest of its N weights set to 0.

    Reference:
        Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
        https://arxiv.org/abs/1506.02626 (without the fine-tuning of the paper)
    """
    count = int(fraction * kernel.size)
    pruned = kernel.copy()
    if count:
        magnitudes = np.abs(kernel).ravel()
        pruned.reshape(-1)[np.argpartition(magnitudes, count - 1)[:count]] = 0
    return pruned


def cluster_kernel(kernel: np.ndarray, count: int) -> np.ndarray:
    """The kernel with each weight replaced by the nearest of `count` values.

    The values are the means of their weights, after 20 rounds of Lloyd's algorithm from evenly
    spaced values.

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
