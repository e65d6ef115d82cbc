"""Frames reached by seeking are those that decoding from the start gives."""

import random
from pathlib import Path

import numpy as np
import pytest
from support.encoding import encode
from support.videos import frames_of

from violence_detection.errors import VideoError
from violence_detection.video import clip_reader
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding import seeking
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.decoding.seeking import FrameTimes

X264 = {"g": 24, "keyint_min": 24, "sc_threshold": 0}
VARYING = [index + 7 * (index // 20) + index % 2 // 2 for index in range(90)]
FILES = {
    "b-frames.mp4": {**X264, "bf": 3},
    "b-frames.mkv": {**X264, "bf": 3},
    "b-frames.ts": {**X264, "bf": 3},
    "b-frames.flv": {**X264, "bf": 3},
    "b-frames.mov": {**X264, "bf": 3},
    "one-group.mp4": {"g": 999, "bf": 2},
    "open-group.mp4": {**X264, "bf": 3, "x264_params": "open-gop=1"},
    "refresh.mp4": {"x264_params": "intra-refresh=1:keyint=24"},
    "varying.mp4": {**X264, "bf": 2, "times": VARYING},
    "varying.mkv": {**X264, "bf": 2, "times": VARYING},
    "interlaced.ts": {**X264, "flags": "+ilme+ildct"},
    "hevc.mp4": {"codec": "libx265", "g": 24, "x265_params": "log-level=none"},
    "mpeg4.mp4": {"codec": "mpeg4", "g": 24, "bf": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "vp9.webm": {"codec": "libvpx-vp9", "g": 24, "cpu_used": 8, "deadline": "realtime"},
}
WITHOUT_TIMELINE = {
    "b-frames.avi": {**X264, "bf": 3},
    "hevc.ts": {"codec": "libx265", "g": 24, "x265_params": "log-level=none"},
    "hevc.m2ts": {"codec": "libx265", "g": 24, "x265_params": "log-level=none"},
    "mpeg4.ts": {"codec": "mpeg4", "g": 24, "bf": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "bf": 2},
    "vp8.webm": {"codec": "libvpx", "cpu_used": 8, "deadline": "realtime"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")

    def encoded(name: str) -> Path:
        path = folder / name
        if not path.exists():
            encode(path, frames=90, **{**FILES, **WITHOUT_TIMELINE}[name])
        return path

    return encoded


@pytest.mark.parametrize("name", FILES)
def test_frames_are_those_of_decoding_from_the_start(made, name):
    path, rng = made(name), random.Random(0)
    expected, timeline = frames_of(path), seeking.read_timeline(path)
    assert len(timeline) == len(expected) == 90
    choices = [sorted(rng.sample(range(90), 3)) for _ in range(8)]
    for wanted in [[0], [89], [88, 89], [50, 51, 52], list(range(90)), *choices]:
        with open_video(path) as video:
            visited = [(index, video.retrieve()) for index in timeline.visit(video, wanted)]
        assert [index for index, _ in visited] == wanted
        for index, frame in visited:
            np.testing.assert_array_equal(frame, expected[index])


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_TIMELINE)
def test_packets_that_are_not_frames_have_no_timeline(made, name):
    assert frames_of(made(name))
    assert seeking.read_timeline(made(name)) is None


def test_a_video_that_is_cut_at_its_start_has_no_timeline(made, tmp_path):
    """An edit list hides packets at the start of the file."""
    import av

    path = tmp_path / "cut.mp4"
    with (
        av.open(str(made("b-frames.mp4"))) as source,
        av.open(str(path), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts -= packet.time_base.denominator // packet.time_base.numerator
                packet.dts -= packet.time_base.denominator // packet.time_base.numerator
                packet.stream = stream
                target.mux(packet)
    assert len(frames_of(path)) < 90
    timeline = seeking.read_timeline(path)
    assert timeline is None or len(timeline) == len(frames_of(path))


def test_a_frame_with_another_time_is_unreachable(made):
    path = made("b-frames.mp4")
    timeline = seeking.read_timeline(path)
    moved = FrameTimes(timeline.times_s + 0.013, timeline.key_frames)
    for wanted in ([5], [80]):
        with open_video(path) as video, pytest.raises(seeking.Unreachable):
            list(moved.visit(video, wanted))


def test_seeking_is_cheaper_for_few_frames_far_apart():
    timeline = FrameTimes(np.arange(9000) / 25, np.arange(0, 9000, 50))
    assert timeline.is_cheaper([4000])
    assert timeline.is_cheaper(range(0, 9000, 450))
    assert timeline.is_cheaper(range(8000, 8100))
    assert not timeline.is_cheaper(range(0, 9000, 60))
    assert not timeline.is_cheaper(range(9000))
    one_group = FrameTimes(np.arange(9000) / 25, np.array([0]))
    assert not one_group.is_cheaper([100, 8000])


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["rgb", "motion", "motion(focus=true)"])
@pytest.mark.parametrize("part", [(), (2.4, 3.0), (0.0, 0.5)])
@pytest.mark.parametrize("name", ["b-frames.mp4", "varying.mkv", "b-frames.avi"])
def test_a_clip_is_the_same_however_it_is_read(made, monkeypatch, name, part, stream):
    reader = ClipReader(stream=stream, frames=3, frame_size=32)
    forwards = reader.read(made(name), *part)
    monkeypatch.setattr(clip_reader, "_LONG_FRAMES", 0)
    monkeypatch.setattr(seeking, "_MAX_DECODED_FRACTION", 99)
    visits, visit = [], FrameTimes.visit
    monkeypatch.setattr(
        FrameTimes, "visit", lambda *arguments: visits.append(1) or visit(*arguments)
    )
    sought = reader.read(made(name), *part)
    assert bool(visits) == (not name.endswith("avi"))
    np.testing.assert_array_equal(sought.images, forwards.images)
    for field in ("frames", "fps", "duration_s", "damage"):
        assert getattr(sought, field) == getattr(forwards, field)


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [seeking.Unreachable(), VideoError("it cannot be read from 3.0 s on")]
)
def test_a_video_whose_frames_cannot_be_reached_is_read_forwards(made, monkeypatch, error):
    reader = ClipReader(stream="rgb", frames=3, frame_size=32)
    forwards = reader.read(made("b-frames.mp4"))
    monkeypatch.setattr(clip_reader, "_LONG_FRAMES", 0)
    monkeypatch.setattr(seeking, "_MAX_DECODED_FRACTION", 99)

    def unreachable(*_):
        raise error
        yield

    monkeypatch.setattr(FrameTimes, "visit", unreachable)
    np.testing.assert_array_equal(reader.read(made("b-frames.mp4")).images, forwards.images)
