"""`watch` as a user starts it: two cameras, one of them faulty, a tiny run, a webhook."""

import json
import queue
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from support.rtsp_server import Fault, RtspServer, TestCamera
from support.training import train_on_videos
from support.watch_files import write_cameras_file

from violence_detection.live.event_store import EventStore
from violence_detection.live.supervisor import STORE

pytestmark = pytest.mark.slow
FPS, SIZE = 10, 96


def draw(path: Path, *, seconds: float, fight_from_s: float = 0.0, fight_to_s: float = 0.0) -> Path:
    """An H.264 video: a small square that moves slowly, and noise where there is a fight."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for number in range(round(seconds * FPS)):
            image = np.full((SIZE, SIZE, 3), 90, np.uint8)
            if fight_from_s <= number / FPS < fight_to_s:
                image[16:80, 16:80] = random.integers(0, 256, (64, 64, 1))
            else:
                image[40:50, number % 80 : number % 80 + 10] = 120
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for number in range(6):
        draw(folder / "videos" / "calm" / f"{number}.mp4", seconds=1 + number / 10)
        fight = {"seconds": 1 + number / 10, "fight_to_s": 9.0}
        draw(folder / "videos" / "fight" / f"{number}.mp4", **fight)
    videos = folder / "videos"
    return train_on_videos(videos, folder, epochs=40, backbone="mobilenet", stream="motion")


class Webhook:
    """An HTTP server on loopback that keeps the JSON that is posted to it."""

    def __init__(self) -> None:
        received: queue.Queue = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self) -> "Webhook":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_fight_is_told_a_fault_is_seen_and_the_end_is_in_order(run, short_tmp, monkeypatch):
    mixed = draw(short_tmp / "mixed.mp4", seconds=8, fight_from_s=4, fight_to_s=6)
    calm = draw(short_tmp / "calm.mp4", seconds=4)
    cameras = {
        "door": TestCamera([mixed], login="viewer:geheim"),
        "yard": TestCamera([calm], faults=[Fault(2, "freeze", client=0)]),
    }
    with RtspServer(cameras) as server, Webhook() as webhook:
        door = server.url("door").replace("rtsp://", "rtsp://viewer:${DOOR_PASSWORD}@")
        path = write_cameras_file(
            short_tmp,
            f"""
defaults:
  read_timeout_s: 1
  alert: {{threshold: 0.5, confirm: {{windows: 1, of: 1}}, close_gaps_s: 0}}
cameras:
  - {{name: door, title: Front door, source: "{door}"}}
  - {{name: yard, source: "{server.url("yard")}"}}
sinks: [{{name: desk, webhook: "{webhook.url}", min_priority: low}}]
""",
        )
        path.write_text(path.read_text().replace("run: run", f"run: {run}"))
        monkeypatch.setenv("DOOR_PASSWORD", "geheim")
        words = ["watch", str(path), "--for", "120", "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "violence_detection", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            first = webhook.received.get(timeout=60)
            second = webhook.received.get(timeout=30)
        finally:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 143, stderr
    assert "geheim" not in stdout + stderr
    notices = [json.loads(line) for line in stdout.splitlines()]
    assert (notices[0]["notice"], notices[-1]["notice"]) == ("started", "ended")
    states = {
        name: [
            notice["state"]
            for notice in notices
            if notice.get("camera") == name and "state" in notice
        ]
        for name in cameras
    }
    assert states["door"] == ["up"]
    assert states["yard"][:1] == ["up"] and "waiting" in states["yard"]
    assert (first["kind"], first["camera"], first["camera_title"]) == (
        "start",
        "door",
        "Front door",
    )
    assert (second["kind"], second["event"]) == ("end", first["event"])
    changes = [notice for notice in notices if notice["notice"] == "event"]
    assert {change["camera"] for change in changes} == {"door"}
    assert changes[0]["event"] == first["event"] and changes[0]["sent_to"] == ["desk"]
    with EventStore.reader(short_tmp / "data" / STORE) as store:
        event = store.event(first["event"])
        assert event.state == "ended" and 1500 <= event.end_ms - event.start_ms <= 6000
        assert store.open_events() == [] and store.waiting("desk") == []
        assert "waiting" in [gap.state for gap in store.gaps("yard", since_ms=0)]


def test_no_camera_that_comes_up_is_a_failure(run, short_tmp):
    text = "cameras: [{name: door, source: 'rtsp://127.0.0.1:1/x', alert: {threshold: run}}]"
    path = write_cameras_file(short_tmp, text)
    path.write_text(path.read_text().replace("run: run", f"run: {run}"))
    words = ["watch", str(path), "--for", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "violence_detection", *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Error: A camera must send frames. Received: none of 1 in 2" in done.stderr
