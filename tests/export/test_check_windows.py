"""Windows of videos as a user of an exported file cuts them, and as the run sees them."""

import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.export import check_windows
from violence_detection.export.check_windows import StreamSpec
from violence_detection.export.graphs.end_to_end_graph import FrameInput
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.video_file import VideoPart

SPEC = StreamSpec("rgb+motion", 4, 32)
ANY = FrameInput(sampled=4, takes_fps=True)


def read(path, folder, frame_input=ANY, window_s=1.0, part=(None, None)):
    return check_windows.read_windows(
        VideoPart(path, *part),
        window_s=window_s,
        frame_input=frame_input,
        spec=SPEC,
        folder=folder,
        name="0",
    )


def test_windows_are_half_a_window_apart_and_the_last_ends_with_the_video():
    starts = check_windows.window_starts(3.0, 1.0, frame_s=0.1)
    assert starts == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert check_windows.window_starts(1.3, 1.0, frame_s=0.1) == pytest.approx([0.0, 0.3])
    assert check_windows.window_starts(0.4, 1.0, frame_s=0.1) == [0.0]
    assert check_windows.window_starts(0.96, 1.0, frame_s=0.1) == [0.0]


def test_a_file_of_any_size_is_given_the_frames_of_the_video(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=18)
    video = read(path, tmp_path)
    every = np.array(frames_of(path))[..., ::-1]
    assert video.left_out == 0
    assert [window.fps for window in video.windows] == [12.0, 12.0]
    for window, first in zip(video.windows, (0, 6), strict=True):
        inputs = window.inputs(ANY)
        np.testing.assert_array_equal(inputs["frames"][0], every[first : first + 12])
        assert inputs["fps"] == [12.0]
        assert window.images.resized is window.images.resampled is window.images.given is None


def test_the_run_sees_the_images_that_it_was_trained_on(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=12)
    (window,) = read(path, tmp_path).windows
    extracted = ClipReader(stream=SPEC.stream, frames=4, frame_size=32).read(path).images
    np.testing.assert_array_equal(window.images.own, extracted)


def test_a_file_of_one_size_and_rate_is_given_frames_by_time(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=12)
    fixed = FrameInput(sampled=4, frames=6, height=24, width=40, fps=6.0)
    (window,) = read(path, tmp_path, fixed).windows
    inputs = window.inputs(fixed)
    assert list(inputs) == ["frames"] and inputs["frames"].shape == (1, 6, 24, 40, 3)
    images = window.images
    # Frames 1, 3, 5 ... are shown at the middles of six parts of a second.
    assert not np.array_equal(images.own, images.resampled)
    assert not np.array_equal(images.own, images.resized)
    assert not np.array_equal(images.given, images.resized)
    same_rate = FrameInput(sampled=4, frames=12, height=24, width=40, fps=12.0)
    (window,) = read(path, tmp_path, same_rate).windows
    assert window.images.resampled is None
    np.testing.assert_array_equal(window.images.given, window.images.resized)


def test_a_part_of_a_recording_is_cut_from_its_start(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=24)
    (window,) = read(path, tmp_path, part=(0.5, 1.5)).windows
    every = np.array(frames_of(path))[..., ::-1]
    np.testing.assert_array_equal(window.inputs(ANY)["frames"][0], every[6:18])


def test_of_a_long_video_eight_windows_are_read_and_the_others_counted(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=120)
    video = read(path, tmp_path)
    assert len(video.windows) == 8 and video.left_out == 11


def test_a_video_that_cannot_be_decoded_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError):
        read(tmp_path / "text.mp4", tmp_path)
