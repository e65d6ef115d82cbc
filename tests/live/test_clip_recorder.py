"""A clip covers what was ordered, from what is kept, whatever the camera does meanwhile."""

import dataclasses

import cv2
import numpy as np
import pytest
from support.packets import FPS, DrawnStream, brightness_in, times_in

from violence_detection.live.capturing.clip_recorder import ClipRecorder
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder
from violence_detection.live.recording.clips import ClipWriter
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.live_source import StreamInfo


@pytest.fixture(scope="module")
def drawn() -> DrawnStream:
    return DrawnStream()


class Camera:
    """A recorder, its ring, and packets that arrive when a test says so."""

    def __init__(self, data, drawn, **options) -> None:
        self.data, self.drawn, self.now = data, drawn, 100.0
        self.sent = []
        self.ring = PacketRing(keep_s=10.0, max_bytes=2**20)
        self.connect(drawn)
        self.recorder = ClipRecorder(
            self.ring, data, self.sent.append, now_s=lambda: self.now, **options
        )

    def connect(self, drawn, header=None) -> None:
        info = StreamInfo("h264", "", "", 128, 96, FPS, False, drawn.time_base, True)
        self.ring.begin(info, drawn.header if header is None else header)

    def receive(self, packets) -> None:
        for packet in packets:
            self.ring.add(packet)
            self.now = packet.arrived_s
            self.recorder.step()
        self.recorder.finish_ended()

    def order(self, event="e", *, from_s, path=None) -> str:
        path = path or f"clips/door/{event}.mp4"
        self.recorder.order(ClipOrder(event, path, from_s))
        return path

    def end(self, event="e", *, to_s) -> None:
        self.recorder.order(ClipEnd(event, to_s))


@pytest.fixture
def camera(tmp_path, drawn):
    return Camera(tmp_path, drawn)


def test_a_clip_covers_what_was_ordered(camera, drawn):
    camera.receive(drawn.packets[:25])
    path = camera.order(from_s=101.55)
    camera.receive(drawn.packets[25:28])
    camera.end(to_s=103.0)
    assert camera.sent == []
    camera.receive(drawn.packets[28:])
    [written] = camera.sent
    assert (written.path, written.from_s, written.reason) == (path, 101.0, "")
    assert times_in(camera.data / path) == [round(number / FPS, 3) for number in range(21)]
    assert brightness_in(camera.data / path)[0] == pytest.approx(40, abs=3)
    assert written.duration_s == pytest.approx(2.1) and written.codec == "h264"
    assert written.has_poster and not written.has_preview
    assert written.bytes == sum(
        file.stat().st_size for file in (camera.data / path).parent.iterdir()
    )


def test_clips_of_two_events_may_overlap(camera, drawn):
    camera.receive(drawn.packets[:12])
    camera.order("a", from_s=100.0)
    camera.receive(drawn.packets[12:22])
    camera.order("b", from_s=102.0)
    camera.end("a", to_s=102.5)
    camera.end("b", to_s=103.5)
    camera.receive(drawn.packets[22:])
    assert [len(times_in(camera.data / each.path)) for each in camera.sent] == [26, 16]


def test_a_clip_begins_with_what_is_kept(camera, drawn):
    camera.receive(drawn.packets[:5])
    camera.order(from_s=50.0)
    camera.end(to_s=101.0)
    camera.receive(drawn.packets[5:])
    assert camera.sent[0].from_s == 100.0 and len(times_in(camera.data / camera.sent[0].path)) == 11


def test_a_camera_that_goes_silent_ends_the_clip_after_seconds(camera, drawn):
    camera.order(from_s=100.0)
    camera.receive(drawn.packets[:20])
    camera.end(to_s=105.0)
    camera.now = 109.9
    camera.receive([])
    camera.recorder.step()
    assert camera.sent == []
    camera.now = 110.1
    camera.recorder.step()
    camera.recorder.finish_ended()
    assert len(times_in(camera.data / camera.sent[0].path)) == 20


def test_a_clip_goes_on_over_a_new_connection_of_the_same_stream(camera, drawn):
    camera.order(from_s=100.0)
    camera.receive(drawn.packets[:20])
    camera.connect(drawn)
    camera.end(to_s=106.0)
    camera.receive(drawn.later(5.0, camera_s=0.0))
    times = times_in(camera.data / camera.sent[0].path)
    assert times[19:21] == pytest.approx([1.9, 5.0], abs=0.01) and camera.sent[0].reason == ""


