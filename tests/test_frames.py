"""The right frames, upright and in order, from whatever FFmpeg decodes; the rest is named."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import draw_video
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError, VideoError
from violence_detection.frames import Clip, ClipReader, WindowPlan, sample_indices

NUM_FRAMES, COUNT = st.integers(1, 10**7), st.integers(1, 1024)
needs_ffmpeg = pytest.mark.skipif(
    not shutil.which("ffmpeg"), reason="needs ffmpeg on the PATH"
)


def ffmpeg(*arguments: object) -> Path:
    """Run ffmpeg; the last argument is the file that it writes."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)
    return Path(arguments[-1])


def reader(frames: int = 4, frame_size: int = 32) -> ClipReader:
    return ClipReader(stream="rgb", frames=frames, frame_size=frame_size)


def frames_seen(pictures: np.ndarray) -> list[int]:
    """Which frames of `draw_video` these are, told by the brightness of a corner."""
    corners = pictures[:, :3, :3].mean((1, 2, 3))
    return np.rint((corners - 18) / 4).astype(int).tolist()


def message_of(path: Path, **part) -> str:
    with pytest.raises(VideoError) as raised:
        reader().read(path, **part)
    return str(raised.value)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """40 frames at 12 a second."""
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=40)


# -- sampling


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
    with pytest.raises(
        ConfigError, match=f"`{name}` must be >= 1. Received: {name}={value}$"
    ):
        sample_indices(**asked)


# -- healthy videos


@pytest.mark.parametrize("count", [1, 4, 7, 40, 64])
def test_exactly_the_sampled_frames_are_read(video, count):
    clip = reader(count).read(video)
    assert frames_seen(clip.pictures) == sample_indices(40, count).tolist()
    assert (clip.frames, clip.fps, clip.damage) == (40, 12.0, "")
    assert clip.duration_s == pytest.approx(40 / 12)


def test_pictures_are_uint8_rgb_of_the_size_asked_for(tmp_path):
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 0] = 200  # OpenCV's order is BGR
    writer = cv2.VideoWriter(
        str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48)
    )
    writer.write(blue)
    writer.release()
    pictures = reader(2, frame_size=40).read(tmp_path / "a.avi").pictures
    assert pictures.shape == (2, 40, 40, 3)
    assert pictures.dtype == np.uint8
    assert np.abs(pictures.mean((0, 1, 2)) - [0, 0, 200]).max() < 5


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_video_shorter_than_the_clip_repeats_frames(tmp_path, frames):
    clip = reader(8).read(draw_video(tmp_path / "a.mp4", frames=frames))
    assert frames_seen(clip.pictures) == sample_indices(frames, 8).tolist()
    assert (clip.frames, clip.damage) == (frames, "")


@pytest.mark.parametrize("size", [(63, 47), (17, 199), (640, 2)])
def test_odd_sizes_are_read(tmp_path, size):
    clip = reader().read(
        draw_video(tmp_path / "a.avi", frames=5, size=size, codec="MJPG")
    )
    assert clip.pictures.shape == (4, 32, 32, 3)
    assert clip.frames == 5


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "XVID"), ("a.mkv", "mp4v"), ("a.webm", "VP80")]
)
def test_other_containers_and_codecs_give_the_same_frames(tmp_path, name, codec):
    clip = reader(5).read(draw_video(tmp_path / name, frames=40, codec=codec))
    assert frames_seen(clip.pictures) == sample_indices(40, 5).tolist()


@needs_ffmpeg
def test_a_rotated_video_comes_upright(tmp_path):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24] = 255  # white above
    cv2.imwrite(str(tmp_path / "a.png"), upright)
    plain = ffmpeg(
        "-loop", 1, "-i", tmp_path / "a.png", "-frames:v", 5, tmp_path / "a.mp4"
    )
    rotate = ("-c", "copy", "-metadata:s:v", "rotate=180")
    turned = ffmpeg("-i", plain, *rotate, tmp_path / "turned.mp4")
    above, below = (
        reader().read(path).pictures[0, :16].mean() for path in (plain, turned)
    )
    assert above > 240
    assert below < 15


@needs_ffmpeg
def test_a_variable_frame_rate_counts_frames_and_lasts_its_timestamps(video, tmp_path):
    # 20 frames, then every fourth of 20: 25 frames in the time of 40, less 3 after the last.
    keep = (
        "-vf",
        "select='if(lt(n,20),1,not(mod(n,4)))'",
        "-vsync",
        "vfr",
        "-c:v",
        "libx264",
    )
    clip = reader(25).read(ffmpeg("-i", video, *keep, tmp_path / "a.mp4"))
    assert clip.frames == 25
    assert clip.damage == ""
    assert frames_seen(clip.pictures) == [*range(20), 20, 24, 28, 32, 36]
    assert clip.duration_s == pytest.approx(37 / 12, abs=0.03)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.ts", "a.mjpeg", "a.webm", "a.flv"])
def test_containers_that_do_not_say_their_length_are_counted(video, tmp_path, name):
    made = ffmpeg("-i", video, "-qscale:v", 2, "-b:v", "1M", tmp_path / name)
    clip = reader(5).read(made)
    assert clip.frames == 40
    assert clip.damage == ""
    assert (
        np.abs(np.subtract(frames_seen(clip.pictures), [4, 12, 20, 28, 36])).max() <= 1
    )


# -- parts of a recording


def test_a_part_is_sampled_from_its_own_frames(video):
    clip = reader(4).read(video, start_s=1.0, end_s=2.0)
    assert frames_seen(clip.pictures) == (12 + sample_indices(12, 4)).tolist()
    assert (clip.frames, clip.duration_s) == (12, pytest.approx(1.0))


