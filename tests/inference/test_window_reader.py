"""One pass over a video gives every window the images of its own frames, each encoded once."""

import functools
import socket
import struct
import threading
import time
from datetime import datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support.encoding import encode, encode_several, lose_packets
from support.rtsp_server import Fault, RtspServer, TestCamera
from support.videos import draw_video, frames_of

from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference import sliding_windows, window_reader
from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.inference.video_sources import parse_source
from violence_detection.inference.window_encoder import WindowEncoder
from violence_detection.inference.window_reader import Chunk, VideoEnd, WindowSource, read_sources
from violence_detection.system import processes
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.motion_crop import MotionMap
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import ORIGINAL, View

SIZE, FPS = 32, 12.0
STREAMS = ["rgb", "motion", "rgb+motion(focus=true)", "rgb(focus=true)+motion"]


class MeanColour:
    """An encoder whose features are known: the mean of each channel. Counts its images."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.images += len(images)
        return images.mean((1, 2), dtype=np.float32).astype(np.float16)


def source_of(
    *, window_s=1.0, stride_s=0.5, frames=4, stream="rgb", focus_s=None, **settings
) -> WindowSource:
    reader = ClipReader(stream=stream, frames=frames, frame_size=SIZE)
    return WindowSource(reader, WindowPlan(window_s, stride_s, frames, focus_s), **settings)


def encode_chunks(chunks, batch_size=8):
    """Windows with their features, the ending, and the count of encoded images."""
    encode = MeanColour()
    encoder, windows, ending = WindowEncoder(encode, batch_size=batch_size), [], None
    for chunk in chunks:
        if isinstance(chunk, VideoEnd):
            ending = chunk
        else:
            windows += encoder.add("video", chunk)
    return [*windows, *encoder.flush()], ending, encode.images


def spans(windows):
    return [(encoded.window.start_s, encoded.window.end_s) for encoded in windows]


def expected(frames, start_s, *, fps, source, end_s=None) -> np.ndarray:
    """Features of a window from frames that are all there: the oracle."""
    plan, stream_set = source.plan, source.reader.stream_set
    first = int(np.floor(start_s / plan.step_s + 0.5))
    moments_s = (first + np.arange(plan.count) + 0.5) * plan.step_s
    indices = np.floor(moments_s * fps + 0.01).astype(int).clip(0, len(frames) - 1)
    motion, region = MotionMap(), None
    if stream_set.focused:
        for index in range(0, len(frames), 2):
            if start_s <= index / fps + 1e-6 < start_s + plan.window_s:
                motion.add(frames[index])
        region = motion.region()
    images = [images_at(stream_set, frames, index, region, fps) for index in indices]
    return MeanColour()(np.concatenate(images)).reshape(plan.count, -1)


def images_at(stream_set: StreamSet, frames, index, region, fps) -> np.ndarray:
    needed = stream_set.needed_frames(int(index), fps=fps, last=len(frames) - 1)
    every = range(len(stream_set.streams))
    prepared = {
        index: stream_set.prepare_frame(frames[index], region, every)
        for index in {index for indices in needed for index in indices}
    }
    return stream_set.combine(needed, prepared)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """60 frames at 12 a second."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    return draw_video(path, frames=60, fps=FPS, size=(160, 120), seed=3)


# -- golden


@pytest.mark.parametrize(
    ("window_s", "stride_s", "frames", "batch_size"),
    [(2, 1, 4, 8), (1, 0.25, 7, 5), (0.5, 0.75, 3, 64), (1, 0.1, 20, 3), (2, 2, 1, 1)],
)
@pytest.mark.parametrize("stream", STREAMS)
def test_windows_have_the_features_of_their_own_frames(
    video, window_s, stride_s, frames, batch_size, stream
):
    source = source_of(window_s=window_s, stride_s=stride_s, frames=frames, stream=stream)
    windows, ending, _ = encode_chunks(source.chunks(parse_source(str(video))), batch_size)
    assert ending == VideoEnd(60, pytest.approx(5.0), "")
    assert len(windows) >= 3
    all_frames = frames_of(video)
    for encoded in windows:
        start_s = encoded.window.start_s
        np.testing.assert_array_equal(
            encoded.features[0],
            expected(all_frames, start_s, fps=FPS, source=source),
        )


