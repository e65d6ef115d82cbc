"""Annotated videos show the timeline of the prediction, and keep their pace and sound."""

import itertools
import resource
from collections import Counter

import av
import cv2
import numpy as np
import pytest
from support.encoding import with_sound
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.inference.output_files import annotation
from violence_detection.inference.output_files.annotation import (
    PredictionTimeline,
    annotate,
    at_constant_rate,
    draw_frame,
)
from violence_detection.inference.prediction_records import Segment, Window
from violence_detection.system.processes import ProcessPool

WINDOWS = [
    Window(0.0, 2.0, 0.2, attention=(0.1, 0.9)),
    Window(1.0, 3.0, 0.8, attention=(0.5, 0.5)),
]
SEGMENTS = [Segment(1.0, 3.0, peak=0.8, peak_s=2.0)]
TIMELINE = PredictionTimeline(WINDOWS, SEGMENTS, threshold=0.5, fps=12.0)
VIOLENT = np.array(annotation._VIOLENT)


class Timed:
    """Frames that are their own number, at given times."""

    def __init__(self, times_s):
        self.times_s = times_s

    def __iter__(self):
        for index, time_s in enumerate(self.times_s):
            self.index = index
            yield index, time_s

    def retrieve(self):
        return self.index


# -- golden


def test_a_probability_is_interpolated_between_the_middles_of_windows():
    assert [TIMELINE.probability_at(t) for t in (0.0, 1.0, 1.5, 2.0, 9.0)] == pytest.approx(
        [0.2, 0.2, 0.5, 0.8, 0.8]
    )
    assert [TIMELINE.is_violent_at(t) for t in (0.9, 1.0, 2.99, 3.0)] == [
        False,
        True,
        True,
        False,
    ]
    assert [TIMELINE.window_at(t).probability for t in (0.0, 1.4, 1.6, 5.0)] == [
        0.2,
        0.2,
        0.8,
        0.8,
    ]


def test_the_lists_over_all_windows_are_built_once():
    class Counted(Window):
        def __getattribute__(self, name):
            reads[name] += 1
            return super().__getattribute__(name)

    reads = Counter()
    windows = [Counted(**vars(window)) for window in WINDOWS]
    timeline = PredictionTimeline(windows, SEGMENTS, threshold=0.5, fps=12.0)
    for time_s in np.arange(0.0, 4.0, 0.1):
        timeline.probability_at(time_s)
    assert reads["probability"] == reads["middle_s"] == len(WINDOWS)


@pytest.mark.parametrize(
    ("times_s", "fps", "shown"),
    [
        ([0.0, 0.1, 0.2, 0.3], 10, [0, 1, 2, 3]),
        ([0.0, 0.1, 0.2, 0.3], 5, [1, 3]),
        ([0.0, 0.1, 0.2, 0.3], 20, [0, 0, 1, 1, 2, 2, 3]),
        ([5.0, 5.1, 5.4], 10, [0, 1, 1, 1, 2]),
        ([0.0], 10, [0]),
        ([], 10, []),
    ],
)
def test_frames_keep_their_pace(times_s, fps, shown):
    found = [frame for _, frame in at_constant_rate(Timed(times_s), fps)]
    if fps == 5:  # which of two frames at the same distance is shown does not matter
        assert len(found) == len(shown)
    else:
        assert found == shown


def test_a_gap_of_hours_is_not_written():
    assert len(list(at_constant_rate(Timed([0.0, 0.1, 10_000.0, 10_000.1]), 10))) < 700


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1280, 720), (3, 2)])
def test_the_strip_is_below_the_frame_and_sides_are_even(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    page = draw_frame(frame, 0.5, TIMELINE)
    assert page.shape[0] % 2 == page.shape[1] % 2 == 0
    np.testing.assert_array_equal(page[: size[1], : size[0]], frame)


def test_a_segment_has_a_frame_and_a_bar_of_its_colour():
    frame = np.zeros((480, 640, 3), np.uint8)
    calm, violent = (draw_frame(frame, time_s, TIMELINE) for time_s in (0.5, 2.0))
    for row, column in ((0, 320), (479, 320), (200, 0), (200, 639)):
        assert (calm[row, column] == 0).all()
        assert (violent[row, column] == VIOLENT).all()
    is_violent = (violent[480:] == VIOLENT).all(-1)
    bar = is_violent.any(0).sum()
    room = 640 - 2 * 6
    assert 0.6 * room < bar < 0.8 * room
    assert not (calm[480:] == VIOLENT).all(-1).any()


# -- files


def test_an_annotated_video_plays_as_long_as_the_original(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=36, size=(65, 49))
    output = tmp_path / "out.mp4"
    *_, written = annotate(path, output, TIMELINE)
    assert written == 36
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]
    frames = frames_of(output)
    assert len(frames) == 36
    original = frames_of(path)
    for one, before in itertools.islice(zip(frames, original, strict=True), 0, 11, 5):
        difference = np.abs(one[6:43, 6:59].astype(int) - before[6:43, 6:59])
        assert difference.mean() < 12
    with av.open(str(output)) as file:
        assert "h264" in file.streams.video[0].codec_context.name


@pytest.mark.parametrize(
    ("ending", "codec", "heard"),
    [("mp4", "aac", "aac"), ("mp4", "libmp3lame", "mp3"), ("ts", "aac", "aac")],
)
def test_the_sound_is_kept(tmp_path, ending, codec, heard):
    path = with_sound(tmp_path / f"a.{ending}", seconds=3, codec=codec)
    list(annotate(path, tmp_path / "out.mp4", TIMELINE))
    with av.open(str(tmp_path / "out.mp4")) as file:
        (sound,) = file.streams.audio
        assert heard in sound.codec_context.name
        samples = sum(frame.samples for frame in file.decode(sound))
    assert samples / 44100 == pytest.approx(3.0, abs=0.15)


def test_what_was_not_predicted_is_left_out(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=36)
    timeline = PredictionTimeline(WINDOWS, [], 0.5, 12.0, duration_s=1.0)
    *_, written = annotate(path, tmp_path / "out.mp4", timeline)
    assert written == pytest.approx(12, abs=1)


# -- error


def test_a_video_that_is_gone_leaves_nothing(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        list(annotate(tmp_path / "gone.mp4", tmp_path / "out.mp4", TIMELINE))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_that_has_no_room_is_one_line_and_leaves_nothing(tmp_path):
    """The limit on the size of files stands for a full disk."""
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12, (320, 240))
    for _ in range(36):
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    with (
        ProcessPool(memory_bytes=3 * 2**30) as call,
        pytest.raises(ViolenceDetectionError, match="limit is reached|disk is full"),
    ):
        list(call.stream(_limited, path, tmp_path / "out.mp4"))
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def _limited(path, output):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        yield from annotate(path, output, TIMELINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
