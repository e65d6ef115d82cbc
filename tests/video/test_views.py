"""Views are mirrored, cropped and brightened as their attributes say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.videos import draw_video

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.video import views
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.views import ORIGINAL, View

DIGEST = "ab" * 32


@pytest.fixture
def frame(rng):
    return rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_original_view_changes_nothing(frame):
    np.testing.assert_array_equal(ORIGINAL.apply(frame), frame)


def test_a_mirrored_view_has_left_and_right_swapped(frame):
    np.testing.assert_array_equal(View(mirror=True).apply(frame), frame[:, ::-1])


@pytest.mark.parametrize("left, top, corner", [(0, 0, (0, 0)), (1, 1, (4, 6)), (0, 1, (4, 0))])
def test_a_crop_keeps_its_fraction_of_each_side(frame, left, top, corner):
    view = View(kept_fraction=0.9, left=left, top=top).apply(frame)
    y, x = corner
    np.testing.assert_array_equal(view, frame[y : y + 36, x : x + 54])


def test_brightness_is_multiplied_and_clipped(frame):
    view = View(gain=1.2).apply(frame)
    expected = np.minimum(np.rint(frame.astype(float) * 1.2), 255)
    assert np.abs(view - expected).max() <= 1


def test_a_frame_of_one_pixel_has_every_view():
    drawn = views.draw_views(20, DIGEST)
    assert len(drawn) == 20
    for view in drawn:
        assert view.apply(np.full((1, 1, 3), 100, np.uint8)).shape == (1, 1, 3)


@given(st.integers(0, 30), st.integers(0, 30))
def test_more_views_begin_with_the_same_views(few, more):
    few, more = sorted((few, more))
    assert views.draw_views(more, DIGEST)[:few] == views.draw_views(few, DIGEST)


def test_views_differ_from_each_other_and_between_videos():
    drawn = views.draw_views(9, DIGEST)
    assert drawn[0] == View(mirror=True)
    assert len(set(drawn)) == 9
    assert sum(view.mirror for view in drawn) == 5
    assert not set(drawn[1:]) & set(views.draw_views(9, "cd" * 32))
    for view in drawn[1:]:
        assert 0.85 <= view.kept_fraction < 1 and 0.8 <= view.gain < 1.2


@pytest.mark.parametrize("stream", ["rgb", "rgb(focus=true)+motion(focus=true)"])
def test_a_clip_in_a_view_is_the_clip_of_changed_frames(tmp_path, stream):
    path = draw_video(tmp_path / "a.mp4", frames=20)
    reader = ClipReader(stream=stream, frames=4, frame_size=48)
    clip = reader.read(path, views=[View(mirror=True), ORIGINAL])
    assert clip.views.shape == (3, *clip.images.shape)
    np.testing.assert_array_equal(clip.views[2], clip.images)
    np.testing.assert_array_equal(reader.read(path).images, clip.images)
    mirrored = clip.images[:, :, :, ::-1].astype(int)
    assert np.abs(clip.views[1] - mirrored).max() <= 6  # of three roundings of areas
    assert (clip.views[1] != clip.images).any()


KINDS = views.check_kinds(["blur(sigma=4)", "noise", "downscale"])


def test_views_of_kinds_show_the_corruptions_in_turn():
    drawn = views.draw_views(4, DIGEST, KINDS)
    assert [view.kind for view in drawn] == ["blur(sigma=4)", "noise", "downscale", "blur(sigma=4)"]
    assert len({view.seed for view in drawn}) == 4
    assert drawn == views.draw_views(4, DIGEST, KINDS)
    assert drawn[1].seed != views.draw_views(2, "cd" * 32, KINDS)[1].seed


def test_a_view_of_a_kind_is_the_corruption_of_the_whole_frame(frame):
    for view in views.draw_views(3, DIGEST, KINDS):
        changed = view.degrade(frame, 7)
        assert changed.shape == frame.shape  # it is smaller than what downscale leaves as it is
        if view.kind == "blur(sigma=4)":
            expected = registry.load("corruptions", view.kind).draw(None)(frame, 0)
            np.testing.assert_array_equal(changed, expected)
        np.testing.assert_array_equal(view.degrade(frame, 7), changed)
        np.testing.assert_array_equal(view.apply(frame), frame)


@pytest.mark.parametrize("spec", ["compress", "drop_frames"])
def test_a_kind_changes_single_frames(spec):
    with pytest.raises(ConfigError, match="must be corruptions of single frames"):
        views.check_kinds([spec])


@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)"])
def test_a_clip_in_a_view_of_a_kind_is_the_clip_of_a_corrupted_video(stream, tmp_path):
    """For rgb: in a worse picture the region of motion is that of the video as it is."""
    path = draw_video(tmp_path / "a.mp4", frames=20, size=(120, 90))
    reader = ClipReader(stream=stream, frames=4, frame_size=32)
    [view] = views.draw_views(1, DIGEST, views.check_kinds(["contrast(factor=0.3)"]))
    original, changed = reader.read(path, views=[view]).views
    assert not np.array_equal(original, changed)
    if stream == "rgb":
        levels = np.rint(128 + 0.3 * (np.arange(256) - 128.0))
        np.testing.assert_allclose(changed, levels[original], atol=2)


@pytest.mark.parametrize("kind", ["mirror", "crop", "downscale", "rotate", "shift", "shake"])
def test_a_view_that_moves_the_picture_is_cropped_to_the_motion_in_it(kind, tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=20, size=(240, 160))
    reader = ClipReader(stream="motion(focus=true)", frames=4, frame_size=32)
    [view] = views.draw_views(1, DIGEST, views.check_kinds([kind]))
    with open_video(path) as video:
        frames, fps = [video.retrieve() for _ in video], video.fps
    moved = [view.degrade(frame, number) for number, frame in enumerate(frames)]
    expected = reader.stream_set.images_of(moved, sample_indices(20, 4).tolist(), fps=fps)
    read = reader.read(path, views=[view]).views[1]
    assert read.max() > 100  # the square is in it
    np.testing.assert_array_equal(read, expected[0])
