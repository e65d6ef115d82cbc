"""Clips have the sampled frames, upright and in order; files that cannot be read are named."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.video import motion_crop
from violence_detection.video.clip_reader import Clip, ClipReader, end_of_video_s
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.motion_crop import MotionMap
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import draw_views

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg on the PATH")


def ffmpeg(*arguments: object) -> Path:
    """Run ffmpeg; the last argument is the file that it writes."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)
    return Path(arguments[-1])


def reader(frames: int = 4, frame_size: int = 32) -> ClipReader:
    return ClipReader(stream="rgb", frames=frames, frame_size=frame_size)


def frame_numbers(images: np.ndarray) -> list[int]:
    """The numbers of frames of `draw_video`, from the brightness of a corner."""
    corners = images[:, 0, :3, :3].mean((1, 2, 3))
    return np.rint((corners - 18.3) / 4).astype(int).tolist()


def message_of(path: Path, **part) -> str:
    with pytest.raises(VideoError) as raised:
        reader().read(path, **part)
    return str(raised.value)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """40 frames at 12 a second."""
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=40)


# -- healthy videos


@pytest.mark.parametrize("count", [1, 4, 7, 40, 64])
def test_exactly_the_sampled_frames_are_read(video, count):
    clip = reader(count).read(video)
    assert frame_numbers(clip.images) == sample_indices(40, count).tolist()
    assert (clip.frames, clip.fps, clip.damage) == (40, 12.0, "")
    assert clip.duration_s == pytest.approx(40 / 12)


def test_images_are_uint8_rgb_of_the_size_asked_for(tmp_path):
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 0] = 200  # OpenCV's order is BGR
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(blue)
    writer.release()
    images = reader(2, frame_size=40).read(tmp_path / "a.avi").images
    assert images.shape == (2, 1, 40, 40, 3)
    assert images.dtype == np.uint8
    assert np.abs(images.mean((0, 1, 2, 3)) - [0, 0, 200]).max() < 5


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_video_shorter_than_the_clip_repeats_frames(tmp_path, frames):
    clip = reader(8).read(draw_video(tmp_path / "a.mp4", frames=frames))
    assert frame_numbers(clip.images) == sample_indices(frames, 8).tolist()
    assert clip.frames == frames
    assert clip.damage.endswith("and 8 are sampled (--frames)")


@pytest.mark.parametrize("size", [(63, 47), (17, 199), (640, 2)])
def test_odd_sizes_are_read(tmp_path, size):
    clip = reader().read(draw_video(tmp_path / "a.avi", frames=5, size=size, codec="MJPG"))
    assert clip.images.shape == (4, 1, 32, 32, 3)
    assert clip.frames == 5


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "XVID"), ("a.mkv", "mp4v"), ("a.webm", "VP80")]
)
def test_other_containers_and_codecs_give_the_same_frames(tmp_path, name, codec):
    clip = reader(5).read(draw_video(tmp_path / name, frames=40, codec=codec))
    assert frame_numbers(clip.images) == sample_indices(40, 5).tolist()


@needs_ffmpeg
def test_a_rotated_video_comes_upright(tmp_path):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24] = 255  # white above
    cv2.imwrite(str(tmp_path / "a.png"), upright)
    plain = ffmpeg("-loop", 1, "-i", tmp_path / "a.png", "-frames:v", 5, tmp_path / "a.mp4")
    rotate = ("-c", "copy", "-metadata:s:v", "rotate=180")
    turned = ffmpeg("-i", plain, *rotate, tmp_path / "turned.mp4")
    above, below = (reader().read(path).images[0, 0, :16].mean() for path in (plain, turned))
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
    assert frame_numbers(clip.images) == [*range(20), 20, 24, 28, 32, 36]
    assert clip.duration_s == pytest.approx(37 / 12, abs=0.03)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.ts", "a.mjpeg", "a.webm", "a.flv"])
