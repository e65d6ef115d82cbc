"""PyAV gives the frames and times of OpenCV, and decodes codecs that OpenCV lacks."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from support.encoding import encode
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.features.checking.inspection import inspect_video
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding import decoder, seeking
from violence_detection.video.decoding.container import read_container
from violence_detection.video.decoding.decoder import Decoder, open_video
from violence_detection.video.decoding.pyav_decoder import PyAVDecoder

SIZE, ODD = (96, 64), (97, 63)
X264 = {"g": 12, "bf": 3}
X265 = {"codec": "libx265", "x265_params": "log-level=none"}
VP9 = {"codec": "libvpx-vp9", "cpu_used": 8, "deadline": "realtime"}
BT709 = {"x264_params": "colormatrix=bt709:colorprim=bt709:transfer=bt709"}
VARYING = [index + 7 * (index // 10) for index in range(30)]
SAME = {
    "b-frames.mp4": X264,
    "b-frames.mkv": X264,
    "b-frames.ts": X264,
    "b-frames.flv": X264,
    "b-frames.avi": X264,
    "no-container.h264": X264,
    "varying.mp4": {"times": VARYING},
    "varying.mkv": {"times": VARYING},
    "late.mkv": {"times": range(100, 130)},
    "bt709.mp4": BT709,
    "full-range.mp4": {"pixels": "yuvj420p"},
    "grey.mp4": {"pixels": "gray"},
    "422.mp4": {"pixels": "yuv422p"},
    "odd.mp4": {"size": ODD, "pixels": "yuv444p"},
    "hevc.mp4": X265,
    "mpeg2.mpg": {"codec": "mpeg2video", "bf": 2},
    "vp9.webm": VP9,
    "odd.webm": {**VP9, "size": ODD},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "odd.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "size": ODD},
}
SIMILAR = {
    "10 bit.mp4": {"pixels": "yuv420p10le"},
    "10 bit hevc.mp4": {**X265, "pixels": "yuv420p10le"},
    "interlaced.ts": {"flags": "+ilme+ildct"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4", "bf": 2},
}
IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


@pytest.fixture(scope="module")
def av1(tmp_path_factory) -> Path:
    """40 frames at 25 a second, a key frame every 8."""
    path = tmp_path_factory.mktemp("av1") / "a.mp4"
    return encode(path, frames=40, codec="libsvtav1", preset=12, g=8)


def by_pyav(path: Path, max_pixels: int = 10**9) -> PyAVDecoder:
    header = read_container(path)
    return PyAVDecoder(path, header, codec="", max_pixels=max_pixels, fallback_fps=25.0)


def read(video: Decoder | PyAVDecoder) -> tuple[list[float], list[np.ndarray]]:
    """Times in seconds, and frames."""
    times_s, frames = [], []
    for index, time_s in video:
        assert index == len(frames)
        times_s.append(time_s)
        frames.append(video.retrieve())
    return times_s, frames


def by_both(path: Path):
    """By OpenCV and by PyAV: (fps, declared frames), times, frames."""
    with open_video(path) as video:
        assert isinstance(video, Decoder)
        yield (video.fps, video.declared_frames), *read(video)
    video = by_pyav(path)
    yield (video.fps, video.declared_frames), *read(video)
    video.close()


# -- the same as OpenCV


@pytest.mark.parametrize("name", SAME)
def test_frames_and_times_are_those_of_opencv(tmp_path, name):
    expected, decoded = by_both(encode(tmp_path / name, frames=30, **SAME[name]))
    assert decoded[0] == expected[0]
    assert decoded[1] == expected[1]
    assert len(decoded[2]) == 30
    np.testing.assert_array_equal(decoded[2], expected[2])
    assert decoded[2][0].flags.writeable


@pytest.mark.parametrize("name", SIMILAR)
def test_similar_frames_differ_by_interpolation_or_rounding(tmp_path, name):
    expected, decoded = by_both(encode(tmp_path / name, frames=10, **SIMILAR[name]))
    assert decoded[:2] == expected[:2]
    difference = np.subtract(decoded[2], expected[2], dtype=float)
    assert np.abs(difference).mean() < 4
    assert np.abs(difference.mean()) < 0.5


@pytest.mark.parametrize("cosine_sine", [(0, 1), (-1, 0), (0, -1)])
def test_a_rotated_video_comes_upright(tmp_path, cosine_sine):
    path = encode(tmp_path / "a.mp4", frames=3)
    across, down = (number << 16 for number in cosine_sine)
    matrix = struct.pack(">9i", across, down, 0, -down, across, 0, 0, 0, 1 << 30)
    before, _, after = path.read_bytes().rpartition(IDENTITY)  # of the track
    path.write_bytes(before + matrix + after)
    expected, decoded = by_both(path)
    assert decoded[2][0].shape[:2] == (SIZE if across == 0 else SIZE[::-1])
    np.testing.assert_array_equal(decoded[2], expected[2])


def test_frames_of_another_size_are_scaled_to_the_declared_one(tmp_path):
    large = encode(tmp_path / "a.h264", frames=10)
    small = encode(tmp_path / "b.h264", frames=10, size=(48, 32))
    whole = tmp_path / "c.h264"
    whole.write_bytes(large.read_bytes() + small.read_bytes())
    _, frames = read(by_pyav(whole))
    assert len(frames) == 20
    assert {frame.shape for frame in frames} == {(64, 96, 3)}


# -- damage


def test_a_truncated_file_gives_the_frames_that_are_left(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=40, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    expected, decoded = by_both(path)
    assert 10 < len(decoded[1]) < 30
    assert decoded[:2] == expected[:2]
    np.testing.assert_array_equal(decoded[2], expected[2])


def without_packet(path: Path, number: int) -> Path:
    """Replace one image of an MJPEG file by zeros."""
    images = path.read_bytes().split(b"\xff\xd8\xff")
    image = images[number + 1]
    images[number + 1] = bytes(len(image) - 16) + image[-16:]  # the header of AVI's next chunk
    path.write_bytes(b"\xff\xd8\xff".join(images))
    return path


@pytest.mark.parametrize("number", [0, 7])
def test_a_packet_that_cannot_be_decoded_is_skipped(tmp_path, number):
    path = draw_video(tmp_path / "a.avi", frames=20, codec="MJPG")
    whole = frames_of(path)
    decoded = list(by_both(without_packet(path, number)))
    assert len(decoded) == 2
    for _, times_s, frames in decoded:
        assert len(times_s) == 19
        np.testing.assert_array_equal(frames, [*whole[:number], *whole[number + 1 :]])


def test_the_codec_is_not_named_if_all_packets_are_damaged(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=20, codec="MJPG")
    for number in range(20):
        without_packet(path, number)
    with pytest.raises(VideoError, match="^no frame of it can be decoded$"):
        ClipReader(stream="rgb", frames=4, frame_size=32).read(path)


def test_a_file_that_is_not_a_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 99)
    with pytest.raises(VideoError, match="^not a video that can be opened$"):
        by_pyav(tmp_path / "text.mp4")


def test_a_frame_declared_beyond_the_limit_is_refused(av1, monkeypatch):
    message = "its frames are declared as 96x64, over the limit"
    with pytest.raises(VideoError, match=message):
        by_pyav(av1, max_pixels=96 * 64 - 1)
    monkeypatch.setattr(decoder, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(VideoError, match=message), open_video(av1):
        pass


# -- what OpenCV cannot read


def test_a_codec_that_opencv_lacks_is_read(av1, tmp_path):
    with open_video(av1) as video:
        assert isinstance(video, PyAVDecoder)
        assert (video.codec, video.fps, video.declared_frames) == ("av01", 25.0, 40)
        times_s, frames = read(video)
    np.testing.assert_allclose(times_s, np.arange(40) / 25, atol=1e-9)
    _, drawn = read(by_pyav(encode(tmp_path / "same.mp4", frames=40, crf=10)))
    apart = np.abs(np.subtract(frames, drawn, dtype=float)).mean((1, 2, 3))
    assert apart.max() < 10


def test_encoding_does_not_change_the_priority_of_this_process(av1):
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_clip_and_a_part_of_a_video_are_read(av1):
    reader = ClipReader(stream="motion(focus=true)+rgb", frames=5, frame_size=32)
    clip = reader.read(av1)
    assert (clip.frames, clip.fps, clip.damage) == (40, 25.0, "")
    assert clip.images.shape == (5, 2, 32, 32, 3)
    assert reader.read(av1, start_s=0.4, end_s=0.8).frames == 10
    assert inspect_video(av1).frames == 40


def test_frames_are_reached_by_seeking(av1):
    with open_video(av1) as video:
        times_s, frames = read(video)
    timeline = seeking.read_timeline(av1)
    np.testing.assert_allclose(timeline.times_s, times_s, atol=1e-6)
    with open_video(av1) as video:
        for index in timeline.visit(video, [3, 21, 22, 39]):
            np.testing.assert_array_equal(video.retrieve(), frames[index])
    with open_video(av1) as video:
        for index in (30, 0, 13):
            np.testing.assert_array_equal(video.frame_near(index), frames[index])
        assert video.frame_near(900) is None
