"""The grid of windows and moments, and the windows of gaps and odd frame times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.inference.sliding_windows import SlidingWindows, WindowPlan
from violence_detection.video.stream_set import StreamSet

SECONDS = st.floats(0, 1000)


class Frames:
    """A decoder of grey frames."""

    def retrieve(self) -> np.ndarray:
        return np.full((16, 24, 3), 9, np.uint8)


def windows_at(times_s, plan: WindowPlan, *, fps: float, stream: str = "rgb") -> list:
    windows = SlidingWindows(StreamSet(stream, frame_size=8), plan, fps=fps)
    found = [window for time_s in times_s for window in windows.add(time_s, Frames())]
    return [*found, *windows.end()]


def spans(windows) -> list[tuple[float, float]]:
    return [(round(window.start_s, 6), round(window.end_s, 6)) for window in windows]


# -- golden


def test_moments_are_in_the_middle_of_equal_steps():
    plan = WindowPlan(window_s=2.0, stride_s=1.0, count=4)
    assert plan.step_s == 0.5
    assert [plan.moment_s(moment) for moment in range(4)] == [0.25, 0.75, 1.25, 1.75]
    assert [plan.first_moment(start_s) for start_s in (0.0, 1.0, 1.2, 1.3)] == [0, 2, 2, 3]


def test_the_crop_of_a_window_is_chosen_on_the_window_or_on_its_interval():
    assert WindowPlan(2.0, 1.0, 4).span_s(3.0) == (3.0, 5.0)
    assert WindowPlan(2.0, 1.0, 4, focus_s=2.5).span_s(3.0) == (2.5, 5.0)


def test_windows_follow_each_other_by_the_stride():
    times_s = np.arange(30) / 10
    found = windows_at(times_s, WindowPlan(1.0, 0.5, 4), fps=10.0)
    assert spans(found) == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.5, 2.5), (2.0, 3.0)]
    assert all(window.images.shape == (1, 4, 1) for window in found)


def test_the_last_window_ends_with_the_video():
    found = windows_at(np.arange(23) / 10, WindowPlan(1.0, 1.0, 4), fps=10.0)
    assert spans(found) == [(0.0, 1.0), (1.0, 2.0), (1.3, 2.3)]


def test_a_video_shorter_than_a_window_is_one_window():
    assert spans(windows_at([0.0, 0.1, 0.2], WindowPlan(2.0, 1.0, 4), fps=10.0)) == [(0.0, 0.3)]


def test_no_window_contains_a_gap():
    times_s = np.concatenate([np.arange(10) / 10, 60 + np.arange(10) / 10])
    found = windows_at(times_s, WindowPlan(1.0, 1.0, 4), fps=10.0)
    assert spans(found) == [(0.0, 1.0), (60.0, 61.0)]


@pytest.mark.parametrize("declared", [0.0, 1e6])
def test_a_missing_or_impossible_rate_is_measured_on_the_frames(declared):
    found = windows_at(np.arange(40) / 10, WindowPlan(1.0, 1.0, 4), fps=declared)
    assert spans(found)[-1][1] == pytest.approx(4.0, abs=0.02)


def test_a_section_that_ends_before_its_first_moment_has_no_window():
    """A live connection that is lost after a frame or two must not end the capture."""
    plan = WindowPlan(2.0, 1.0, 4)
    assert windows_at([0.0, 0.1], plan, fps=10.0) == []
    times_s = [0.0, 0.1, *(5 + np.arange(20) / 10)]
    assert spans(windows_at(times_s, plan, fps=10.0)) == [(5.0, 7.0)]


# -- property


@given(SECONDS, st.floats(0.1, 10), st.integers(1, 40))
def test_the_first_moment_is_at_most_half_a_step_away(start_s, window_s, count):
    plan = WindowPlan(window_s, window_s, count)
    begin_s = plan.first_moment(start_s) * plan.step_s
    assert abs(begin_s - start_s) <= plan.step_s / 2 * (1 + 1e-6) + 1e-9


@given(SECONDS, st.floats(0.1, 10), st.floats(0.1, 30))
def test_the_interval_of_a_crop_contains_the_middle_of_the_window(start_s, window_s, focus_s):
    begin_s, end_s = WindowPlan(window_s, window_s, 4, focus_s).span_s(start_s)
    assert end_s - begin_s == pytest.approx(focus_s)
    assert begin_s - 1e-6 <= start_s + window_s / 2 <= end_s + 1e-6
