"""The resize in a graph is OpenCV's, to the grey level."""

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.export.graphs import resize_graph

LENGTH = st.integers(1, 400)


def texture(rng, shape) -> np.ndarray:
    """A blurred noise image: smooth like a photo, and rough enough to show errors of a resize."""
    noise = rng.integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 1)


def by_graph(frames: np.ndarray, to: tuple[int, int]) -> np.ndarray:
    given = keras.Input(batch_shape=(None, *frames.shape[1:]), dtype="float32")
    built = keras.Model(given, resize_graph.resize(given, to))
    return np.array(built(frames.astype(np.float32)))


# -- golden


@pytest.mark.parametrize(
    "size", [(36, 64), (50, 81), (64, 64), (32, 32), (20, 24), (48, 20), (32, 90)]
)
def test_a_resize_is_that_of_opencv(rng, size):
    frames = np.stack([texture(rng, (*size, 3)) for _ in range(2)])
    expected = [cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA) for f in frames]
    found = by_graph(frames, (32, 32))
    np.testing.assert_array_equal(found, expected)


def test_halves_of_both_sides_are_rounded_up():
    frames = np.zeros((1, 4, 4, 1), np.uint8)
    frames[0, ::2, ::2] = 2  # a quarter of it: 0.5
    expected = cv2.resize(frames[0], (2, 2), interpolation=cv2.INTER_AREA)
    assert expected.max() == 1
    np.testing.assert_array_equal(by_graph(frames, (2, 2))[0, ..., 0], expected)


# -- relation and property


@given(LENGTH, LENGTH)
def test_every_row_is_a_mean_of_rows_that_are_there(length, to):
    how = resize_graph.resize_method(length, length, (to, to))
    found = resize_graph.taps(length, to, how)
    assert found.indices.min() >= 0 and found.indices.max() < length
    one = {
        resize_graph.BLOCK_MEAN: length // to,
        resize_graph.AREA: 1,
        resize_graph.LINEAR: resize_graph.LINEAR_STEPS,
    }[how]
    np.testing.assert_allclose(found.weights.sum(0) / one, 1, atol=2e-3)
    assert (found.weights >= 0).all()


@given(st.integers(1, 60), st.integers(1, 8))
def test_rows_that_go_evenly_are_plain_sums(to, times):
    found = resize_graph.taps(to * times, to, resize_graph.BLOCK_MEAN)
    np.testing.assert_array_equal(found.indices.T.ravel(), np.arange(to * times))
    assert (found.weights == 1).all()
