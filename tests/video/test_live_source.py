"""Live sources: every fault of a camera has its kind, no password is shown, and times only grow."""

import contextlib
import functools
import pickle
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from support.encoding import encode
from support.rtsp_server import Fault, RtspServer, TestCamera

from violence_detection.video import live_source
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.live_decoder import LiveDecoder, LiveFrame, LiveVideo, SectionEnd
from violence_detection.video.live_source import LagTracker, LiveError, open_live
from violence_detection.video.writing.stream_header import header_stream, rotation_in

SECRET = "s3c@ret"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("clip") / "a.mp4", frames=75, size=(160, 120), g=25, bf=0)


def read(camera: TestCamera, *, max_step_s=2.0, login=""):
    """All frames (time, arrival, size) and ends of sections, and the error at the end."""
    items = []
    with (
        RtspServer({"door": camera}) as server,
        pytest.raises(LiveError) as caught,
        open_live(server.url("door", login), open_timeout_s=2, read_timeout_s=1) as source,
    ):
        decoder = LiveDecoder(source, max_step_s)
        for packet in source.packets():
            items += decoder.decode(packet)
    return items, caught.value, decoder.counts


def times_of(items) -> np.ndarray:
    return np.array([item.time_s for item in items if isinstance(item, LiveFrame)])


def reasons_of(items) -> list[str]:
    return [item.reason for item in items if isinstance(item, SectionEnd)]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_live_frames_are_those_of_the_file_to_the_bit(tmp_path, b_frames):
    path = encode(tmp_path / "a.mp4", frames=50, size=(160, 120), g=25, bf=b_frames)
    with open_video(path) as video:
        expected = [(time_s, video.retrieve().copy()) for _, time_s in video]
    camera = TestCamera([path], repeats_first=True, loops=False, speed=16)
    with (
        RtspServer({"a": camera}) as server,
        contextlib.suppress(LiveError),
        open_live(server.url("a")) as source,
    ):
        video, frames = LiveVideo(source, max_step_s=2), []
        for index, time_s in video:
            assert index == len(frames) and not video.begins_section
            frames.append((time_s, video.retrieve()))
    assert len(frames) == len(expected) and video.counts.before_first == 1
    for (live_s, live), (time_s, image) in zip(frames, expected, strict=True):
        assert live_s == pytest.approx(time_s, abs=1e-9)
        np.testing.assert_array_equal(live, image)


def test_the_stream_is_described(clip):
    camera = TestCamera([clip], clock_offset_s=-7200, speed=8)
    with RtspServer({"a": camera}) as server, open_live(server.url("a")) as source:
        info = source.info
        next(source.packets())
        assert source.started_at_ms / 1000 == pytest.approx(time.time() - 7200, abs=5)
    assert (info.codec, info.profile, info.pixels) == ("h264", "High", "yuv420p")
    assert (info.width, info.height, info.fps) == (160, 120, 25.0)
    assert info.is_real_time and not info.has_b_frames


