"""Clips for checking an exported model are those of the video, at the size that the model takes."""

import numpy as np
import pytest
from support.videos import draw_video

from violence_detection.errors import VideoError
from violence_detection.export import check_clips
from violence_detection.export.end_to_end_graph import FrameInput
from violence_detection.video.stream_set import StreamSet


def test_frames_are_those_of_the_video_in_its_order(tmp_path):
    video = draw_video(tmp_path / "a.mp4", frames=12)
    all_of_them = check_clips.read_frames(video, None, None, (12, 48, 64))
    assert all_of_them.shape == (12, 48, 64, 3) and all_of_them.dtype == np.uint8
    middle = check_clips.read_frames(video, None, None, (4, 48, 64))
    np.testing.assert_array_equal(middle, all_of_them[[1, 4, 7, 10]])
    part = check_clips.read_frames(video, 0.5, 1.0, (6, 48, 64))
    np.testing.assert_array_equal(part, all_of_them[6:])


def test_frames_of_another_size_are_brought_to_it(tmp_path):
    video = draw_video(tmp_path / "a.mp4", frames=3)
    assert check_clips.read_frame_size(video) == (48, 64)
    assert check_clips.read_frames(video, None, None, (3, 24, 40)).shape == (3, 24, 40, 3)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError):
        check_clips.read_frame_size(tmp_path / "text.mp4")


def test_the_most_common_size_is_at_most_640_wide():
    assert check_clips.most_common_size([(48, 64), (90, 160), (48, 64)]) == (48, 64)
    assert check_clips.most_common_size([(1080, 1920)]) == (360, 640)


@pytest.mark.parametrize(("stream", "count"), [("rgb", 4), ("motion", 50), ("rgb(focus=true)", 50)])
def test_a_stream_of_sampled_frames_needs_no_others(stream, count):
    streams = StreamSet(stream, frame_size=32)
    asked = {"count": 4, "size": (48, 64), "window_s": 2.0}
    chosen = check_clips.choose_frame_input(streams, [], fps=25.0, **asked)
    assert chosen == FrameInput(count, 48, 64, 25.0, 4)
