"""Every stream: frames of a video in, a square image for the backbone out."""

import cv2
import numpy as np
import pytest

from violence_detection import registry

NAMES = registry.available("streams")
SHAPES = [(48, 64, 3), (1, 1, 3), (2, 640, 3), (721, 405, 3), (32, 32, 3)]
each_stream = pytest.mark.parametrize("name", NAMES)


def image_of(stream, *frames: np.ndarray) -> np.ndarray:
    """The image of these frames; a single frame is repeated."""
    frames = frames * len(stream.offsets) if len(frames) == 1 else frames
    return stream.combine([stream.prepare(frame) for frame in frames])


@each_stream
@pytest.mark.parametrize("shape", SHAPES)
def test_frames_of_any_shape_become_a_square_image(name, shape, rng):
    stream = registry.load("streams", name, frame_size=32)
    frames = [rng.integers(0, 256, shape, np.uint8) for _ in stream.offsets]
    image = image_of(stream, *frames)
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@each_stream
def test_frames_are_not_changed_and_the_image_is_reproducible(name, rng):
    frame = rng.integers(0, 256, (48, 64, 3), np.uint8)
    kept = frame.copy()
    stream = registry.load("streams", name, frame_size=32)
    first, second = image_of(stream, frame), image_of(stream, frame)
    np.testing.assert_array_equal(frame, kept)
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, frame)
    assert not np.shares_memory(
        stream.prepare(frame), frame
    )  # a copy, so that the frame can be freed


@each_stream
def test_the_recipe_is_named_for_the_fingerprint(name):
    assert registry.module("streams", name).RECIPE


@each_stream
def test_every_stream_can_be_focused_and_uses_the_sampled_frame(name):
    assert registry.load("streams", name, frame_size=32).focus is False
    stream = registry.load("streams", f"{name}(focus=true)", frame_size=32)
    assert stream.focus is True and 0 in stream.offsets


# -- golden, of rgb


def rgb(size: int):
    return registry.load("streams", "rgb", frame_size=size)


def test_rgb_reverses_the_channels_and_averages_areas(rng):
    frame = rng.integers(0, 256, (96, 64, 3), np.uint8)
    blocks = frame.reshape(32, 3, 32, 2, 3).mean((1, 3))[..., ::-1]
    assert np.abs(image_of(rgb(32), frame) - blocks).max() <= 0.5 + 1e-6


def test_rgb_at_its_own_size_is_the_frame_in_rgb(rng):
    frame = rng.integers(0, 256, (40, 40, 3), np.uint8)
    expected = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(image_of(rgb(40), frame), expected)


def test_rgb_of_one_colour_is_that_colour():
    image = image_of(rgb(33), np.full((47, 63, 3), (1, 2, 250), np.uint8))
    assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [[250, 2, 1]]


# -- golden, of motion


def motion(size: int = 32):
    return registry.load("streams", "motion", frame_size=size)


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("levels", "channels"),
    [
        ((10, 10, 10), [0, 0, 0]),
        ((10, 20, 50), [30, 120, 90]),
        ((50, 20, 10), [90, 120, 30]),  # backwards, the outer channels are swapped
        ((0, 85, 86), [255, 255, 3]),
        ((0, 200, 100), [255, 255, 255]),
    ],
)
def test_motion_is_three_times_each_difference(levels, channels):
    image = image_of(motion(), *map(grey, levels))
    assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [channels]


def test_motion_is_zero_where_nothing_changes(rng):
    still = rng.integers(0, 100, (48, 64, 3), np.uint8)
    moved = still.copy()
    moved[:24, :32] += 20
    image = image_of(motion(), still, moved, still)
    assert (image[:15, :15, 0] > 40).all() and not image[:, :, 1].any()
    assert not image[18:].any() and not image[:, 18:].any()


@pytest.mark.parametrize(
    ("fps", "frames"),
    [
        (30, (8, 10, 12)),
        (60, (6, 10, 14)),
        (25, (8, 10, 12)),
        (12, (9, 10, 11)),
        (1, (9, 10, 11)),
    ],
)
def test_motion_compares_frames_67_ms_apart_or_the_next_frames(fps, frames):
    assert motion().frames(10, fps=fps, last=99) == frames


@pytest.mark.parametrize(("index", "frames"), [(0, (0, 0, 2)), (1, (0, 1, 3)), (9, (7, 9, 9))])
def test_motion_stops_at_the_ends_of_the_video(index, frames):
    assert motion().frames(index, fps=30, last=9) == frames