def test_frames_are_counted_in_containers_without_a_declared_length(video, tmp_path, name):
    made = ffmpeg("-i", video, "-qscale:v", 2, "-b:v", "1M", tmp_path / name)
    clip = reader(5).read(made)
    assert clip.frames == 40
    assert clip.damage == ""
    assert np.abs(np.subtract(frame_numbers(clip.images), [4, 12, 20, 28, 36])).max() <= 1


# -- streams


def moving(path: Path) -> Path:
    """40 frames of 320 x 240, in which a square crosses the lower right."""
    return draw_video(path, frames=40, size=(320, 240), seed=5)


def expected(path: Path, stream: str, count: int, first: int = 0, end: int = 40):
    """The images that a clip must have, made from all frames of the file."""
    frames, streams = frames_of(path), StreamSet(stream, frame_size=32)
    motion = MotionMap()
    for frame in frames[first : end : motion_crop.FRAME_STEP]:
        motion.add(frame)
    region = motion.region()
    numbers = range(len(streams.streams))
    prepared = [streams.prepare_frame(frame, region, numbers) for frame in frames]
    return region, np.stack(
        [
            streams.combine(streams.needed_frames(first + index, fps=12.0, last=39), prepared)
            for index in sample_indices(end - first, count)
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "stream",
    ["motion", "rgb(focus=true)", "rgb+motion(focus=true)", "motion(focus=true)+rgb"],
)
@pytest.mark.parametrize("fits", [True, False])
def test_images_are_made_of_the_right_frames(tmp_path, monkeypatch, stream, fits):
    """Whether or not the frames fit into memory until the region of motion is known."""
    if not fits:
        monkeypatch.setattr("violence_detection.video.clip_reader._MAX_KEPT_BYTES", 0)
    path = moving(tmp_path / "a.avi")
    region, images = expected(path, stream, 7)
    assert region is not None
    clip = ClipReader(stream=stream, frames=7, frame_size=32).read(path)
    assert clip.images.shape == (7, stream.count("+") + 1, 32, 32, 3)
    np.testing.assert_array_equal(clip.images, images)


def test_a_part_has_its_own_region_and_the_motion_of_frames_after_it(tmp_path):
    path = moving(tmp_path / "a.avi")
    stream = "motion(focus=true)+rgb(focus=true)"
    _, images = expected(path, stream, 4, first=12, end=24)
    clip = ClipReader(stream=stream, frames=4, frame_size=32).read(path, 1.0, 2.0)
    np.testing.assert_array_equal(clip.images, images)


def test_the_last_image_of_a_part_uses_the_frames_after_it(tmp_path):
    """At 5 frames a second a step is 0.2 s, more than 67 ms."""
    path = draw_video(tmp_path / "a.avi", frames=20, fps=5.0, codec="MJPG")
    reader = ClipReader(stream="motion", frames=3, frame_size=32)
    whole = ClipReader(stream="motion", frames=20, frame_size=32).read(path)
    part = reader.read(path, 0.0, 0.6)  # frames 0, 1, 2
    np.testing.assert_array_equal(part.images[2], whole.images[2])


def test_a_part_that_ends_after_its_file_is_damaged(video):
    clip = reader(4).read(video, start_s=3.0, end_s=9.0)
    assert clip.damage == "the file ends at 3.3 s, the part at 9 s"
    assert reader(4).read(video, start_s=2.0, end_s=3.4).damage == ""


@needs_ffmpeg
def test_a_container_without_a_count_has_the_same_streams(tmp_path):
    path = moving(tmp_path / "a.avi")
    copied = ffmpeg("-i", path, "-c", "copy", tmp_path / "a.nut")
    for stream in ("motion", "motion(focus=true)"):
        reader = ClipReader(stream=stream, frames=5, frame_size=32)
        np.testing.assert_array_equal(reader.read(copied).images, reader.read(path).images)


# -- parts of a recording


def test_a_part_is_sampled_from_its_own_frames(video):
    clip = reader(4).read(video, start_s=1.0, end_s=2.0)
    assert frame_numbers(clip.images) == (12 + sample_indices(12, 4)).tolist()
    assert (clip.frames, clip.duration_s) == (12, pytest.approx(1.0))


def test_the_parts_of_a_video_make_the_whole(video):
    bounds = [0, 0.7, 1.9, 3.0, 99]
    parts = [reader().read(video, a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert sum(part.frames for part in parts) == 40
    assert sum(part.duration_s for part in parts) == pytest.approx(40 / 12)


def test_a_part_beyond_the_end_is_refused(video):
    assert message_of(video, start_s=30.0, end_s=300.0) == (
        "no frame lies between 30 and 300 s (it ends at 3.2 s)"
    )


# -- videos that cannot be read


def test_files_that_are_not_videos_are_named(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    assert message_of(tmp_path / "text.mp4") == "not a video that can be opened"
    assert message_of(tmp_path / "empty.mp4") == "the file is empty"
    assert message_of(tmp_path / "folder.mp4") == "it is not a plain file"
    assert message_of(tmp_path / "none.mp4") == "no such file"


def truncate(path: Path, fraction: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def test_a_truncated_mp4_cannot_be_opened(tmp_path):
    assert (
        message_of(truncate(draw_video(tmp_path / "a.mp4"), 0.5))
        == "not a video that can be opened"
    )


def test_a_truncated_avi_is_sampled_from_what_is_left_and_marked(tmp_path):
    path = truncate(draw_video(tmp_path / "a.avi", frames=40, codec="MJPG"), 0.6)
    clip = reader(5).read(path)
    assert 10 < clip.frames < 30
    assert clip.damage == f"{clip.frames} of 40 declared frames can be decoded"
    assert frame_numbers(clip.images) == sample_indices(clip.frames, 5).tolist()


def test_a_damaged_video_with_too_few_frames_is_refused(tmp_path):
    path = truncate(draw_video(tmp_path / "a.avi", frames=40, codec="MJPG"), 0.3)
    left = reader(1).read(path).frames
    with pytest.raises(VideoError) as raised:
        reader(20).read(path)
    assert str(raised.value) == f"{left} of 40 declared frames can be decoded; 10 are needed"


@needs_ffmpeg
def test_a_file_with_sound_only_is_not_a_video(tmp_path):
    path = ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", tmp_path / "a.mp4")
    assert message_of(path) == "not a video that can be opened"


def test_a_frame_declared_beyond_the_limit_is_refused(video, monkeypatch):
    monkeypatch.setattr("violence_detection.video.decoding.decoder.MAX_PIXELS", 64 * 48 - 1)
    assert message_of(video) == "its frames are declared as 64x48, over the limit"


def test_mutated_files_are_read_or_refused_and_never_crash(tmp_path, rng):
    intact = draw_video(tmp_path / "a.mp4", frames=20).read_bytes()
    for number in range(60):
        content = np.frombuffer(intact, np.uint8).copy()
        places = rng.integers(0, len(content), 30)
        content[places] = rng.integers(0, 256, len(places))
        (tmp_path / "b.mp4").write_bytes(content.tobytes())
        try:
            clip = reader().read(tmp_path / "b.mp4")
        except VideoError as error:
            assert str(error), number
        else:
            assert isinstance(clip, Clip)
            assert clip.images.shape == (4, 1, 32, 32, 3)


@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)"])
def test_the_segments_of_a_video_are_its_equal_parts(tmp_path, stream):
    path = draw_video(tmp_path / "a.mp4", frames=31, fps=10)
    settings = {"stream": stream, "frames": 4, "frame_size": 32}
    clip = ClipReader(**settings, segments=3).read(path, views=draw_views(1, "ab" * 32))
    end_s = end_of_video_s(path)
    assert end_s == pytest.approx(3.1, abs=0.01)
    parts = [
        ClipReader(**settings).read(
            path, end_s * part / 3, end_s * (part + 1) / 3, draw_views(1, "ab" * 32)
        )
        for part in range(3)
    ]
    assert np.array_equal(clip.views, np.concatenate([part.views for part in parts], axis=1))
    assert clip.frames == 31 and clip.duration_s == pytest.approx(3.1, abs=0.01)
    assert clip.damage == ""
