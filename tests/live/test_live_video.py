"""Live MP4 of a camera: from its packets to a file that grows and can be decoded at any moment."""

import asyncio
import base64
import io

import av
import pytest
from fastapi import HTTPException
from support.packets import DrawnStream

from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.capturing.video_sender import VideoSender
from violence_detection.live.processes.capture_messages import CameraVideo
from violence_detection.live.watching import camera_videos
from violence_detection.live.watching.camera_videos import CameraVideos, LiveVideoPart
from violence_detection.live.web.live_video import LiveVideoRelay
from violence_detection.video.live_source import StreamInfo


class Camera:
    """A ring that gets drawn packets, its sender, and what the supervisor keeps."""

    def __init__(self, codec: str = "h264", drawn: DrawnStream | None = None) -> None:
        self.drawn, self.now, self.orders = drawn or DrawnStream(), 100.0, []
        self.ring = PacketRing(keep_s=20, max_bytes=2**20)
        self.codec = codec
        self.videos = CameraVideos(self.orders.append, now_s=lambda: self.now)
        self.sender = VideoSender(
            self.ring, lambda message: self.videos.add("door", message), now_s=lambda: self.now
        )
        self.connect()

    def connect(self) -> None:
        info = StreamInfo(
            self.codec, "High", "yuv420p", 128, 96, 10.0, False, self.drawn.time_base, True
        )
        self.ring.begin(info, self.drawn.header)

    def receive(self, first: int, last: int) -> None:
        for packet in self.drawn.packets[first:last]:
            self.ring.add(packet)
            self.now = packet.arrived_s
        self.sender.step()


def brightness(content: bytes) -> list[int]:
    """Of the right border of each frame that can be decoded."""
    with av.open(io.BytesIO(content), format="mp4") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [round(float(frame[:10, -20:].mean())) for frame in frames]


def test_who_comes_later_begins_with_the_newest_key_frame():
    camera = Camera()
    camera.receive(0, 5)
    assert camera.videos.part("door", 0, 0) == LiveVideoPart(0, 0) and camera.orders == ["door"]
    camera.sender.order(60.0)
    camera.receive(5, 14)
    first = camera.videos.part("door", 0, 0)
    camera.receive(14, 28)
    following = camera.videos.part("door", first.stream, first.number)
    second = camera.videos.part("door", 0, 0)
    # Frames have brightness 20 + 2 i; the last packet waits for the next one, and key frames are
    # 0, 10, 20. The first viewer is there before the key frame 10 is whole on its way, or after.
    assert brightness(first.content + following.content) == pytest.approx(
        [20 + 2 * number for number in range(10, 27)], abs=3
    )
    assert brightness(second.content) == pytest.approx(
        [20 + 2 * number for number in range(20, 27)], abs=3
    )
    assert camera.videos.part("door", first.stream, second.number).content == b""


def test_video_of_a_turned_camera_is_shown_upright():
    camera = Camera(drawn=DrawnStream(rotation=90))
    camera.receive(0, 5)
    camera.videos.part("door", 0, 0)
    camera.sender.order(60.0)
    camera.receive(5, 14)
    content = camera.videos.part("door", 0, 0).content
    with av.open(io.BytesIO(content), format="mp4") as container:
        assert next(container.decode(video=0)).rotation == 90


def test_another_connection_ends_the_stream():
    camera = Camera()
    camera.videos.part("door", 0, 0)
    camera.sender.order(60.0)
    camera.receive(0, 14)
    first = camera.videos.part("door", 0, 0)
    camera.drawn = DrawnStream(size=(64, 48))
    camera.drawn.packets = camera.drawn.later(2.0)
    camera.connect()
    camera.receive(0, 14)
    assert camera.videos.part("door", first.stream, first.number).stream == 0
    assert len(brightness(camera.videos.part("door", 0, 0).content)) == 3


def test_nothing_is_made_without_an_order_or_of_what_browsers_do_not_play():
    camera = Camera("hevc")
    camera.sender.order(60.0)
    camera.receive(0, 14)
    other = Camera()
    other.receive(0, 14)
    assert (
        not camera.videos.part("door", 0, 0).stream and not other.videos.part("door", 0, 0).stream
    )


def test_what_is_kept_is_bounded_and_nonsense_is_left_out(monkeypatch):
    monkeypatch.setattr(camera_videos, "MAX_BYTES", 100_000)
    videos = CameraVideos(lambda camera: None)
    videos.part("door", 0, 0)  # what comes before somebody asks is of another time
    block = base64.b64encode(bytes(10_000)).decode()
    videos.add("door", CameraVideo(7, 1, False, True, block))
    for number in range(2, 50):
        videos.add("door", CameraVideo(7, number, number % 5 == 0, False, block))
    for wrong in ("no base64!", "", base64.b64encode(bytes(2**20)).decode()):
        videos.add("door", CameraVideo(7, 50, True, False, wrong))
    assert len(videos.part("door", 7, 42).content) == 70_000
    assert videos.part("door", 7, 10).stream == 0  # who was too slow has missed a part
    begin = videos.part("door", 0, 0)
    assert len(begin.content) == 10_000 + 50_000 and begin.number == 49


def test_viewers_are_counted_and_leave():
    part = LiveVideoPart(3, 1, b"x").to_bytes()
    live = LiveVideoRelay(lambda camera, stream, after: part, first_s=0.0)

    async def look() -> None:
        streams = [await live.open("door") for _ in range(4)]
        assert [await anext(stream) for stream in streams] == [b"x"] * 4
        with pytest.raises(HTTPException, match="503"):
            await live.open("door")
        await live.open("yard")
        for stream in streams:
            await stream.aclose()
        await anext(await live.open("door"))

    asyncio.run(look())
    empty = LiveVideoRelay(
        lambda camera, stream, after: LiveVideoPart(0, 0).to_bytes(), first_s=0.0
    )
    with pytest.raises(HTTPException, match="404"):
        asyncio.run(empty.open("door"))
