"""A capture process reports what its camera does, drops what it must, and comes back."""

import contextlib
import time

import av
import numpy as np
import pytest
from support.capture_worker import FRAMES, SIZE, WINDOW_S, RunningCapture
from support.encoding import encode
from support.rtsp_server import Fault, RtspServer, TestCamera

from violence_detection.inference.sliding_windows import WindowPlan
from violence_detection.inference.video_sources import parse_source
from violence_detection.inference.window_reader import WindowSource
from violence_detection.live.processes.capture_messages import StreamOpened
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.video.clip_reader import ClipReader

pytestmark = pytest.mark.slow  # a process takes a second to start


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return encode(path, frames=100, size=(160, 120), g=25, bf=0)


def images_of(chunks) -> np.ndarray:
    data = b"".join(bytes(chunk.images) for chunk in chunks)
    return np.frombuffer(data, np.uint8).reshape(-1, SIZE, SIZE, 3)


def judged(windows) -> list:
    return [window for window in windows if not window.unjudged]


@pytest.mark.parametrize("stream", ["rgb", "motion(focus=true)"])
def test_a_capture_has_the_windows_of_the_file(clip, tmp_path, stream):
    camera = TestCamera([clip], repeats_first=True, loops=False, speed=2)
    with (
        RtspServer({"door": camera}) as server,
        RunningCapture(server.url("door"), tmp_path, windows={"stream": stream}) as capture,
    ):
        change = capture.wait_for_state("waiting")
        capture.wait_for(lambda: len(capture.judge.windows) >= 7)
        opened = next(m for m in capture.messages if isinstance(m, StreamOpened))
    assert (opened.codec, opened.width, opened.height, opened.fps) == ("h264", 160, 120, 25.0)
    assert "closed" in change.reason and 0.7 < change.retry_in_s < 1.3
    reader = ClipReader(stream=stream, frames=FRAMES, frame_size=SIZE)
    source = WindowSource(reader, WindowPlan(WINDOW_S, 0.5, FRAMES))
    *chunks, _ = source.chunks(parse_source(str(clip)))
    expected = [window for chunk in chunks for window in chunk.windows]
    chunks_live = [chunk for chunk in capture.judge.chunks if chunk.section == 1]
    live = [window for chunk in chunks_live for window in chunk.windows]
    first_s = live[0].start_s
    assert [(round(w.start_s - first_s, 6), round(w.end_s - first_s, 6)) for w in live] == [
        (round(w.start_s, 6), round(w.end_s, 6)) for w in expected
    ]
    live_images, images = (
        images_of(capture.judge.chunks),
        np.concatenate([c.images for c in chunks]),
    )
    for window, other in zip(live, expected, strict=True):
        np.testing.assert_array_equal(
            live_images[list(window.images)], images[other.images.ravel()]
        )


def test_a_camera_that_fails_once_comes_back(clip, tmp_path):
    """Four cameras fail in four ways at the same time: most of it is waiting."""
    kinds = ("freeze", "close", "reset", "garbage")
    cameras = {kind: TestCamera([clip], [Fault(1, kind, client=0)]) for kind in kinds}
    with RtspServer(cameras) as server, contextlib.ExitStack() as stack:
        captures = {}
        for kind in kinds:
            (tmp_path / kind).mkdir()
            capture = RunningCapture(server.url(kind), tmp_path / kind)
            captures[kind] = stack.enter_context(capture)
        for kind, capture in captures.items():
            first = capture.wait_for_state("up")
            failed = capture.wait_for_state("waiting")
            again = capture.wait_for_state("up", after_s=failed.at_s)
            window = capture.wait_for(
                lambda capture=capture, failed=failed: next(
                    w for w in judged(capture.judge.windows) if w.start_s > failed.at_s
                )
            )
            limit_s = 1.0 if kind in ("freeze", "garbage") else 0.0  # read_timeout_s
            assert failed.at_s - first.at_s <= 1.0 + limit_s + 0.8, kind
            assert again.at_s - failed.at_s <= failed.retry_in_s + 1.5, kind
            assert cameras[kind].most_playing == 1
            # Between the two connections nobody judges, and the judge is told so.
            gap = next(w for w in capture.judge.windows if w.unjudged == "dropped")
            assert gap.end_s == pytest.approx(window.start_s, abs=0.1), kind
            assert gap.start_s < failed.at_s + 1
            starts_s = [window.start_s for window in judged(capture.judge.windows)]
            assert starts_s == sorted(starts_s)


def test_a_silent_camera_is_called_silent(clip, tmp_path):
    camera = TestCamera([clip], [Fault(1, "freeze")])
    with (
        RtspServer({"door": camera}) as server,
        RunningCapture(server.url("door"), tmp_path, read_timeout_s=2.5) as capture,
    ):
        up = capture.wait_for_state("up")
        assert capture.wait_for_state("silent").at_s - up.at_s < 3.5


def test_a_wrong_password_is_tried_rarely(clip, tmp_path):
    camera = TestCamera([clip], login="me:right")
    with (
        RtspServer({"door": camera}) as server,
        RunningCapture(server.url("door", "me:wr0ng"), tmp_path) as capture,
    ):
        refused = capture.wait_for_state("refused")
        time.sleep(1)
        assert len(server.attempts("door")) <= 2  # without the password, and with it
    assert 22 <= refused.retry_in_s <= 38 and "password is refused" in refused.reason
    assert "wr0ng" not in repr(capture.messages)


def test_a_path_that_does_not_exist(clip, tmp_path):
    with RtspServer({}) as server, RunningCapture(server.url("door"), tmp_path) as capture:
        absent = capture.wait_for_state("absent")
    assert 22 <= absent.retry_in_s <= 38 and "404" in absent.reason


