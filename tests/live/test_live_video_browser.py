"""Live video of a camera plays on its page in a real browser."""

import shutil
import threading
import time

import pytest
from support.packets import FPS, DrawnStream

from violence_detection.live.access.config import WebSettings
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.capturing.video_sender import VideoSender
from violence_detection.live.watching.camera_videos import CameraVideos
from violence_detection.live.web.live_video import LiveVideoRelay
from violence_detection.video.live_source import StreamInfo

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
).split()
PLAYS = """() => {
  const video = document.querySelector("video[data-live]");
  return !video.hidden && video.currentTime > 1.5 && video.currentTime;
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium (apt install chromium)"),
]


class Camera:
    """Sends a drawn stream in real time, as a capture does, until it is ended."""

    def __init__(self, codec: str = "h264") -> None:
        self._drawn = DrawnStream(frames=60 * FPS, size=(320, 240))
        self._ring = PacketRing(keep_s=10, max_bytes=2**22)
        self.videos = CameraVideos(lambda camera: self._sender.order(60.0))
        self._sender = VideoSender(self._ring, lambda part: self.videos.add("door", part))
        base = self._drawn.time_base
        info = StreamInfo(codec, "High", "yuv420p", 320, 240, 10.0, False, base, True)
        self._ring.begin(info, self._drawn.header)
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def _play(self) -> None:
        start_s = time.monotonic()
        for packet in self._drawn.later(start_s - self._drawn.packets[0].arrived_s, camera_s=0.0):
            if self._has_ended.wait(max(0.0, packet.arrived_s - time.monotonic())):
                return
            self._ring.add(packet)
            self._sender.step()

    def __enter__(self) -> "Camera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()


@pytest.fixture
def address(page):
    """The address of the page of a drawn watch."""
    from violence_detection.live.web.server import make_server

    server = make_server(page, WebSettings(listen="127.0.0.1:0"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def test_the_video_of_a_camera_plays_on_its_page(page, address, browser):
    with Camera() as camera:
        page.video = LiveVideoRelay(lambda *asked: camera.videos.part(*asked).to_bytes())
        tab = browser.new_page()
        errors = []
        tab.on("pageerror", lambda error: errors.append(error))
        tab.goto(f"{address}/cameras/door")
        first_s = tab.wait_for_function(PLAYS, timeout=45_000).json_value()
        tab.wait_for_timeout(1500)
        later_s = tab.evaluate("document.querySelector('video[data-live]').currentTime")
        size = tab.evaluate("document.querySelector('video[data-live]').videoWidth")
        tab.close()
    assert later_s > first_s + 0.5 and size == 320 and not errors


def test_pictures_are_shown_of_what_browsers_do_not_play(page, address, browser):
    with Camera("hevc") as camera:
        page.video = LiveVideoRelay(
            lambda *asked: camera.videos.part(*asked).to_bytes(), first_s=0.5
        )
        tab = browser.new_page()
        tab.goto(f"{address}/cameras/door")
        tab.wait_for_timeout(3000)
        video = tab.locator("video[data-live]")
        assert not video.is_visible() and tab.locator("img[data-src]").is_visible()
        tab.close()