@pytest.mark.parametrize(
    ("fault", "kind", "frames"),
    [
        (Fault(1, "freeze"), "timeout", 24),
        (Fault(1, "close"), "closed", 24),
        (Fault(1, "reset"), "closed", 24),
        (Fault(1, "garbage"), None, 24),
        (Fault(1, "slow", 1), "timeout", 24),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_connection_that_fails_ends_with_an_error(clip, fault, kind, frames):
    items, error, _ = read(TestCamera([clip], [fault], speed=2, loops=False))
    assert kind in (None, error.kind)
    assert len(times_of(items)) == pytest.approx(frames, abs=2)


@pytest.mark.parametrize("jump_s", [3600.0, -30.0])
def test_a_clock_that_jumps_ends_a_section_and_the_time_goes_on(clip, jump_s):
    items, _, counts = read(TestCamera([clip], [Fault(1, "jump", jump_s)], speed=4, loops=False))
    assert reasons_of(items) == ["clock"] and counts.clock_jumps == 1
    steps_s = np.diff(times_of(items))
    assert len(steps_s) > 70 and steps_s.min() > 0.03 and steps_s.max() < 0.5


def test_a_pause_ends_a_section_and_is_no_jump_of_the_clock(tmp_path):
    times = [*range(25), *range(43, 68)]
    path = encode(tmp_path / "a.mp4", frames=50, size=(160, 120), g=25, bf=0, times=times)
    items, _, counts = read(TestCamera([path], loops=False), max_step_s=0.5)
    assert reasons_of(items) == ["gap"] and counts.clock_jumps == 0
    assert times_of(items)[-1] == pytest.approx(66 / 25, abs=0.1)


def test_a_new_size_ends_a_section(clip, tmp_path):
    large = encode(tmp_path / "large.mp4", frames=25, size=(320, 240))
    items, _, counts = read(TestCamera([clip], [Fault(1, "file", large)], speed=4, loops=False))
    assert reasons_of(items) == ["size"] and counts.size_changes == 1
    sizes = [(frame.width, frame.height) for frame in items if isinstance(frame, LiveFrame)]
    change = sizes.index((320, 240))
    assert set(sizes[:change]) == {(160, 120)} and set(sizes[change:]) == {(320, 240)}
    assert items[-1].retrieve().shape == (240, 320, 3)


def test_lost_packets_leave_gaps_and_damage_but_no_error(clip):
    camera = TestCamera([clip] * 2, [Fault(0.5, "lose", 0.2)], speed=8, loops=False)
    items, error, counts = read(camera)
    times_s = times_of(items)
    assert error.kind == "closed" and 60 < len(times_s) < 140
    assert np.diff(times_s).max() > 0.06 or counts.corrupt


@pytest.mark.slow
def test_frames_of_more_pixels_than_the_limit_are_not_decoded(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(live_source, "MAX_PIXELS", 200 * 150)
    large = encode(tmp_path / "large.mp4", frames=75, size=(320, 240), g=25)
    with (
        RtspServer({"large": TestCamera([large])}) as server,
        pytest.raises(LiveError, match="320x240, over the limit"),
    ):
        open_live(server.url("large")).__enter__()
    items, error, counts = read(TestCamera([clip], [Fault(1, "file", large)], speed=4))
    assert {frame.width for frame in items if isinstance(frame, LiveFrame)} == {160}
    assert error.kind == "garbage" and counts.corrupt == 64


def test_packets_are_dropped_up_to_a_key_frame(clip):
    with (
        RtspServer({"a": TestCamera([clip], speed=8, loops=False)}) as server,
        contextlib.suppress(LiveError),
        open_live(server.url("a")) as source,
    ):
        decoder, items = LiveDecoder(source), []
        for number, packet in enumerate(source.packets()):
            if 10 <= number < 25:
                decoder.skip()
            else:
                items += decoder.decode(packet)
    assert reasons_of(items) == ["dropped"]
    assert np.diff(times_of(items)).max() == pytest.approx(16 * 0.04, abs=0.05)


def test_frames_that_no_other_needs_are_not_decoded_on_request(tmp_path):
    path = encode(tmp_path / "b.mp4", frames=75, size=(160, 120), g=25, bf=2)
    with (
        RtspServer({"a": TestCamera([path], speed=8, loops=False)}) as server,
        contextlib.suppress(LiveError),
        open_live(server.url("a")) as source,
    ):
        decoder, items = LiveDecoder(source), []
        decoder.keeps_references_only = True
        assert decoder.keeps_references_only
        for packet in source.packets():
            items += decoder.decode(packet)
    assert 20 < len(items) < 60


def test_a_camera_that_asks_for_a_password(clip):
    camera = TestCamera([clip], login=f"me:{SECRET}")
    with RtspServer({"a": camera}) as server:
        with pytest.raises(LiveError, match="password is refused") as caught:
            open_live(server.url("a", f"me:{SECRET}x")).__enter__()
        with open_live(server.url("a", f"me:{SECRET}")) as source:
            assert next(source.packets()).is_key
    assert caught.value.kind == "refused" and SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [("gone", "absent", "404"), ("busy", "unreachable", "not ready")],
)
def test_a_server_that_says_no(clip, path, kind, reason):
    with (
        RtspServer({"busy": TestCamera([clip], busy_s=60)}) as server,
        pytest.raises(LiveError, match=f"^it cannot be opened: .*{reason}") as caught,
    ):
        open_live(server.url(path, f"me:{SECRET}")).__enter__()
    assert caught.value.kind == kind and SECRET not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).kind == kind


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (f"rtsp://me:{SECRET}@127.0.0.1:9/x", "unreachable"),
        (f"rtsp://me:{SECRET}@nowhere.invalid/x", "unreachable"),
        (f"nothing://me:{SECRET}@127.0.0.1/x", "absent"),
        ("concat:/etc/passwd", "absent"),
        (97, "absent"),
    ],
)
def test_a_target_where_nothing_is(target, kind):
    with pytest.raises(LiveError, match="^it cannot be opened: ") as caught:
        open_live(target, open_timeout_s=5).__enter__()
    assert caught.value.kind == kind and SECRET not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(None, "timeout"), (b"\0" * 5000, "garbage"), (b"HTTP/1.1 200 OK\r\n\r\n<html>", "garbage")],
)
def test_a_server_that_is_no_camera(answer, kind):
    def talk() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            if answer is None:
                connection.recv(1000)
            connection.sendall(answer or b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=talk, daemon=True).start()
        url = f"rtsp://me:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/x"
        start_s = time.monotonic()
        with pytest.raises(LiveError) as caught:
            open_live(url, open_timeout_s=0.5).__enter__()
    assert caught.value.kind == kind and time.monotonic() - start_s < 3