@pytest.mark.parametrize("stride_s", [0.1, 0.5, 1.0, 1.3])
def test_windows_cover_the_video_from_its_start_to_its_end(video, stride_s):
    windows, *_ = encode_chunks(source_of(stride_s=stride_s).chunks(parse_source(str(video))))
    found = spans(windows)
    assert found[0][0] == 0.0
    assert found[-1][1] == pytest.approx(5.0)
    np.testing.assert_allclose([end - start for start, end in found], 1.0, atol=1e-6)
    steps = np.diff([start for start, _ in found])
    assert (steps > 0).all()
    np.testing.assert_allclose(steps[:-1], stride_s)
    assert steps[-1] <= stride_s + 1e-6


@pytest.mark.parametrize(("fps", "window_s"), [(29.97, 2.0), (23.976, 2.002), (59.94, 1)])
def test_windows_of_rates_that_are_no_whole_number_have_no_gap(tmp_path, fps, window_s):
    path = draw_video(tmp_path / "a.mp4", frames=round(7 * fps), fps=fps)
    windows, ending, _ = encode_chunks(
        source_of(window_s=window_s, stride_s=1.0, frames=5).chunks(parse_source(str(path)))
    )
    duration_s = round(7 * fps) / fps
    assert ending.duration_s == pytest.approx(duration_s, abs=2e-3)
    starts = [start for start, _ in spans(windows)]
    whole = np.arange(0, duration_s - window_s + 1e-9)
    np.testing.assert_allclose(starts[: len(whole)], whole, atol=1e-6)


# -- relation


def test_frames_that_windows_share_are_encoded_once(video):
    source = source_of(frames=12, stride_s=1 / FPS)
    windows, _, images = encode_chunks(source.chunks(parse_source(str(video))))
    assert len(windows) == 49
    assert images == 60


def test_a_stride_that_is_no_multiple_of_a_step_shares_images_too(video):
    windows, _, images = encode_chunks(source_of(stride_s=0.3).chunks(parse_source(str(video))))
    assert len(windows) == 15
    assert images == 20


def test_frames_between_windows_are_not_encoded(video):
    windows, _, images = encode_chunks(source_of(stride_s=2.0).chunks(parse_source(str(video))))
    assert (len(windows), images) == (3, 12)


@pytest.mark.parametrize(("focus_s", "images"), [(None, 36), (30.0, 20), (2.5, 22)])
def test_cropped_windows_with_the_same_crop_share_images(video, focus_s, images):
    """9 windows of 1 s in 5 s, 4 images each; half a window shares 2 of them."""
    source = source_of(stream="rgb(focus=true)", focus_s=focus_s)
    windows, _, encoded = encode_chunks(source.chunks(parse_source(str(video))))
    assert len(windows) == 9
    assert encoded == images


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("window_s", [5.0, 3.4, 60.0])
def test_one_window_is_the_clip_that_extraction_reads(video, window_s, stream):
    source = source_of(window_s=window_s, stream=stream)
    (encoded, *rest), ending, _ = encode_chunks(source.chunks(parse_source(str(video))))
    clip = source.reader.read(video)
    assert not rest
    np.testing.assert_array_equal(
        encoded.features[0],
        MeanColour()(clip.images.reshape(-1, SIZE, SIZE, 3)).reshape(4, -1),
    )
    assert encoded.window[:2] == (0.0, pytest.approx(5.0))
    assert ending.frames == 60


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("window_s", [1.0, 4.0])
def test_frames_in_memory_give_what_their_file_gives(video, stream, window_s):
    source = source_of(window_s=window_s, stream=stream)
    frames = np.array(frames_of(video))[..., ::-1]
    by_path, *_ = encode_chunks(source.chunks(parse_source(str(video))))
    in_memory, ending, _ = encode_chunks(source.chunks_of_frames(frames, FPS))
    assert ending.duration_s == pytest.approx(5.0)
    np.testing.assert_allclose(spans(in_memory), spans(by_path), atol=1e-3)
    assert len(by_path) >= 1
    for encoded, other in zip(in_memory, by_path, strict=True):
        np.testing.assert_array_equal(encoded.features, other.features)


