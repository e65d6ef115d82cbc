"""Corrupted copies are read as any video: an uncorrupted copy gives the same images."""

import numpy as np
import pytest
from support.encoding import encode
from support.videos import draw_video

from violence_detection import registry
from violence_detection.errors import ConfigError, VideoError
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.video_file import VideoPart

STREAM = "rgb+motion(focus=true)"


def read(path, condition, *, part=(None, None), seed=1, stream=STREAM):
    reader = ClipReader(stream=stream, frames=6, frame_size=32)
    copy = path.with_name("copy.avi")
    clip = corrupted_video.read_corrupted(reader, VideoPart(path, *part), condition, copy, seed)
    assert not copy.exists()
    return clip


def assert_same(clip, expected):
    np.testing.assert_array_equal(clip.images, expected.images)
    assert clip.frames == expected.frames
    assert clip.fps == pytest.approx(expected.fps, rel=1e-3)
    assert clip.duration_s == pytest.approx(expected.duration_s, rel=1e-3)


# -- relation: the control


@pytest.mark.parametrize("fps", [10.0, 23.976, 29.97])
def test_an_uncorrupted_copy_is_read_as_the_video(tmp_path, fps):
    path = draw_video(tmp_path / "a.mp4", frames=31, fps=fps)
    assert_same(read(path, CONTROL), read(path, CLEAN))


@pytest.mark.parametrize("part", [(0.0, 0.7), (0.51, 1.49), (1.2, 9.0)])
def test_an_uncorrupted_part_keeps_the_frames_around_it(tmp_path, part):
    path = draw_video(tmp_path / "a.mp4", frames=60, fps=25.0)
    assert_same(read(path, CONTROL, part=part), read(path, CLEAN, part=part))


@pytest.mark.slow
def test_an_uncorrupted_part_can_be_reached_by_seeking(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=1000, size=(48, 32), g=25)
    source = VideoPart(path, 30.0, 31.0)
    assert corrupted_video._seekable_frames(source) is not None
    part = source[1:]
    assert_same(read(path, CONTROL, part=part), read(path, CLEAN, part=part))


def test_a_varying_rate_becomes_the_mean_rate(tmp_path):
    """Frames are sampled by number, so a copy with even times has the same samples."""
    times = np.cumsum([0, *[1, 5] * 15])
    path = encode(tmp_path / "a.mp4", frames=31, fps=30, times=times.tolist())
    clean, control = read(path, CLEAN, stream="rgb"), read(path, CONTROL, stream="rgb")
    np.testing.assert_array_equal(control.images, clean.images)
    assert control.fps == pytest.approx(10.0, rel=0.05)


def test_an_odd_side_loses_a_row(tmp_path):
    path = encode(tmp_path / "a.mkv", frames=8, size=(49, 33), pixels="yuv444p")
    clean, control = read(path, CLEAN), read(path, CONTROL)
    assert clean.frames == control.frames == 8


# -- corruption


@pytest.mark.parametrize("name", registry.available("corruptions"))
def test_a_corrupted_video_has_the_same_duration_and_other_images(tmp_path, name):
    path = draw_video(tmp_path / "a.mp4", frames=40, fps=20.0, size=(160, 120))
    clean, corrupted = read(path, CLEAN, stream="rgb"), read(path, name, stream="rgb")
    assert corrupted.duration_s == pytest.approx(clean.duration_s, abs=0.2)
    assert not corrupted.damage
    assert not np.array_equal(corrupted.images, clean.images)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.available("corruptions"))
def test_a_corrupted_part_is_that_part(tmp_path, name):
    """The background of frame i has brightness 20 + 4 i, so the images show their time."""
    path = draw_video(tmp_path / "a.mp4", frames=50, fps=20.0, size=(160, 120))
    clean, corrupted = (
        read(path, condition, part=(1.0, 2.0), stream="rgb") for condition in (CLEAN, name)
    )
    assert corrupted.duration_s == pytest.approx(1.0, abs=0.2)
    if name in ("contrast", "darken", "flicker", "fog", "infrared"):  # they change brightness
        return
    expected, levels = (np.median(c.images, axis=(1, 2, 3, 4)) for c in (clean, corrupted))
    np.testing.assert_allclose(levels, expected, atol=4 * 4)  # at most four frames away


def test_joined_corruptions_are_applied_in_order(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=20, fps=20.0)
    twice = read(path, "mirror+mirror", stream="rgb")
    np.testing.assert_array_equal(twice.images, read(path, CLEAN, stream="rgb").images)
    joined = read(path, "drop_frames+mirror", stream="rgb")
    single = read(path, "drop_frames", stream="rgb")
    assert joined.frames == single.frames == 5
    assert not np.array_equal(joined.images, single.images)


def test_random_corruptions_depend_on_the_seed_only(tmp_path):
    path = draw_video(tmp_path / "a.mp4")
    first, again, second = (read(path, "noise", seed=seed) for seed in (1, 1, 2))
    assert_same(first, again)
    assert not np.array_equal(first.images, second.images)


def test_a_condition_is_written_out_with_every_severity():
    assert corrupted_video.full_condition("darken") == "darken(gamma=2.5)"
    assert corrupted_video.full_condition("blur(sigma=1.0)+mirror") == "blur(sigma=1.0)+mirror"
    full = "compress(bits_per_pixel=0.1, codec=h264)"
    assert corrupted_video.full_condition("compress(bits_per_pixel=0.1)") == full


# -- error


def test_an_unknown_condition_is_refused():
    with pytest.raises(ConfigError, match="The corruption must be one of .*. Received: smoke"):
        corrupted_video.full_condition("smoke")
    with pytest.raises(ConfigError, match="The corruption darken takes gamma. Received"):
        corrupted_video.full_condition("darken(sigma=1)")


@pytest.mark.parametrize("condition", [CLEAN, CONTROL, "darken"])
def test_a_file_that_is_not_a_video_has_the_usual_error(tmp_path, condition):
    path = tmp_path / "a.mp4"
    path.write_text("not a video")
    with pytest.raises(VideoError, match="not a video that can be opened"):
        read(path, condition)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("condition", [CONTROL, "drop_frames"])
def test_a_part_after_the_end_has_no_frame(tmp_path, condition):
    path = draw_video(tmp_path / "a.mp4", frames=12, fps=12.0)
    with pytest.raises(VideoError, match="no frame"):
        read(path, condition, part=(5.0, 6.0))


def test_an_incomplete_copy_is_an_error(tmp_path, monkeypatch):
    """For example on a full disk, which OpenCV's writer does not report."""
    path = draw_video(tmp_path / "a.mp4", frames=24)
    write = corrupted_video.write_video

    def torn(copy, video):
        count = write(copy, video)
        copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
        return count

    monkeypatch.setattr(corrupted_video, "write_video", torn)
    with pytest.raises(VideoError, match="of 24 frames of its corrupted copy .* disk"):
        read(path, CONTROL)