def test_a_stream_without_any_times_is_counted_by_its_rate(clip, tmp_path):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "raw.h264"), "w") as raw:
        stream = source.streams.video[0]
        copy = raw.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                raw.mux(packet)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        times_s = []
        with (
            contextlib.suppress(LiveError),
            open_live(f"http://127.0.0.1:{server.server_port}/raw.h264") as source,
        ):
            assert not source.info.is_real_time
            for _, time_s in LiveVideo(source, max_step_s=2):
                times_s.append(time_s)
        server.shutdown()
    np.testing.assert_allclose(times_s, np.arange(75) / 25, atol=1e-6)


@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
def test_the_header_tells_the_rotation_that_the_container_asks_for(tmp_path, clip, rotation):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "turned.mp4"), "w") as turned:
        copy = turned.add_stream_from_template(source.streams.video[0])
        copy.set_display_rotation(rotation)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                turned.mux(packet)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_live(f"http://127.0.0.1:{server.server_port}/turned.mp4") as source:
            header = source.header()
            frame = next(frame for packet in source.packets() for frame in decoded(source, packet))
        server.shutdown()
    with header_stream(header) as stream:
        assert rotation_in(stream) == frame.rotation % 360 == rotation % 360


def decoded(source, packet):
    encoded = av.Packet(packet.data)
    encoded.pts, encoded.dts = packet.pts, packet.dts
    return source.codec_context.decode(encoded)


def test_multipart_jpeg_has_the_times_at_which_it_comes(clip):
    with open_video(clip) as video:
        next(iter(video))
        image = video.retrieve()
    import cv2

    jpeg = cv2.imencode(".jpg", image)[1].tobytes()

    class Jpegs(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=b")
            self.end_headers()
            head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            with contextlib.suppress(OSError):
                for _ in range(15):
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(0.1)

        def log_message(self, *_) -> None:
            pass

    times_s = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Jpegs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            contextlib.suppress(LiveError),
            open_live(f"http://127.0.0.1:{server.server_port}/", read_timeout_s=2) as source,
        ):
            assert source.info.is_real_time
            for _, time_s in LiveVideo(source, max_step_s=2):
                times_s.append(time_s)
        server.shutdown()
    assert len(times_s) > 5 and np.median(np.diff(times_s)) == pytest.approx(0.1, abs=0.05)


# -- lag


def test_lag_is_the_delay_over_the_least_of_the_last_ten_minutes():
    lag = LagTracker()
    assert lag.add(0.0, 102.0) == 0  # the first comes from a buffer
    assert lag.add(1.0, 101.5) == 0
    assert lag.add(2.0, 103.2) == pytest.approx(0.7)
    assert lag.offset_s == 100.5


def test_lag_does_not_grow_with_a_clock_that_runs_slow():
    lag, drift = LagTracker(), 50e-6
    lags = [lag.add(second * (1 - drift), float(second)) for second in range(0, 24 * 3600, 30)]
    assert max(lags) < 11 * 60 * drift


def test_a_reset_forgets():
    lag = LagTracker()
    lag.add(5000.0, 1.0)
    lag.reset()
    assert lag.add(1.0, 2.0) == 0