def test_a_mirrored_view_is_the_mirror_image_of_every_picture(video):
    source = source_of(views=(ORIGINAL, View(mirror=True)))
    *chunks, _ = source.chunks(parse_source(str(video)))
    images = np.concatenate([chunk.images for chunk in chunks])
    found = [window for chunk in chunks for window in chunk.windows]
    assert len(found) == 9
    for window in found:
        plain, mirrored = (images[numbers[:, 0]] for numbers in window.images)
        difference = np.abs(mirrored.astype(int) - plain[:, :, ::-1])
        assert difference.max() <= 1  # rounding


def test_frames_that_do_not_fit_are_reduced(video):
    stream = "rgb(focus=true)+motion(focus=true)"
    source = source_of(stream=stream, frames=12)
    whole, *_ = encode_chunks(source.chunks(parse_source(str(video))))
    tight = source_of(stream=stream, frames=12, hold_bytes=4 * 160 * 120 * 3)
    small, *_ = encode_chunks(tight.chunks(parse_source(str(video))))
    assert spans(small) == spans(whole)
    for encoded, other in zip(small, whole, strict=True):
        difference = np.abs(np.float32(encoded.features) - np.float32(other.features))
        assert 0 < difference.max() < 25  # grey levels


# -- property


@pytest.mark.parametrize("stream", STREAMS)
def test_the_buffer_does_not_grow_with_the_video(video, stream):
    """In the second half of a video no more frames, moments and images than in the first."""
    source = source_of(stream=stream, frames=6, stride_s=0.4)
    frames, sizes = np.array(frames_of(video) * 3), []
    reader = sliding_windows.SlidingWindows(source.reader.stream_set, source.plan, fps=FPS)
    array = window_reader._ArrayVideo(frames, FPS)
    for _, time_s in array:
        reader.add(time_s, array)
        reader.take_images()
        section = reader._section
        state = section._buffer
        sizes.append(
            len(state._frames)
            + len(state._numbers)
            + len(state._uncropped)
            + len(section._moments)
            + len(section._motion._changes)
        )
    assert max(sizes[90:]) <= max(sizes[:90]) < 70


def test_a_gap_longer_than_a_window_parts_the_video(video):
    """5 s, a gap of 1,000 s, and 5 s: no window lies in the gap."""
    source = source_of()
    array = window_reader._ArrayVideo(np.array(frames_of(video) * 2), FPS)
    reader = sliding_windows.SlidingWindows(source.reader.stream_set, source.plan, fps=FPS)
    found = []
    for index, time_s in array:
        found += reader.add(time_s + (1000.0 if index >= 60 else 0.0), array)
    found += reader.end()
    starts = [window.start_s for window in found]
    np.testing.assert_allclose(starts, [*np.arange(9) / 2, *(1005 + np.arange(9) / 2)], atol=1e-6)
    assert reader.longest_s == pytest.approx(1000 + 1 / FPS)


@pytest.mark.parametrize("most_s", [0.4, 1.2, 3.2])
def test_no_more_is_read_than_asked_for(video, most_s):
    windows, ending, _ = encode_chunks(
        source_of(max_duration_s=most_s).chunks(parse_source(str(video)))
    )
    assert ending.duration_s == pytest.approx(np.ceil(most_s * FPS) / FPS, abs=1e-3)
    assert windows[-1].window.end_s == pytest.approx(ending.duration_s)
    assert ending.damage == ""


