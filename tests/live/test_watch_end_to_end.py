"""`watch` as a user starts it: cameras with and without faults, a tiny run, a webhook, the page."""

import csv
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from support.backbones import whole_backbones
from support.rtsp_server import Fault, RtspServer, TestCamera
from support.training import train_on_videos
from support.watch_files import write_cameras_file

from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE

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


@pytest.fixture(autouse=True, scope="module")
def backbones_are_small():
    """The judge is a process of its own, in which the MobileNets are those of Keras."""
    with whole_backbones():
        yield


@pytest.fixture(scope="module")
def run(backbones_are_small, tmp_path_factory) -> Path:
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
retention: {{min_free_gb: 0}}
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
            while (second := webhook.received.get(timeout=30))["kind"] == "rise":
                pass
        finally:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=30)
            print(stdout, stderr)  # shown where it fails
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
        clip = store.clip(event.id)
        assert clip.state == "kept" and (short_tmp / "data" / clip.path).stat().st_size > 1000
        assert clip.start_ms <= event.start_ms and clip.end_ms > event.start_ms + 1000
        assert store.open_events() == [] and store.waiting("desk") == []
        assert "waiting" in [gap.state for gap in store.gaps("yard", since_ms=0)]


class Watch:
    """A `watch` as a process, whose lines of JSON are read as they come."""

    def __init__(self, path: Path) -> None:
        words = ["watch", str(path), "--for", "180", "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "violence_detection", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.notices: list[dict] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.notices.append(json.loads(line))

    def find(self, **values) -> dict | None:
        """The first notice with these values."""
        return next((row for row in self.notices if values.items() <= row.items()), None)

    def end(self) -> str:
        """Ends it by SIGTERM; what it wrote to stderr."""
        self.process.send_signal(signal.SIGTERM)
        with self.process:
            stderr = self.process.stderr.read()
            self._reader.join()
        return stderr


def until(check: Callable, *, timeout_s: float = 60.0):
    """The first answer of `check` that is true."""
    end_s = time.monotonic() + timeout_s
    while not (answer := check()):
        assert time.monotonic() < end_s, "it did not come in time"
        time.sleep(0.1)
    return answer


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def judge(address: str, event: str, verdict: str) -> None:
    request = urllib.request.Request(
        f"{address}/api/events/{event}/verdict",
        data=json.dumps({"verdict": verdict}).encode(),
        headers={
            "Content-Type": "application/json",
            "X-Violence-Detection": "1",
            "Origin": address,
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_an_event_is_told_seen_on_the_page_and_judged_and_becomes_a_label(
    run, short_tmp, monkeypatch
):
    mixed = draw(short_tmp / "mixed.mp4", seconds=8, fight_from_s=4, fight_to_s=6)
    cameras = {"door": TestCamera([mixed]), "yard": TestCamera([mixed], login="viewer:geheim")}
    with RtspServer(cameras) as server, Webhook() as webhook:
        yard = server.url("yard").replace("rtsp://", "rtsp://viewer:${YARD_PASSWORD}@")
        path = write_cameras_file(
            short_tmp,
            f"""
defaults:
  alert: {{threshold: 0.5, confirm: {{windows: 1, of: 1}}, close_gaps_s: 0}}
  clips: {{pre_s: 2, post_s: 1}}
cameras:
  - {{name: door, source: "{server.url("door")}"}}
  - {{name: yard, source: "{yard}"}}
sinks: [{{name: desk, webhook: "{webhook.url}", min_priority: low}}]
web: {{listen: "127.0.0.1:0"}}
""",
        )
        path.write_text(path.read_text().replace("run: run", f"run: {run}"))
        monkeypatch.setenv("YARD_PASSWORD", "falsch")
        watch = Watch(path)
        try:
            address = until(lambda: watch.find(notice="page", state="up"))["address"]
            assert get(f"{address}/healthz")[0] == 200
            until(lambda: get(f"{address}/readyz")[0] == 200)
            event = webhook.received.get(timeout=60)["event"]

            def told() -> dict:
                return json.loads(get(f"{address}/api/events/{event}")[1])

            until(lambda: told()["clip"] == "kept")
            judge(address, event, "violent")
            row = until(lambda: told()["verdicts"][0]["label_row"])
            clip = get(f"{address}/api/events/{event}/clip.mp4")
        finally:
            stderr = watch.end()
            print(*watch.notices, stderr, sep="\n")  # shown where it fails
    assert watch.process.returncode == 143, stderr
    assert watch.notices[-1]["notice"] == "ended"
    assert watch.find(camera="yard", state="refused") and not watch.find(camera="yard", state="up")
    assert len(server.attempts("yard")) <= 2  # a camera that refuses is not asked again and again
    assert "falsch" not in stderr + json.dumps(watch.notices)
    (short_tmp / "clip.mp4").write_bytes(clip[1])
    with av.open(str(short_tmp / "clip.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) >= 3 * FPS
        assert file.streams.video[0].codec.name == "h264"
    with EventStore.reader(short_tmp / "data" / STORE) as store:
        start_ms = store.event(event).start_ms
    day = time.strftime("%Y%m%d", time.gmtime(start_ms / 1000))
    with open(run.parent.parent / "videos" / "videos.csv") as table:
        labels = {cells["path"]: cells for cells in csv.DictReader(table)}
    label = labels[row.partition("@")[0]]  # the part follows
    assert (label["label"], label["group"]) == ("fight", f"door-{day}")


@pytest.mark.thorough
def test_two_judges_share_the_cameras_and_one_that_is_killed_comes_back(run, short_tmp):
    calm = draw(short_tmp / "calm.mp4", seconds=4)
    with RtspServer({name: TestCamera([calm]) for name in ("door", "yard")}) as server:
        path = write_cameras_file(
            short_tmp,
            f"""
judges: 2
defaults: {{alert: {{threshold: 0.99}}, clips: {{keep: none}}}}
cameras:
  - {{name: door, source: "{server.url("door")}"}}
  - {{name: yard, source: "{server.url("yard")}"}}
web: {{enabled: false}}
""",
        )
        path.write_text(path.read_text().replace("run: run", f"run: {run}"))
        watch, client = Watch(path), RequestClient(short_tmp / "data" / SOCKET)

        def judged() -> list[int]:
            return [judge.judged for judge in client.status().judges]

        try:
            until(lambda: watch.find(notice="judge", judge=1, state="ready"))
            until(lambda: watch.find(notice="judge", judge=2, state="ready"))
            until(lambda: min(judged()) > 1)
            first, second = client.status().judges
            assert (first.cameras, second.cameras) == (("door",), ("yard",))
            os.kill(second.pid, signal.SIGKILL)
            until(lambda: watch.find(notice="judge", judge=2, state="down"))
            until(lambda: client.status().judges[0].cameras == ("door", "yard"))
            until(lambda: client.status().judges[1].judged > 1)
            assert [len(judge.cameras) for judge in client.status().judges] == [1, 1]
            assert all(camera.state == "up" for camera in client.status().cameras)
        finally:
            stderr = watch.end()
            print(*watch.notices, stderr, sep="\n")  # shown where it fails
    assert watch.process.returncode == 143, stderr


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
