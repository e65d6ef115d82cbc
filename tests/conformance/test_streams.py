"""Every stream: a decoded frame in, the square picture that a backbone sees out."""

import cv2
import numpy as np
import pytest

from violence_detection import parts

NAMES = parts.available("streams")
SHAPES = [(48, 64, 3), (1, 1, 3), (2, 640, 3), (721, 405, 3), (32, 32, 3)]
each_stream = pytest.mark.parametrize("name", NAMES)


@each_stream
@pytest.mark.parametrize("shape", SHAPES)
def test_a_frame_of_any_shape_becomes_a_square_picture(name, shape, rng):
    frame = rng.integers(0, 256, shape, np.uint8)
    picture = parts.load("streams", name, frame_size=32)(frame)
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


@each_stream
def test_the_frame_is_left_as_it_was_and_the_picture_is_the_same_again(name, rng):
    frame = rng.integers(0, 256, (48, 64, 3), np.uint8)
    kept = frame.copy()
    see = parts.load("streams", name, frame_size=32)
    first, second = see(frame), see(frame)
    np.testing.assert_array_equal(frame, kept)
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, frame)


@each_stream
def test_the_resize_is_named_for_the_fingerprint(name):
    assert parts.module("streams", name).RESIZE


# -- golden, of rgb


def test_rgb_turns_the_colours_round_and_averages_areas(rng):
    frame = rng.integers(0, 256, (96, 64, 3), np.uint8)
    blocks = frame.reshape(32, 3, 32, 2, 3).mean((1, 3))[..., ::-1]
    picture = parts.load("streams", "rgb", frame_size=32)(frame)
    assert np.abs(picture - blocks).max() <= 0.5 + 1e-6


def test_rgb_at_its_own_size_is_the_frame_in_rgb(rng):
    frame = rng.integers(0, 256, (40, 40, 3), np.uint8)
    picture = parts.load("streams", "rgb", frame_size=40)(frame)
    np.testing.assert_array_equal(picture, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def test_rgb_of_one_colour_is_that_colour():
    picture = parts.load("streams", "rgb", frame_size=33)(
        np.full((47, 63, 3), (1, 2, 250), np.uint8)
    )
    assert np.unique(picture.reshape(-1, 3), axis=0).tolist() == [[250, 2, 1]]
