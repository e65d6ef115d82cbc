"""Frames are those at the middles of equal parts, and no more of the video is decoded."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.videos import draw_video, frames_of

from violence_detection.errors import ConfigError, VideoError
from violence_detection.video import frame_sampling
from violence_detection.video.decoding import decoder
from violence_detection.video.frame_sampling import read_frames, sample_frames, sample_indices

NUM_FRAMES, COUNT = st.integers(1, 10**7), st.integers(1, 1024)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """40 frames at 12 a second."""
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=40)


@pytest.fixture
def grabbed(monkeypatch) -> list[int]:
    """The number of decoded frames, for each time that a file is opened."""
    counts = []

    @contextlib.contextmanager
    def counted(path):
        with decoder.open_video(path) as video:
            counts.append(1)  # opening grabs the first frame
            grab = video._grab
            video._grab = lambda: (counts.append(counts.pop() + 1), grab())[1]
            yield video

    monkeypatch.setattr(frame_sampling, "open_video", counted)
    return counts


@pytest.mark.parametrize(
    ("num_frames", "count", "indices"),
    [
        (100, 4, [12, 37, 62, 87]),
        (10, 3, [1, 5, 8]),  # 1.67, 5, 8.33
        (4, 4, [0, 1, 2, 3]),
        (2, 4, [0, 0, 1, 1]),
        (1, 3, [0, 0, 0]),
        (7, 1, [3]),
    ],
)
def test_frames_are_nearest_to_the_middles_of_equal_parts(num_frames, count, indices):
    np.testing.assert_array_equal(sample_indices(num_frames, count), indices)


@given(NUM_FRAMES, COUNT)
def test_doubling_the_frame_rate_samples_the_same_moments(num_frames, count):
    twice = sample_indices(2 * num_frames, count)
    np.testing.assert_array_equal(twice // 2, sample_indices(num_frames, count))


@given(NUM_FRAMES, COUNT)
def test_a_video_backwards_is_sampled_at_the_mirrored_moments(num_frames, count):
    # Where a middle falls between two frames, the later one is taken both ways.
    indices = sample_indices(num_frames, count)
    middles = (2 * np.arange(count) + 1) * num_frames
    between = middles % (2 * count) == 0
    mirrored = num_frames - indices[::-1] - 1 + between[::-1]
    np.testing.assert_array_equal(indices, mirrored)


@given(NUM_FRAMES, COUNT)
def test_samples_are_in_order_in_range_and_evenly_apart(num_frames, count):
    indices = sample_indices(num_frames, count)
    assert indices.shape == (count,)
    assert indices.dtype == np.int64
    assert indices[0] >= 0
    assert indices[-1] < num_frames
    steps = np.diff(indices)
    assert set(steps.tolist()) <= {num_frames // count, -(-num_frames // count)}


@pytest.mark.parametrize(("name", "value"), [("num_frames", 0), ("count", -1)])
def test_fewer_than_one_is_refused(name, value):
    asked = {"num_frames": 5, "count": 5, name: value}
    with pytest.raises(ConfigError, match=f"`{name}` must be >= 1. Received: {name}={value}$"):
        sample_indices(**asked)


@pytest.mark.parametrize(
    ("count", "part", "indices"),
    [
        (4, (None, None), [5, 15, 25, 35]),
        (3, (1.0, 2.0), [14, 18, 22]),  # frames 12 to 23
        (5, (1.0, 1.2), [12, 12, 13, 14, 14]),  # frames 12 to 14
        (1, (3.0, 9.0), [38]),  # a part that begins in the file and ends after it
    ],
)
def test_sampled_frames_are_the_middles_of_equal_parts(video, count, part, indices):
    expected = frames_of(video)
    frames = sample_frames(video, count, start_s=part[0], end_s=part[1])
    np.testing.assert_array_equal(frames, [expected[index] for index in indices])


def test_reading_stops_after_the_last_wanted_frame(video, grabbed):
    sample_frames(video, 3, start_s=1.0, end_s=2.0)
    # Frame 24 is the first after the part; frame 22 is the last wanted one.
    assert grabbed == [25, 23]
    grabbed.clear()
    sample_frames(video, 2)
    assert grabbed == [40 + 1, 31]  # at the end of the file, one more grab fails


def test_only_the_result_of_prepare_is_kept(video):
    def brightest(frame):
        return frame.max()

    expected = [frame.max() for frame in frames_of(video)]
    assert sample_frames(video, 2, prepare=brightest) == [expected[10], expected[30]]


def test_a_frame_that_is_missing_at_the_second_reading_is_an_error(video):
    with pytest.raises(VideoError, match="but not at the second"):
        read_frames(video, [3, 40], lambda frame, _: frame)


def test_a_part_without_a_frame_is_an_error(video):
    with pytest.raises(VideoError, match="no frame of it can be decoded"):
        sample_frames(video, 2, start_s=7.0, end_s=8.0)