def test_a_one_frame_video_has_one_window(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=1)
    (encoded,), ending, _ = encode_chunks(source_of(window_s=2.0).chunks(parse_source(str(path))))
    assert encoded.features.shape == (1, 4, 3)
    assert encoded.window.end_s == pytest.approx(1 / FPS)
    assert ending.frames == 1


def test_a_truncated_video_has_windows_as_far_as_it_goes_and_says_so(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=60, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    left = len(frames_of(path))
    assert 24 < left < 55
    windows, ending, _ = encode_chunks(source_of().chunks(parse_source(str(path))))
    assert windows[-1].window.end_s == pytest.approx(left / FPS)
    assert ending.damage == f"{left} of 60 declared frames can be decoded"


def test_windows_reach_the_end_of_a_file_that_declares_too_little(tmp_path):
    """Two AVI files, one behind the other: the header tells of the first alone."""
    single = draw_video(tmp_path / "a.avi", frames=12, fps=10, codec="MJPG")
    joined = tmp_path / "joined.avi"
    joined.write_bytes(single.read_bytes() * 2)
    count = len(frames_of(joined))
    assert count > 20
    windows, ending, _ = encode_chunks(source_of().chunks(parse_source(str(joined))))
    assert ending.frames == count
    assert windows[-1].window.end_s == pytest.approx(count / 10, abs=0.01)
    assert len(windows) > 1


def test_a_file_that_declares_too_much_is_one_window_all_the_same(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=60, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 4])
    windows, ending, _ = encode_chunks(source_of(window_s=2.0).chunks(parse_source(str(path))))
    assert len(windows) == 1
    assert windows[0].window.end_s == ending.duration_s < 2.0


# -- streams


@pytest.fixture(scope="module")
def server(video):
    """The address of the folder of the video, on this machine alone."""
    (video.parent / "mine.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{video}\n#EXT-X-ENDLIST\n"
    )
    late = draw_video(video.parent / "index_last.mp4", codec="mp4v")
    content = late.read_bytes()
    index = content.rfind(b"moov") - 4
    unused = struct.pack(">I", 2**20) + b"free" + bytes(2**20 - 8)  # more than FFmpeg reads ahead
    late.write_bytes(content[:index] + unused + content[index:])
    handler = functools.partial(Quiet, directory=str(video.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_an_mp4_whose_index_comes_last_needs_a_server_with_ranges(server):
    with pytest.raises(VideoError, match="without range requests .*; download it"):
        list(source_of().chunks(parse_source(f"{server}/index_last.mp4")))


@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)"])
def test_a_stream_has_the_windows_of_its_file(video, server, stream):
    source = source_of(stream=stream, max_duration_s=60.0)
    live, ending, _ = encode_chunks(source.chunks(parse_source(f"{server}/a.mp4")))
    by_path, *_ = encode_chunks(source.chunks(parse_source(str(video))))
    assert ending.duration_s == pytest.approx(5.0)
    assert spans(live) == spans(by_path) and len(live) == 9
    for encoded, other in zip(live, by_path, strict=True):
        np.testing.assert_array_equal(encoded.features, other.features)


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)"])
def test_a_camera_has_the_windows_of_its_file(tmp_path, stream):
    path = encode(tmp_path / "a.mp4", frames=75, size=(160, 120), g=25)
    camera = TestCamera([path], repeats_first=True, loops=False, speed=8)
    source = source_of(stream=stream, max_duration_s=60.0)
    with RtspServer({"door": camera}) as server:
        chunks = list(source.chunks(parse_source(server.url("door"))))
    live, ending, _ = encode_chunks(chunks)
    by_path, *_ = encode_chunks(source.chunks(parse_source(str(path))))
    assert ending.duration_s == pytest.approx(3.0) and not ending.notes
    assert spans(live) == spans(by_path) and len(live) == 5
    for encoded, other in zip(live, by_path, strict=True):
        np.testing.assert_array_equal(encoded.features, other.features)
    # No finished window waits for the next one.
    assert all(len(chunk.windows) <= 1 for chunk in chunks[:-2])