def test_another_stream_ends_the_clip_and_says_so(camera, drawn):
    camera.order(from_s=100.0)
    camera.receive(drawn.packets[:20])
    larger = DrawnStream(size=(64, 48))
    camera.connect(larger)
    camera.receive(larger.later(5.0)[:3])
    assert camera.sent[0].reason == "the camera's stream has changed"
    assert len(times_in(camera.data / camera.sent[0].path)) == 20


@pytest.mark.parametrize("header", [b"", b"no header"])
def test_a_stream_that_no_clip_can_hold_is_said(camera, drawn, header):
    camera.connect(drawn, header=header)
    camera.order(from_s=100.0)
    camera.receive(drawn.packets[:3])
    assert camera.sent[0].duration_s == 0 and camera.sent[0].reason


def test_a_folder_that_cannot_be_written_is_said(camera, drawn):
    (camera.data / "clips").write_bytes(b"")
    camera.order(from_s=100.0)
    camera.receive(drawn.packets[:3])
    assert "there is a file where a folder must be" in camera.sent[0].reason


def test_a_clip_without_a_packet_is_said(camera, drawn):
    camera.order(from_s=100.0)
    camera.recorder.step()
    camera.end(to_s=99.0)
    camera.receive(drawn.packets[:3])
    assert camera.sent[0].duration_s == 0 and "must have a packet" in camera.sent[0].reason
    assert list((camera.data / "clips" / "door").iterdir()) == []


def test_what_an_earlier_process_left_is_finished(camera, drawn):
    writer = ClipWriter(camera.data / "clips/door/2026/a.mp4", drawn.header, drawn.time_base)
    for packet in drawn.packets:
        writer.write(packet)
    writer.close()
    torn = camera.data / "clips/door/b.mp4.part"
    torn.write_bytes(b"x")
    camera.recorder.finish_left(camera.data / "clips" / "door")
    finished, lost = sorted(camera.sent, key=lambda each: each.path)
    assert finished.path == "clips/door/2026/a.mp4" and finished.duration_s == 4.0
    assert "killed" in finished.reason and finished.has_poster
    assert lost.duration_s == 0 and not torn.exists()


@pytest.mark.slow
def test_with_masks_nothing_unmasked_is_written(tmp_path, drawn):
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    camera = Camera(tmp_path, drawn, masks=[left])
    camera.order(from_s=100.0)
    camera.end(to_s=102.0)
    camera.receive(drawn.packets)
    folder = tmp_path / "clips" / "door"
    assert sorted(path.name for path in folder.iterdir()) == ["e.jpg", "e.mp4"]
    assert cv2.imread(str(folder / "e.jpg"))[:, :150].max() < 40


@pytest.mark.parametrize("blurs_people", [False, True])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_clip_of_a_turned_camera_is_upright(tmp_path, drawn, rotation, blurs_people):
    """The packets do not tell the rotation; the container of the stream does."""
    for name, stream in (("plain", drawn), ("turned", DrawnStream(rotation=rotation))):
        camera = Camera(tmp_path / name, stream, blurs_people=blurs_people)
        camera.order(from_s=100.0)
        camera.end(to_s=101.0)
        camera.receive(stream.packets)
    plain, turned = (tmp_path / name / "clips/door/e.mp4" for name in ("plain", "turned"))
    expected = np.rot90(first_image(plain), rotation // 90).astype(int)
    image = first_image(turned)
    assert image.shape == expected.shape and np.abs(image - expected).mean() < 2
    sheet = cv2.imread(str(turned.with_suffix(".jpg")))
    assert sheet.shape == (480, 1280 if rotation == 180 else 720, 3)


def first_image(path) -> np.ndarray:
    with open_video(path) as video:
        next(iter(video))
        return video.retrieve()


def test_records_are_plain_numbers_and_texts(camera, drawn):
    camera.order(from_s=100.0)
    camera.end(to_s=101.0)
    camera.receive(drawn.packets)
    values = dataclasses.asdict(camera.sent[0]).values()
    assert {type(value) for value in values} <= {str, int, float, bool}
