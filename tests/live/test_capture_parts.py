"""What a capture is made of: delays, ring, queue, dropping, and the way to the judge."""

import random
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from support.capture_worker import Judge

from violence_detection.errors import VideoError
from violence_detection.live.capturing import host_turn
from violence_detection.live.capturing.backoff import Backoff
from violence_detection.live.capturing.capture import Capture
from violence_detection.live.capturing.chunk_sender import ChunkSender
from violence_detection.live.capturing.clip_source import ClipSource
from violence_detection.live.capturing.decoding import Decoding
from violence_detection.live.capturing.host_turn import HostTurn
from violence_detection.live.capturing.packet_queue import (
    Arrived,
    Closed,
    Connection,
    Opened,
    PacketQueue,
)
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.configuration.camera_settings import CameraSettings, LagSettings
from violence_detection.live.processes.process_messages import CameraChunk, CameraWindow
from violence_detection.live.recording.privacy_masks import PrivacyMasks
from violence_detection.video.live_source import LivePacket, StreamInfo


def packet(number: int, *, key_every=5, size=10, arrived_s=None) -> LivePacket:
    arrived_s = float(number) if arrived_s is None else arrived_s
    return LivePacket(bytes(size), number, number, number % key_every == 0, False, arrived_s)


# -- delays