def test_the_parts_of_a_video_make_the_whole(video):
    bounds = [0, 0.7, 1.9, 3.0, 99]
    parts = [
        reader().read(video, a, b) for a, b in zip(bounds, bounds[1:], strict=False)
    ]
    assert sum(part.frames for part in parts) == 40
    assert sum(part.duration_s for part in parts) == pytest.approx(40 / 12)


def test_a_part_beyond_the_end_is_refused(video):
    assert message_of(video, start_s=30.0, end_s=300.0) == (
        "no frame lies between 30 and 300 s (it ends at 3.2 s)"
    )


# -- videos that cannot be read


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    assert message_of(tmp_path / "text.mp4") == "not a video that can be opened"
    assert message_of(tmp_path / "empty.mp4") == "the file is empty"
    assert message_of(tmp_path / "folder.mp4") == "it cannot be read: Is a directory"
    assert message_of(tmp_path / "none.mp4") == "no such file"


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_truncated_mp4_cannot_be_opened(tmp_path):
    assert (
        message_of(cut(draw_video(tmp_path / "a.mp4"), 0.5))
        == "not a video that can be opened"
    )


def test_a_truncated_avi_is_sampled_from_what_is_left_and_marked(tmp_path):
    path = cut(draw_video(tmp_path / "a.avi", frames=40, codec="MJPG"), 0.6)
    clip = reader(5).read(path)
    assert 10 < clip.frames < 30
    assert clip.damage == f"{clip.frames} of 40 declared frames can be decoded"
    assert frames_seen(clip.pictures) == sample_indices(clip.frames, 5).tolist()


def test_a_video_with_too_few_sound_frames_is_refused(tmp_path):
    path = cut(draw_video(tmp_path / "a.avi", frames=40, codec="MJPG"), 0.3)
    left = reader(1).read(path).frames
    with pytest.raises(VideoError) as raised:
        reader(20).read(path)
    assert (
        str(raised.value)
        == f"{left} of 40 declared frames can be decoded; 10 are needed"
    )


@needs_ffmpeg
def test_a_sound_without_a_picture_is_no_video(tmp_path):
    path = ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", tmp_path / "a.mp4")
    assert message_of(path) == "not a video that can be opened"


def test_a_frame_declared_beyond_the_limit_is_refused(video, monkeypatch):
    monkeypatch.setattr("violence_detection.frames.MAX_PIXELS", 64 * 48 - 1)
    assert message_of(video) == "its frames are declared as 64x48, over the limit"


def test_mutated_files_are_read_or_refused_and_never_crash(tmp_path, rng):
    sound = draw_video(tmp_path / "a.mp4", frames=20).read_bytes()
    for number in range(60):
        content = np.frombuffer(sound, np.uint8).copy()
        places = rng.integers(0, len(content), 30)
        content[places] = rng.integers(0, 256, len(places))
        (tmp_path / "b.mp4").write_bytes(content.tobytes())
        try:
            clip = reader().read(tmp_path / "b.mp4")
        except VideoError as error:
            assert str(error), number
        else:
            assert isinstance(clip, Clip)
            assert clip.pictures.shape == (4, 32, 32, 3)


# -- windows

PLANS = st.builds(
    WindowPlan, st.integers(1, 50), st.integers(1, 80), st.integers(1, 400)
)


@given(PLANS.filter(lambda plan: plan.length_frames <= plan.num_frames))
def test_windows_start_with_the_video_and_end_with_it(plan):
    starts = list(plan.starts())
    assert starts[0] == 0
    assert starts[-1] + plan.length_frames == plan.num_frames
    assert all(0 < step <= plan.stride_frames for step in np.diff(starts))


def test_windows_leave_no_frame_out(video):
    plan = reader().plan(video, window_s=1.0, stride_s=0.5)
    covered = {start + i for start in plan.starts() for i in range(plan.length_frames)}
    assert covered == set(range(40))
    assert plan == WindowPlan(12, 6, 40, 12.0, pytest.approx(40 / 12, abs=1e-3))


@pytest.mark.parametrize("window_s", [40 / 12, 30 / 12, 40 / 18, 9.0])
def test_a_video_of_up_to_one_and_a_half_windows_is_one(video, window_s):
    plan = reader().plan(video, window_s=window_s, stride_s=1.0)
    assert list(plan.starts()) == [0]
    assert plan.length_frames == 40


@needs_ffmpeg
def test_the_windows_of_a_video_of_unknown_length_reach_its_end(video, tmp_path):
    plan = reader().plan(
        ffmpeg("-i", video, tmp_path / "a.mjpeg"), window_s=0.6, stride_s=0.3
    )
    assert plan == WindowPlan(15, 8, 40, 25.0, pytest.approx(40 / 25))


def test_every_frame_passes_once_with_its_time_and_the_wanted_pictures(video):
    seen = list(reader().pictures(video, iter([3, 5, 39])))
    assert [index for index, _, _ in seen] == list(range(40))
    np.testing.assert_allclose(
        [time_s for _, time_s, _ in seen], np.arange(40) / 12, atol=1e-3
    )
    pictures = {index: picture for index, _, picture in seen if picture is not None}
    assert list(pictures) == [3, 5, 39]
    assert frames_seen(np.stack(list(pictures.values()))) == [3, 5, 39]


def test_windows_reach_the_end_of_a_file_that_declares_too_little(tmp_path):
    """Two AVI files, one behind the other: the header tells of the first alone."""
    single = draw_video(tmp_path / "a.avi", frames=40, fps=10, codec="MJPG")
    joined = tmp_path / "joined.avi"
    joined.write_bytes(single.read_bytes() * 2)
    frames = reader().read(joined).frames
    plan = reader().plan(joined, window_s=1.0, stride_s=1.0)
    assert plan.num_frames == frames
    assert list(plan.starts())[-1] == frames - plan.length_frames
