"""The resize and the focus in a graph are OpenCV's, and ours, to a grey level."""

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.export import resize_graph
from violence_detection.export.motion_crop_graph import MotionCropGraph
from violence_detection.video import motion_crop

LENGTH = st.integers(1, 400)


def texture(rng, shape) -> np.ndarray:
    """Smooth enough to be a picture, rough enough to tell a resize by."""
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


# -- focus


def moving(rng, *, height: int, width: int, count: int = 9) -> np.ndarray:
    """Frames of noise that stands still, in which a bright square moves."""
    frames = np.stack([texture(rng, (height, width, 3))] * count)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    for number, frame in enumerate(frames):
        at = left + 3 * number
        frame[top : top + height // 5, at : at + width // 6] = 255
    return frames


def cut_by_opencv(frames: np.ndarray, size: int) -> np.ndarray:
    motion = motion_crop.MotionMap()
    for frame in frames:
        motion.add(frame[..., ::-1])
    region = motion.region()
    cut = [region.cut(frame) if region else frame for frame in frames]
    return np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA) for one in cut])


@pytest.fixture(scope="module")
def cutter():
    """A graph that looks at frames of 96 x 128 and cuts them to 16 x 16."""
    given = keras.Input(batch_shape=(9, 96, 128, 3), dtype="float32")
    found = MotionCropGraph(96, 128)
    place = found.place(given)
    return keras.Model(given, [found.resized(given, place, 16), place.top, place.left])


@pytest.mark.parametrize("seed", range(6))
def test_the_focus_of_a_graph_is_that_of_extraction(cutter, seed):
    frames = moving(np.random.default_rng(seed), height=96, width=128)
    found = np.array(cutter(frames.astype(np.float32))[0])
    np.testing.assert_array_equal(found, cut_by_opencv(frames, 16))


def test_where_nothing_moves_the_whole_picture_is_seen(cutter, rng):
    frames = np.stack([texture(rng, (96, 128, 3))] * 9)
    found, top, left = map(np.array, cutter(frames.astype(np.float32)))
    assert (int(top), int(left)) == (0, 0)
    np.testing.assert_array_equal(found, cut_by_opencv(frames, 16))


def test_a_square_further_right_is_cut_further_right(cutter, rng):
    frames = np.full((9, 96, 128, 3), 40, np.float32)
    for number in range(9):
        frames[number, 30:50, 10 + number : 26 + number] = 250
    moved = np.roll(frames, 64, axis=2)
    first, second = (cutter(one) for one in (frames, moved))
    assert int(second[2]) - int(first[2]) == 64
    np.testing.assert_array_equal(first[0], second[0])