def test_delays_grow_and_begin_anew_after_a_minute_in_step():
    backoff = Backoff(random.Random(0))
    delays_s = [backoff.next_delay_s("closed", in_step_s=5) for _ in range(8)]
    for delay_s, planned_s in zip(delays_s, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert 0.75 * planned_s <= delay_s <= 1.25 * planned_s
    assert len(set(delays_s[5:])) == 3
    assert backoff.next_delay_s("closed", in_step_s=61) <= 1.25


@pytest.mark.parametrize("kind", ["refused", "absent"])
def test_a_camera_that_refuses_is_asked_eight_times_in_ten_minutes_at_most(kind):
    backoff, passed_s, attempts = Backoff(random.Random(1)), 0.0, 1
    while (passed_s := passed_s + backoff.next_delay_s(kind, in_step_s=0)) < 600:
        attempts += 1
    assert attempts <= 8


def test_the_stream_of_clips_is_not_asked_for_while_the_other_is_refused(tmp_path):
    is_refused, attempts = threading.Event(), []
    is_refused.set()
    turn = SimpleNamespace(wait=lambda: attempts.append(1), release=lambda: None)
    source = ClipSource(
        "rtsp://127.0.0.1:1/x",
        CameraSettings(),
        PacketRing(keep_s=10, max_bytes=100),
        turn=turn,
        is_refused=is_refused.is_set,
    )
    threading.Thread(target=source.run, daemon=True).start()
    time.sleep(0.2)
    assert (attempts, source.reason) == ([], "the camera refuses the other stream")
    is_refused.clear()
    end_s = time.monotonic() + 10
    while not attempts and time.monotonic() < end_s:
        time.sleep(0.05)
    assert attempts


def test_a_decoder_that_hangs_ends_the_capture_which_is_started_again(tmp_path):
    maker = SimpleNamespace(window_s=2.0)
    turn = HostTurn(tmp_path, 0)
    sender = ChunkSender(tmp_path / "judge.sock")
    capture = Capture("rtsp://x", CameraSettings(), maker, sender, lambda _: None, turn=turn)
    capture._decoding_since_s = 100.0
    capture._check_connection(129.0)
    with pytest.raises(VideoError, match="The decoder must answer"):
        capture._check_connection(131.0)


def test_cameras_of_one_host_connect_one_after_the_other(tmp_path):
    urls = ["rtsp://me:1@192.0.2.1/a", "rtsp://192.0.2.1:8554/b", "rtsp://192.0.2.1/c"]
    turns_s, start_s = [], time.monotonic()

    def connect(url: str, hold_s: float) -> None:
        turn = HostTurn(tmp_path, url)
        turn.wait()
        turns_s.append(time.monotonic() - start_s)
        time.sleep(hold_s)
        turn.release()

    threads = [threading.Thread(target=connect, args=(url, 0.1)) for url in urls]
    for thread in threads:
        thread.start()
    other = HostTurn(tmp_path, "rtsp://192.0.2.2/other")
    other.wait()
    other_s = time.monotonic() - start_s
    other.release()
    for thread in threads:
        thread.join()
    assert len(turns_s) == 3 and np.diff(turns_s).min() > 0.4
    assert other_s < turns_s[1]  # it waits for no camera of another host
    assert turns_s[-1] < 3  # nobody waited in vain, which takes 3 s


def test_a_camera_that_hangs_does_not_keep_the_others_of_its_host_out(tmp_path, monkeypatch):
    monkeypatch.setattr(host_turn, "_MAX_WAIT_S", 0.3)
    hanging, other = HostTurn(tmp_path, "rtsp://h/a"), HostTurn(tmp_path, "rtsp://h/b")
    hanging.wait()
    start_s = time.monotonic()
    other.wait()
    assert 0.25 < time.monotonic() - start_s < 2.5
    hanging.release()
    other.release()


# -- ring


def test_the_ring_keeps_whole_groups_of_the_last_seconds():
    ring = PacketRing(keep_s=7.0, max_bytes=10**6)
    for number in range(3, 50):
        ring.add(packet(number))
    kept = ring.packets()
    assert kept[0].is_key and [p.pts for p in kept] == list(range(40, 50))
    assert ring.bytes == 100 and ring.span_s == 9.0


def test_the_ring_stays_within_its_bytes_even_without_key_frames():
    ring = PacketRing(keep_s=1e6, max_bytes=1000)
    for number in range(300):
        ring.add(packet(number, key_every=300))
        assert ring.bytes <= 1000
    for number in range(300):
        ring.add(packet(number))
        assert ring.bytes <= 1000
    assert ring.packets()[0].is_key


def test_another_connection_empties_the_ring():
    ring = PacketRing(keep_s=10, max_bytes=1000)
    ring.add(packet(0))
    info = StreamInfo("h264", "", "", 1, 1, 25.0, False, (1, 90000), True)
    ring.begin(info)
    assert ring.packets() == [] and ring.bytes == 0 and ring.info is info


# -- queue


def test_a_full_queue_drops_up_to_a_key_frame_and_says_so():
    waiting = PacketQueue(max_bytes=100)
    for number in range(20):
        waiting.put_packet(packet(number))
    assert waiting.dropped == 10
    assert [waiting.get().packet.pts for _ in range(10)] == list(range(10))
    for number in range(21, 27):
        waiting.put_packet(packet(number))
    items = [waiting.get(), waiting.get()]
    assert [(item.packet.pts, item.follows_gap) for item in items] == [(25, True), (26, False)]
    assert waiting.dropped == 14
    waiting.put(Closed())
    assert waiting.get() == Closed()


# -- dropping


class NoFrames:
    """A decoder, and a maker of windows, that note what they are asked for."""

    window_s, last_frame_s = 1.0, 0.0

    def __init__(self) -> None:
        self.decoded, self.skips = [], 0

    def connect(self, fps: float) -> None:
        pass

    def decode(self, undecoded):
        self.decoded.append(undecoded.pts)
        return iter(())

    def skip(self) -> None:
        self.skips += 1


class Source:
    fps = 25.0


def test_what_comes_late_is_dropped_up_to_a_key_frame_in_time(monkeypatch):
    from violence_detection.live.capturing import decoding as module

    decoder = NoFrames()
    decoder.keeps_references_only = False
    monkeypatch.setattr(module, "LiveDecoder", lambda *_: decoder)
    decoding = Decoding(
        NoFrames(), lambda chunk: None, LagSettings(), PrivacyMasks(()), lambda frame: None
    )
    connection = Connection(0.0)
    decoding.begin(Opened(Source(), connection))
    now_s = time.monotonic()
    waits_s = [0.0, 0.0, 1.5, 2.5, 2.5, 1.5, 0.9, 0.9, 0.0, 0.0, 0.0]
    for number, wait_s in enumerate(waits_s):
        decoding.decode(Arrived(packet(number, arrived_s=now_s - wait_s)))
        if number == 2:
            assert decoder.keeps_references_only
    # Packet 5 is a key frame, but still late; 10 is the next.
    assert decoder.decoded == [0, 1, 2, 10]
    assert (decoding.late, decoder.skips) == (7, 1)
    assert decoding.not_decoded == 1 and not decoder.keeps_references_only
    assert connection.in_step_since_s is None


# -- to the judge


def chunk_of(number: int, *, images=1, side=4) -> CameraChunk:
    pixels = np.full((images, side, side, 3), number % 256, np.uint8)
    window = CameraWindow(float(number), number + 2.0, (number,))
    return CameraChunk.of_images("door", 1, number, pixels, (window,), 0.0)


def wait_for(condition) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_chunks_wait_for_a_judge_and_reach_it_whole(tmp_path):
    sender = ChunkSender(tmp_path / "judge")
    threading.Thread(target=sender.run, daemon=True).start()
    for number in range(5):
        sender.put(chunk_of(number, images=3))
    judge = Judge(tmp_path / "judge")
    wait_for(lambda: len(judge.windows) == 5)
    assert [chunk.first_image for chunk in judge.chunks] == list(range(5))
    assert bytes(judge.chunks[4].images) == bytes([4]) * 3 * 4 * 4 * 3
    assert sender.dropped == 0
    judge.close()


def test_what_waits_too_long_is_dropped_and_passed_on_as_not_judged(tmp_path):
    sender = ChunkSender(tmp_path / "judge")
    for number in range(200):
        sender.put(chunk_of(number))
    assert sender.dropped == 136
    judge = Judge(tmp_path / "judge")
    threading.Thread(target=sender.run, daemon=True).start()
    wait_for(lambda: sum(not window.unjudged for window in judge.windows) == 64)
    lost = [window for window in judge.windows if window.unjudged]
    assert {window.unjudged for window in lost} == {"dropped"}
    assert lost[0].start_s == 0 and max(window.end_s for window in lost) == 137
    starts_s = [window.start_s for window in judge.windows]
    assert starts_s == sorted(starts_s)
    judge.close()


def test_what_is_sent_after_an_order_goes_to_the_other_judge(tmp_path):
    first, second = Judge(tmp_path / "judge"), Judge(tmp_path / "judge-2")
    sender = ChunkSender(tmp_path / "judge")
    threading.Thread(target=sender.run, daemon=True).start()
    for number in range(6):
        if number == 3:
            wait_for(lambda: len(first.windows) == 3)
            sender.redirect(tmp_path / "judge-2")
        sender.put(chunk_of(number))
    wait_for(lambda: len(second.windows) == 3)
    assert [chunk.first_image for chunk in second.chunks] == [3, 4, 5]
    assert (len(first.windows), sender.dropped) == (3, 0)
    first.close()
    second.close()