@pytest.mark.slow
def test_a_clock_that_jumps_and_a_new_size_divide_the_windows(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=75, size=(160, 120), g=25)
    large = encode(tmp_path / "large.mp4", frames=50, size=(320, 240), g=25)
    faults = [Fault(1.52, "jump", -30.0), Fault(3, "file", large)]
    camera = TestCamera([path, path], faults, repeats_first=True, loops=False, speed=4)
    with RtspServer({"door": camera}) as server:
        chunks = source_of(max_duration_s=5.0).chunks(parse_source(server.url("door")))
        live, ending, _ = encode_chunks(chunks)
    starts_s = [start_s for start_s, _ in spans(live)]
    assert ending.duration_s == pytest.approx(5.0, abs=0.1)
    assert starts_s == sorted(starts_s)
    for border_s in (1.48, 2.96):  # no window contains one
        assert not [s for s in spans(live) if s[0] < border_s - 0.1 and s[1] > border_s + 0.1]


def test_what_is_wrong_at_the_end_of_a_stream_is_noted(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=75, size=(160, 120), g=25)
    camera = TestCamera([path], [Fault(1.5, "freeze")], speed=4)
    source = source_of(max_duration_s=60.0, open_timeout_s=0.7)
    with RtspServer({"door": camera}) as server:
        *_, ending = source.chunks(parse_source(server.url("door")))
    assert ending.notes == ("it ended early: it sends nothing any more",)


def test_a_stream_starts_when_it_is_opened_and_a_file_at_no_known_time(video, server):
    source, opened_at = source_of(max_duration_s=60.0), datetime.now().astimezone()
    *_, live_end = source.chunks(parse_source(f"{server}/a.mp4"))
    *_, file_end = source.chunks(parse_source(str(video)))
    assert opened_at <= live_end.started_at <= datetime.now().astimezone()
    assert file_end.started_at is None


@pytest.mark.parametrize("name", ["gone.mp4", "mine.m3u8"])
def test_a_missing_stream_or_one_that_leads_to_a_file_is_refused(server, name):
    with pytest.raises(VideoError, match="^it cannot be opened"):
        list(source_of().chunks(parse_source(f"{server}/{name}")))


def test_a_silent_server_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"u:secret@127.0.0.1:{silent.getsockname()[1]}"
        start_s = time.monotonic()
        with pytest.raises(VideoError, match="--open-timeout-s is 0.5") as caught:
            list(source_of(open_timeout_s=0.5).chunks(parse_source(f"rtsp://{host}/1")))
        assert time.monotonic() - start_s < 20
        assert "secret" not in str(caught.value)


def test_a_missing_camera_is_an_error():
    with pytest.raises(VideoError, match="^it cannot be opened"):
        list(source_of(max_duration_s=1.0).chunks(parse_source("97")))


# -- in child processes


@pytest.mark.slow
def test_videos_share_batches_and_keep_their_own_windows(tmp_path):
    paths = [draw_video(tmp_path / f"{n}.mp4", frames=12 + 24 * (n % 2), seed=n) for n in range(5)]
    source, encode = source_of(), MeanColour()
    encoder, windows = WindowEncoder(encode, batch_size=64), []
    with read_sources(
        source, [parse_source(str(path)) for path in paths], workers=2, timeout_s=60
    ) as fed:
        for number, item in fed:
            if isinstance(item, Chunk):
                windows += encoder.add(number, item)
    windows += encoder.flush()
    for number, path in enumerate(paths):
        alone, *_ = encode_chunks(source.chunks(parse_source(str(path))))
        of_video = [encoded for encoded in windows if encoded.video == number]
        assert of_video
        assert spans(of_video) == spans(alone)
        for encoded, other in zip(of_video, alone, strict=True):
            np.testing.assert_array_equal(encoded.features, other.features)


def test_an_unreadable_source_does_not_stop_the_others(tmp_path, video):
    (tmp_path / "text.mp4").write_text("text")
    sources = [
        parse_source(str(tmp_path / "text.mp4")),
        parse_source(str(video)),
        parse_source(str(tmp_path / "no")),
    ]
    with read_sources(source_of(), sources, workers=2, timeout_s=60) as fed:
        last = dict(fed)
    assert str(last[0]) == "not a video that can be opened"
    assert str(last[2]) == "no such file"
    assert isinstance(last[1], VideoEnd)


