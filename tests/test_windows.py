"""Windows cover a video from end to end, and every picture of them is the right one."""

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_video, frames_of
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import focus
from violence_detection.focus import Motion, Region
from violence_detection.frames import ClipReader
from violence_detection.pictures import PictureMaker
from violence_detection.windows import (
    Slot,
    WindowPlan,
    pictures,
    plan_windows,
    regions,
)

needs_ffmpeg = pytest.mark.skipif(
    not shutil.which("ffmpeg"), reason="needs ffmpeg on the PATH"
)
STREAMS = ["rgb", "motion", "rgb+motion", "rgb(focus=true)+motion(focus=true)"]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """40 frames at 12 a second."""
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=40)


def picture_of(make, frames, slot) -> np.ndarray:
    """The pictures at a slot, made of frames that are all there."""
    needed = make.needed(slot.index, fps=12.0, last=len(frames) - 1)
    every = range(len(make.streams))
    prepared = {
        index: make.prepared(frame, slot.region, every)
        for index, frame in enumerate(frames)
    }
    return make.combined(needed, prepared)


# -- which windows

PLANS = st.builds(
    WindowPlan,
    st.integers(1, 50),
    st.integers(1, 80),
    st.integers(1, 400),
    fps=st.just(25.0),
    end_s=st.just(16.0),
)


@given(PLANS.filter(lambda plan: plan.length_frames <= plan.num_frames))
def test_windows_start_with_the_video_and_end_with_it(plan):
    starts = list(plan.starts())
    assert starts[0] == 0
    assert starts[-1] + plan.length_frames == plan.num_frames
    assert all(0 < step <= plan.stride_frames for step in np.diff(starts))


def test_windows_leave_no_frame_out(video):
    plan = plan_windows(video, window_s=1.0, stride_s=0.5)
    covered = {start + i for start in plan.starts() for i in range(plan.length_frames)}
    assert covered == set(range(40))
    assert plan == WindowPlan(12, 6, 40, 12.0, pytest.approx(40 / 12, abs=1e-3))


@pytest.mark.parametrize("window_s", [40 / 12, 30 / 12, 40 / 18, 9.0])
def test_a_video_of_up_to_one_and_a_half_windows_is_one(video, window_s):
    plan = plan_windows(video, window_s=window_s, stride_s=1.0)
    assert list(plan.starts()) == [0]
    assert plan.length_frames == 40


@needs_ffmpeg
def test_the_windows_of_a_video_of_unknown_length_reach_its_end(video, tmp_path):
    made = tmp_path / "a.mjpeg"
    subprocess.run(["ffmpeg", "-v", "error", "-i", video, made], check=True)
    plan = plan_windows(made, window_s=0.6, stride_s=0.3)
    assert plan == WindowPlan(15, 8, 40, 25.0, pytest.approx(40 / 25))


def test_windows_reach_the_end_of_a_file_that_declares_too_little(tmp_path):
    """Two AVI files, one behind the other: the header tells of the first alone."""
    single = draw_video(tmp_path / "a.avi", frames=40, fps=10, codec="MJPG")
    joined = tmp_path / "joined.avi"
    joined.write_bytes(single.read_bytes() * 2)
    frames = ClipReader(stream="rgb", frames=4, frame_size=32).read(joined).frames
    plan = plan_windows(joined, window_s=1.0, stride_s=1.0)
    assert plan.num_frames == frames
    assert list(plan.starts())[-1] == frames - plan.length_frames


@given(PLANS.filter(lambda plan: plan.length_frames <= plan.num_frames))
def test_a_window_looks_where_its_own_motion_is_or_that_of_its_surroundings(plan):
    own = list(plan.focus_spans(None))
    assert own == [(start, start + plan.length_frames) for start in plan.starts()]
    held = list(plan.focus_spans(2.0))
    assert len(held) == len(own) and held == sorted(held)
    for (start, end), window in zip(held, plan.starts(), strict=True):
        assert start % 50 == 0 and end == min(start + 50, plan.num_frames)
        assert start <= window + plan.length_frames // 2 < end


# -- their pictures


@pytest.mark.parametrize("stream", STREAMS)
def test_every_frame_passes_once_with_the_pictures_that_it_completes(video, stream):
    plan = plan_windows(video, window_s=1.0, stride_s=0.5)
    make, frames = PictureMaker(stream, frame_size=16), frames_of(video)
    left, right = Region(0, 0, 20, 30), Region(30, 10, 34, 38)
    slots = [
        Slot(0, left),
        Slot(3, None),
        Slot(3, left),
        Slot(4, right),
        Slot(25, left),
        Slot(39, right),
    ]
    seen = list(pictures(video, plan, make, iter(slots)))
    assert [index for index, _, _ in seen] == list(range(40))
    times_s = [time_s for _, time_s, _ in seen]
    np.testing.assert_allclose(times_s, np.arange(40) / 12, atol=1e-3)
    done = [one for _, _, done in seen for one in done]
    assert [slot for slot, _ in done] == slots
    for slot, made in done:
        assert made.shape == (len(make.streams), 16, 16, 3)
        np.testing.assert_array_equal(made, picture_of(make, frames, slot))


def test_pictures_hold_only_the_frames_that_are_still_needed(video, monkeypatch):
    from violence_detection import windows

    plan = plan_windows(video, window_s=1.0, stride_s=0.5)
    make, held = PictureMaker("motion", frame_size=16), []
    forget = windows._PendingPictures._forget

    def watched(self):
        forget(self)
        held.append(sum(map(len, self._frames.values())))

    monkeypatch.setattr(windows._PendingPictures, "_forget", watched)
    wanted = (Slot(index, None) for index in range(40))
    assert len(list(pictures(video, plan, make, wanted))) == 40
    assert max(held) <= 3 and held[-1] == 0


def test_regions_are_those_of_the_frames_in_each_part(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=60, size=(320, 240), seed=3)
    frames, spans = frames_of(path), [(0, 20), (0, 20), (10, 30), (24, 60)]
    found = list(regions(path, spans))
    for (first, end), region in zip(spans, found, strict=True):
        motion = Motion()
        for frame in frames[first : end : focus.EVERY]:
            motion.add(frame)
        assert region == motion.region()
        assert region is not None
    assert list(itertools.islice(regions(path, itertools.repeat((0, 20))), 3)) == (
        [found[0]] * 3
    )
