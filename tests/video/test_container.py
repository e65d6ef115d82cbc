"""The stream that is read, its clock, and names that look like protocols."""

import numpy as np
import pytest
from support.encoding import encode, encode_several
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.features.checking.inspection import inspect_video
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding import container, seeking
from violence_detection.video.decoding.container import read_container
from violence_detection.video.decoding.decoder import Decoder, open_video, read_packets
from violence_detection.video.decoding.pyav_decoder import PyAVDecoder
from violence_detection.video.frame_sampling import sample_frames
from violence_detection.video.writing.video_writer import VideoWriter

READER = ClipReader(stream="rgb", frames=4, frame_size=32)
NOTE = "it has 2 video streams: 160x120 is read, 64x48 is not"


# -- the stream


@pytest.mark.parametrize("sizes", [[(64, 48), (160, 120)], [(160, 120), (64, 48)]])
def test_the_largest_stream_is_read_and_the_others_are_named(tmp_path, sizes):
    path = encode_several(tmp_path / "a.mkv", sizes)
    alone = encode_several(tmp_path / "alone.mkv", [(160, 120)])
    with open_video(path) as video:
        assert isinstance(video, Decoder if sizes[0] == (160, 120) else PyAVDecoder)
        frames = [video.retrieve() for _ in video]
    np.testing.assert_array_equal(frames, frames_of(alone))
    assert READER.read(path).notes == (NOTE,)
    assert inspect_video(path).note == NOTE
    np.testing.assert_array_equal(sample_frames(path, 1)[0], frames[10])


def test_of_equal_streams_the_first_is_read(tmp_path):
    path = encode_several(tmp_path / "a.mkv", [(64, 48), (64, 48)])
    assert (read_container(path).stream, len(read_container(path).sizes)) == (0, 2)


def test_a_track_of_one_picture_is_no_video_stream(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        cover = file.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="bgr24")
        file.mux([*cover.encode(picture), *cover.encode(None)])
        for index in range(20):
            image = np.full((48, 64, 3), 10 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        file.mux(stream.encode(None))
    assert (read_container(path).stream, read_container(path).sizes) == (1, ((64, 48),))
    clip = READER.read(path)
    assert (clip.frames, clip.notes) == (20, ())


# -- the clock


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_begin_with_the_file_not_with_the_frames(tmp_path, name):
    path = encode(tmp_path / name, frames=30, times=range(50, 80), sound="aac", g=5)
    with open_video(path) as video:
        times_s = [time_s for _, time_s in video]
        first_s = video.start_s
    assert first_s == pytest.approx(2.0, abs=0.03)  # less what the sound's codec adds before it
    np.testing.assert_allclose(times_s, first_s + np.arange(30) / 25, atol=2e-3)
    np.testing.assert_allclose(np.sort(read_packets(path)[0]), times_s, atol=2e-3)
    inspection = inspect_video(path)
    assert (inspection.first_s, inspection.duration_s) == pytest.approx((first_s, 1.2), abs=2e-3)
    assert inspection.damage == ""
    clip = READER.read(path)
    assert (clip.first_s, clip.duration_s) == pytest.approx((first_s, 1.2), abs=2e-3)
    part = READER.read(path, 2.4, 2.8)
    assert (part.frames, part.damage) == (10, "")
    assert part.first_s == pytest.approx(2.4, abs=0.04)
    with pytest.raises(VideoError, match="no frame lies between 0 and 1 s"):
        READER.read(path, 0.0, 1.0)


def test_seeking_goes_by_the_clock_of_the_file(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=120, times=range(50, 170), sound="aac", g=5, bf=0)
    with open_video(path) as video:
        expected = [video.retrieve() for index, _ in video if index == 90]
    timeline = seeking.read_timeline(path)
    assert timeline.times_s[0] == pytest.approx(2.0, abs=0.03)
    with open_video(path) as video:
        assert list(timeline.visit(video, [90])) == [90]
        np.testing.assert_array_equal(video.retrieve(), expected[0])


def test_the_clock_of_a_pyav_video_is_the_same(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=30, times=range(50, 80), sound="aac", bf=2)
    with open_video(path) as video:
        expected = [time_s for _, time_s in video]
    video = PyAVDecoder(path, read_container(path), codec="", max_pixels=10**6, fallback_fps=25.0)
    assert [time_s for _, time_s in video] == expected
    video.seek(2.5)
    assert next(iter(video))[1] <= 2.5
    video.close()


def test_a_clock_that_cannot_be_meant_is_not_used(tmp_path):
    path = encode(tmp_path / "a.mkv", frames=5, times=range(200_000, 200_005), sound="aac")
    assert read_container(path).start_s == 0.0


# -- names and protocols


@pytest.mark.parametrize("name", ["12:30:00.mp4", "http:.mp4", "concat:a.mp4", "file:b.mp4"])
def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch, name):
    drawn = draw_video(tmp_path / "drawn.mp4")
    path = drawn.rename(tmp_path / name).relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert READER.read(path).frames == 12
    assert inspect_video(path).frames == 12
    assert len(read_packets(path)[0]) == 12
    assert container.read_extent(path, 0).packets == 12
    assert read_container(path).sizes == ((64, 48),)


def test_a_video_is_written_to_a_name_with_a_colon(tmp_path, monkeypatch):
    sound = draw_video(tmp_path / "sound.mp4")
    monkeypatch.chdir(tmp_path)
    path = sound.with_name("12:30.mp4").relative_to(tmp_path)
    writer = VideoWriter(path, size=(64, 48), fps=12.0, sound=sound)
    for _ in range(6):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.close()
    assert READER.read(path).frames == 6


@pytest.mark.parametrize("value", ["rtsp_transport;udp", "protocol_whitelist;file,http", ""])
def test_options_in_the_shell_do_not_open_playlists(tmp_path, monkeypatch, value):
    draw_video(tmp_path / "other.avi", codec="MJPG")
    encode(tmp_path / "other.ts", frames=20)
    path = tmp_path / "a.mp4"
    path.write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXTINF:0.8,\n"
        f"{tmp_path / 'other.ts'}\n#EXT-X-ENDLIST\n"
    )
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", value)
    with pytest.raises(VideoError, match="not a video that can be opened"):
        READER.read(path)
    with pytest.raises(VideoError, match="not a video that can be opened"):
        PyAVDecoder(path, read_container(path), codec="", max_pixels=1, fallback_fps=25.0)


def test_options_in_the_shell_do_not_change_how_a_file_is_decoded(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4")
    expected = READER.read(path).views
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "skip_frame;nokey|threads;8")
    np.testing.assert_array_equal(READER.read(path).views, expected)
