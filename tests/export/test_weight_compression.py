"""Fewer weights and fewer values, and no more change than that takes."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.export.weight_compression import (
    cluster_kernel,
    compress,
    compress_kernel,
    prune_kernel,
)

SHARE, COUNT = st.floats(0, 0.95), st.integers(2, 32)


def kernel(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (20, 30)).astype(np.float32)


def test_the_smallest_weights_are_pruned():
    given = np.array([[0.5, -3.0], [0.1, -0.2]], np.float32)
    np.testing.assert_array_equal(prune_kernel(given, 0.5), [[0.5, -3.0], [0, 0]])


def test_two_values_of_two_heaps_are_their_means():
    given = np.array([0.0, 2.0, 10.0, 14.0], np.float32)
    np.testing.assert_array_equal(cluster_kernel(given, 2), [1, 1, 12, 12])


@given(SHARE)
def test_as_many_are_zero_as_were_asked_for(share):
    assert np.sum(prune_kernel(kernel(), share) == 0) == int(share * 600)


@given(COUNT)
def test_more_values_are_nearer(count):
    few, more = (cluster_kernel(kernel(), n) for n in (count, 2 * count))
    assert np.unique(few).size <= count
    error = [np.square(one - kernel()).sum() for one in (few, more)]
    assert error[1] <= error[0]


@given(SHARE, COUNT)
def test_what_is_pruned_stays_zero_among_the_clusters(share, count):
    both = compress_kernel(kernel(), prune=share, cluster=count)
    assert (both[prune_kernel(kernel(), share) == 0] == 0).all()
    assert np.unique(both).size <= count + 1


def test_kernels_alone_are_changed():
    layers = [keras.layers.Dense(6), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((4,)), *layers])
    layers[0].bias.assign(np.arange(6, dtype=np.float32))
    before = [np.array(one) for one in model.weights]
    compress(model, prune=0.5, cluster=None)
    after = [np.array(one) for one in model.weights]
    same = [np.array_equal(x, y) for x, y in zip(before, after, strict=True)]
    assert same == [False] + [True] * 5
    assert np.mean(after[0] == 0) == pytest.approx(0.5)