def test_a_server_that_is_busy_at_first_is_asked_again(clip, tmp_path):
    with RtspServer({"door": TestCamera([clip])}) as server:
        server.cameras["door"].busy_s = time.monotonic() - server.start_s + 2.0
        with RunningCapture(server.url("door"), tmp_path) as capture:
            waiting = capture.wait_for_state("waiting")
            capture.wait_for_state("up")
    assert "not ready" in waiting.reason


def test_a_new_size_and_a_clock_that_jumps_begin_sections(clip, tmp_path):
    large = encode(tmp_path / "large.mp4", frames=100, size=(320, 240), g=25)
    faults = [Fault(1.5, "jump", 3600.0), Fault(3, "file", large)]
    with (
        RtspServer({"door": TestCamera([clip], faults, speed=3)}) as server,
        RunningCapture(server.url("door"), tmp_path) as capture,
    ):
        capture.wait_for(lambda: capture.judge.chunks and capture.judge.chunks[-1].section == 3)
        capture.wait_for(lambda: capture.status.size_changes)
        status, chunks = capture.status, list(capture.judge.chunks)
    assert (status.clock_jumps, status.size_changes, status.connections) == (1, 1, 1)
    for section in (1, 2, 3):
        of_section = [chunk for chunk in chunks if chunk.section == section]
        counts = np.cumsum([0, *(chunk.image_count for chunk in of_section)])
        assert [chunk.first_image for chunk in of_section] == counts[:-1].tolist()
    ends_s = [window.end_s for window in judged(capture.judge.windows)]
    assert ends_s == sorted(ends_s) and ends_s[-1] - ends_s[0] < 10


def test_windows_with_too_few_frames_are_not_judged(tmp_path):
    slow = encode(tmp_path / "slow.mp4", frames=8, size=(160, 120), fps=1, g=1, bf=0)
    with (
        RtspServer({"door": TestCamera([slow], speed=4)}) as server,
        RunningCapture(server.url("door"), tmp_path, stride_s=1.0) as capture,
    ):
        windows = capture.wait_for(lambda: len(capture.judge.windows) > 2 and capture.judge.windows)
    assert {window.unjudged for window in windows} == {"frames"}


def test_the_stride_is_that_of_the_last_order(clip, tmp_path):
    from violence_detection.live.processes.process_messages import StrideOrder

    with (
        RtspServer({"door": TestCamera([clip], speed=4)}) as server,
        RunningCapture(server.url("door"), tmp_path) as capture,
    ):
        capture.wait_for(lambda: len(capture.judge.windows) >= 2)
        capture.process.send(StrideOrder(2.0))
        capture.wait_for(lambda: len(capture.judge.windows) >= 5)
        capture.wait_for(lambda: capture.status.unjudged_s > 0)
        assert capture.status.stride_s == 2.0
    steps_s = np.diff([window.start_s for window in capture.judge.windows])
    assert steps_s[0] == pytest.approx(0.5, abs=0.01)
    assert steps_s[-1] == pytest.approx(2.0, abs=0.01)


def test_a_stream_whose_frames_cannot_be_decoded_is_connected_anew(tmp_path):
    """Packets keep coming, but no key frame: the decoder gives nothing, and no error."""
    path = encode(tmp_path / "a.mp4", frames=250, size=(160, 120), g=250, bf=0)
    camera = TestCamera([path], leaves_out_keys=True)
    with (
        RtspServer({"door": camera}) as server,
        RunningCapture(server.url("door"), tmp_path, windows={"frame_limit_s": 1.0}) as capture,
    ):
        waiting = capture.wait_for_state("waiting")
    assert waiting.reason == "no frame of it could be decoded for 1 s"


def test_clips_are_of_the_stream_that_is_named_for_them(clip, tmp_path):
    """The small stream is judged; the clip has the packets of the large one."""
    large = encode(tmp_path / "large.mp4", frames=100, size=(320, 240), g=10)
    cameras = {"small": TestCamera([clip]), "large": TestCamera([large])}
    with (
        RtspServer(cameras) as server,
        RunningCapture(
            server.url("small"), tmp_path, windows={"clip_target": server.url("large")}
        ) as capture,
    ):
        capture.wait_for(lambda: capture.status.ring_s > 1.5 and capture.judge.windows)
        assert capture.status.clip_reason == ""
        from_s = time.monotonic() - 1.0
        capture.process.send(ClipOrder("e", "clips/door/e.mp4", from_s))
        capture.process.send(ClipEnd("e", from_s + 1.5))
        written = capture.wait_for(
            lambda: next((m for m in capture.messages if isinstance(m, ClipWritten)), None)
        )
    assert written.codec == "h264" and 1.4 < written.duration_s < 2.5
    with av.open(str(tmp_path / "clips" / "door" / "e.mp4")) as container:
        assert container.streams.video[0].width == 320


def test_a_clip_source_that_is_not_there_costs_clips_only(clip, tmp_path):
    with (
        RtspServer({"small": TestCamera([clip])}) as server,
        RunningCapture(
            server.url("small"), tmp_path, windows={"clip_target": server.url("large")}
        ) as capture,
    ):
        capture.wait_for(lambda: "404" in capture.status.clip_reason)
        capture.wait_for(lambda: judged(capture.judge.windows))
        capture.process.send(ClipOrder("e", "clips/door/e.mp4", time.monotonic()))
        written = capture.wait_for(
            lambda: next((m for m in capture.messages if isinstance(m, ClipWritten)), None)
        )
    assert written.duration_s == 0 and "nothing that a clip can hold" in written.reason
