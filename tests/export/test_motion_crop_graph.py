"""The motion crop in a graph is the one of extraction, to the grey level."""

import cv2
import keras
import numpy as np
import pytest

from violence_detection.export.graphs.motion_crop_graph import MotionCropGraph
from violence_detection.video import motion_crop


def texture(rng, shape) -> np.ndarray:
    """A blurred noise image: smooth like a photo, and rough enough to show errors of a resize."""
    noise = rng.integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 1)


def moving(rng, *, height: int, width: int, count: int = 9) -> np.ndarray:
    """Frames of noise that does not move, with a bright square that moves."""
    frames = np.stack([texture(rng, (height, width, 3))] * count)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    for number, frame in enumerate(frames):
        at = left + 3 * number
        frame[top : top + height // 5, at : at + width // 6] = 255
    return frames


def crop_by_opencv(frames: np.ndarray, size: int) -> np.ndarray:
    motion = motion_crop.MotionMap()
    for frame in frames:
        motion.add(frame[..., ::-1])
    region = motion.region()
    cropped = [region.crop(frame) if region else frame for frame in frames]
    resized = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in cropped]
    return np.stack(resized)


@pytest.fixture(scope="module")
def cutter():
    """A graph that crops frames of 96 x 128 and resizes them to 16 x 16."""
    frames = keras.Input(batch_shape=(9, 96, 128, 3), dtype="float32")
    crop = MotionCropGraph(96, 128)
    position = crop.position(frames)
    images = crop.crop_and_resize(frames, position, 16)
    return keras.Model(frames, [images, position.top, position.left])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_crop_of_a_graph_is_that_of_extraction(cutter, seed):
    frames = moving(np.random.default_rng(seed), height=96, width=128)
    found = np.array(cutter(frames.astype(np.float32))[0])
    np.testing.assert_array_equal(found, crop_by_opencv(frames, 16))


@pytest.mark.slow
def test_without_motion_the_whole_frame_is_used(cutter, rng):
    frames = np.stack([texture(rng, (96, 128, 3))] * 9)
    found, top, left = map(np.array, cutter(frames.astype(np.float32)))
    assert (int(top), int(left)) == (0, 0)
    np.testing.assert_array_equal(found, crop_by_opencv(frames, 16))


@pytest.mark.slow
def test_a_square_further_right_is_cropped_further_right(cutter, rng):
    frames = np.full((9, 96, 128, 3), 40, np.float32)
    for number in range(9):
        frames[number, 30:50, 10 + number : 26 + number] = 250
    moved = np.roll(frames, 64, axis=2)
    first, second = (cutter(one) for one in (frames, moved))
    assert int(second[2]) - int(first[2]) == 64
    np.testing.assert_array_equal(first[0], second[0])
