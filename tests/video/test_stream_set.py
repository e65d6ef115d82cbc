"""Streams side by side: the frames that they need, and the same images from memory and file."""

import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import ConfigError
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import ORIGINAL, View


def test_each_stream_has_its_own_frames_and_none_outside_the_video():
    streams = StreamSet("rgb+motion", frame_size=32)
    assert streams.needed_frames(10, fps=30.0, last=99) == ((10,), (8, 10, 12))
    assert streams.needed_frames(0, fps=30.0, last=99) == ((0,), (0, 0, 2))
    assert streams.needed_frames(99, fps=30.0, last=99) == ((99,), (97, 99, 99))


@pytest.mark.parametrize(("fps", "reach"), [(30.0, 2), (60.0, 4), (5.0, 1), (0.0, 2)])
def test_the_furthest_frame_is_67_ms_away_and_one_frame_at_least(fps, reach):
    assert StreamSet("rgb+motion", frame_size=32).reach_frames(fps) == reach
    assert StreamSet("rgb", frame_size=32).reach_frames(fps) == 0


def test_a_set_is_focused_if_one_of_its_streams_is():
    assert StreamSet("rgb+motion(focus=true)", frame_size=32).focused
    assert not StreamSet("rgb+motion", frame_size=32).focused


@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)+rgb"])
def test_a_clip_in_memory_has_the_images_of_its_file(tmp_path, stream):
    path = draw_video(tmp_path / "a.avi", frames=20, size=(160, 120), seed=5)
    views = (ORIGINAL, View(mirror=True))
    reader = ClipReader(stream=stream, frames=4, frame_size=32)
    clip = reader.read(path, views=views[1:])
    images = reader.stream_set.images_of(
        frames_of(path), sample_indices(20, 4).tolist(), fps=clip.fps, views=views
    )
    np.testing.assert_array_equal(images, clip.views)


def test_a_stream_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="The stream must be one of .*Received: flow"):
        StreamSet("rgb+flow", frame_size=32)


@pytest.mark.parametrize("stream", ["motion(focus=true)+rgb", "rgb(focus=true)+motion(focus=true)"])
def test_stacked_streams_have_the_images_of_joined_ones_as_channels(tmp_path, stream):
    path = draw_video(tmp_path / "a.avi", frames=20, size=(160, 120), seed=5)
    views = (View(mirror=True),)
    joined = ClipReader(stream=stream, frames=4, frame_size=32).read(path, views=views)
    stacked = ClipReader(stream=stream.replace("+", "|"), frames=4, frame_size=32)
    clip = stacked.read(path, views=views)
    assert clip.views.shape == (2, 4, 1, 32, 32, 6)
    channels = np.concatenate([clip.views[..., :3], clip.views[..., 3:]], axis=2)
    np.testing.assert_array_equal(channels, joined.views)
    in_memory = stacked.stream_set.images_of(
        frames_of(path), sample_indices(20, 4).tolist(), fps=clip.fps, views=(ORIGINAL, *views)
    )
    np.testing.assert_array_equal(in_memory, clip.views)
