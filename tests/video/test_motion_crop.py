"""The region of motion is the smallest possible; without motion it is the whole frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from violence_detection.video import motion_crop
from violence_detection.video.motion_crop import MotionMap, RecentMotion, Region, motion_region

MAPS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(64)),
    elements=st.floats(0, 50, width=32),
    fill=st.just(0.0),
)


def clip(*boxes: tuple[int, int], size=(360, 640), side=40) -> list[np.ndarray]:
    """Grey frames with a bright square whose corner is at (left, top) of each box."""
    frames = []
    for left, top in boxes:
        frame = np.full((*size, 3), 90, np.uint8)
        frame[top : top + side, left : left + side] = 250
        frames.append(frame)
    return frames


def region(frames) -> Region | None:
    motion = MotionMap()
    for frame in frames:
        motion.add(frame)
    return motion.region()


def by_brute_force(motion: np.ndarray) -> tuple[int, float]:
    """Side of the smallest square with 80% of the motion, and the motion in the fullest one."""
    rows, columns = motion.shape
    motion = motion.astype(np.float64)
    for side in range(12, max(rows, columns) + 2, 2):
        high, wide = min(side, rows), min(side, columns)
        most = max(
            motion[top : top + high, left : left + wide].sum()
            for top in range(rows - high + 1)
            for left in range(columns - wide + 1)
        )
        if most >= 0.8 * motion.sum() * (1 - 1e-9):
            return side, most
    raise AssertionError("the whole frame contains all motion")


# -- golden


def test_the_region_contains_what_moves():
    crop = region(clip((500, 60), (520, 80), (540, 100), (560, 120)))
    assert crop.left <= 500 and crop.left + crop.width >= 600
    assert crop.top <= 60 and crop.top + crop.height >= 160
    assert crop.width <= 200 and crop.height <= 200


def test_a_small_motion_has_the_smallest_square():
    crop = region(clip((100, 100), (104, 100), (100, 100), side=8))
    assert (crop.width, crop.height) == (120, 120)  # 12 of 64 columns of 640
    assert crop.left <= 100 <= crop.left + 120
    assert crop.top <= 100 <= crop.top + 120


def test_what_moves_is_in_the_middle_of_the_region():
    crop = region(clip((300, 160), (304, 160), (300, 160), side=8))
    assert abs(crop.left + 60 - 304) <= 10 and abs(crop.top + 60 - 164) <= 10


def test_without_motion_there_is_no_region():
    assert region(clip((10, 10), (10, 10), (10, 10))) is None
    assert region(clip((10, 10))) is None
    assert region([]) is None


def test_noise_is_not_motion(rng):
    noise = rng.integers(0, 24, (6, 90, 64, 3)).astype(np.uint8)
    assert region(list(90 + noise)) is None  # a pixel is a column


def test_a_frame_of_another_size_is_skipped():
    frames = clip((100, 100), (140, 100)) + clip((0, 0), size=(90, 90))
    assert region(frames[:2]).width == 120
    frames = clip((0, 0), size=(90, 90)) + frames[:2]
    assert region(frames).width == 120


# -- property


@pytest.mark.slow
@given(MAPS)
def test_the_region_is_the_smallest_square_and_nearly_the_fullest(motion):
    crop = motion_region(motion, (*motion.shape, 3))  # a pixel is a column
    if not motion.sum() > 0:
        assert crop is None
        return
    side, most = by_brute_force(motion)
    rows, columns = motion.shape
    assert (crop.width, crop.height) == (min(side, columns), min(side, rows))
    assert 0 <= crop.left <= columns - crop.width
    assert 0 <= crop.top <= rows - crop.height
    assert crop.crop(motion.astype(np.float64)).sum() >= 0.98 * most * (1 - 1e-9)


@pytest.mark.slow
@given(MAPS, st.integers(1, 2000), st.integers(1, 2000))
def test_the_region_lies_in_a_frame_of_any_size(motion, height, width):
    crop = motion_region(motion, (height, width, 3))
    if crop is not None:
        assert 0 <= crop.left < width and 0 < crop.width <= width
        assert 0 <= crop.top < height and 0 < crop.height <= height
        assert crop.left + crop.width <= width
        assert crop.top + crop.height <= height


# -- relation


def test_a_mirrored_clip_has_the_mirrored_region():
    frames = clip((500, 60), (520, 80), (540, 100), (560, 120))
    original, mirrored = region(frames), region([frame[:, ::-1] for frame in frames])
    assert original[2:] == mirrored[2:] and original.top == mirrored.top
    assert abs(original.left - (640 - mirrored.left - mirrored.width)) <= 10  # a column


def test_recent_motion_is_that_of_the_frames_in_the_span():
    frames = clip(*[(10 + 20 * number, 60) for number in range(12)])
    recent = RecentMotion()
    for number, frame in enumerate(frames):
        recent.add(motion_crop.FRAME_STEP * number, frame)
    for first in (0, 3, 8):
        for end in (12, 11):
            crop = recent.region_in(motion_crop.FRAME_STEP * first, motion_crop.FRAME_STEP * end)
            assert crop == region(frames[first:end])
    assert recent.region_in(99, 200) is None


def test_motion_in_an_ignored_polygon_does_not_count():
    """A clock in the corner moves more than what happens elsewhere."""
    frames = clip(*[(10 + 20 * number, 60) for number in range(6)])
    with_clock = [frame.copy() for frame in frames]
    height, width = frames[0].shape[:2]
    corner = np.s_[height * 3 // 4 :, width * 3 // 4 :]
    for number, frame in enumerate(with_clock):
        frame[corner] = 255 * (number % 2)
    regions = []
    polygon = [(0.74, 0.74), (1.0, 0.74), (1.0, 1.0), (0.74, 1.0)]
    for shown, ignored in ((frames, ()), (with_clock, ()), (with_clock, [polygon])):
        recent = RecentMotion(ignored)
        for number, frame in enumerate(shown):
            recent.add(number, frame)
        regions.append(recent.region_in(0, 10))
    assert regions[0] == regions[2] != regions[1]


def test_a_crop_is_never_empty():
    frame = np.zeros((10, 20, 3), np.uint8)
    assert Region(15, 5, 10, 10).crop(frame).shape == (5, 5, 3)
    assert Region(500, 500, 10, 10).crop(frame).shape == (1, 1, 3)