def test_leaving_early_leaves_nothing_behind(video):
    before = threading.active_count()
    sources = [parse_source(str(video))] * 8
    source = source_of(frames=60, stride_s=0.05)
    with read_sources(source, sources, workers=2, timeout_s=60) as fed:
        next(fed)
    assert threading.active_count() == before


def test_a_child_that_crashes_costs_its_video_alone(monkeypatch):
    monkeypatch.setattr(WindowSource, "chunks", exec)
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with read_sources(crash, [{}], workers=1, timeout_s=60) as fed:
        ((_, error),) = fed
    assert isinstance(error, VideoError)
    assert str(error) == "the decoder crashed (SIGKILL)"


@pytest.mark.parametrize(
    ("frames", "fps", "line"),
    [
        (np.zeros((3, 4, 4), np.uint8), 5.0, "uint8 of shape"),
        (np.zeros((3, 4, 4, 3)), 5.0, r"Received: float64 \(3, 4, 4, 3\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), 5.0, "one or more"),
        (np.zeros((1, 4, 4, 3), np.uint8), None, "Received: fps=None"),
        (np.zeros((1, 4, 4, 3), np.uint8), 0.0, "Received: fps=0.0"),
        (np.zeros((1, 4, 4, 3), np.uint8), "25", "must be a number .* Received: fps='25'"),
    ],
)
def test_frames_are_checked(frames, fps, line):
    with pytest.raises(ConfigError, match=line):
        window_reader.check_frames(frames, fps)


def test_a_stream_is_taken_item_by_item_and_its_error_is_the_callers():
    with processes.ProcessPool() as call:
        assert list(call.stream(range, 3)) == [0, 1, 2]
        with pytest.raises(VideoError, match="no such file"):
            list(call.stream(WindowSource.chunks, source_of(), parse_source("/nowhere.mp4")))
        assert list(call.stream(range, 2)) == [0, 1]


# -- what is said of a file


@pytest.mark.parametrize(
    ("frames", "spans_s"), [(30, [(2.0, 3.2)]), (75, [(2.0, 3.0), (2.5, 3.5)])]
)
def test_windows_have_the_times_of_a_player(tmp_path, frames, spans_s):
    times = range(50, 50 + frames)
    path = encode(tmp_path / "a.mp4", frames=frames, times=times, sound="aac")
    windows, ending, _ = encode_chunks(source_of().chunks(parse_source(str(path))))
    for window, span_s in zip(windows, spans_s, strict=False):
        assert (window.window.start_s, window.window.end_s) == pytest.approx(span_s, abs=0.05)
    assert (ending.duration_s, ending.damage) == (pytest.approx(frames / 25, abs=0.01), "")


@pytest.mark.slow
@pytest.mark.parametrize("frames", [30, 90])  # read as one clip, and as windows
def test_corrupt_frames_and_further_streams_are_said(tmp_path, frames):
    lossy = encode(tmp_path / "a.ts", frames=frames, size=(320, 240), g=25, bf=0)
    _, ending, _ = encode_chunks(
        source_of().chunks(parse_source(str(lose_packets(lossy, every=20))))
    )
    assert ending.damage.endswith("frames are corrupt")
    two = encode_several(tmp_path / "b.mkv", [(64, 48), (160, 120)], frames=frames)
    _, ending, _ = encode_chunks(source_of().chunks(parse_source(str(two))))
    assert ending.notes == ("it has 2 video streams: 160x120 is read, 64x48 is not",)
    bad = encode(tmp_path / "c.ts", frames=frames, size=(320, 240), g=25, bf=0)
    with pytest.raises(VideoError, match="frames are corrupt, more than half"):
        encode_chunks(source_of().chunks(parse_source(str(lose_packets(bad, every=6)))))
