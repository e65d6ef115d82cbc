"""`watch` as a user starts it: cameras with and without faults, a tiny run, a webhook, the page."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import av
import pytest
from support.backbones import backbones_are_whole  # noqa: F401
from support.live_watch import FPS, Watch, Webhook, draw, until
from support.rtsp_server import Fault, RtspServer, TestCamera
from support.training import train_on_videos
from support.watch_files import write_cameras_file

from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.supervision.watch_parts import SOCKET, STORE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(backbones_are_small, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for number in range(6):
        draw(folder / "videos" / "calm" / f"{number}.mp4", seconds=1 + number / 10)
        fight = {"seconds": 1 + number / 10, "fight_to_s": 9.0}
        draw(folder / "videos" / "fight" / f"{number}.mp4", **fight)
    videos = folder / "videos"
    return train_on_videos(videos, folder, epochs=40, backbone="mobilenet", stream="motion")


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
        # A fight of 2 s, or its last window of 1.2 s where the judge was ready only then.
        assert event.state == "ended" and 1100 <= event.end_ms - event.start_ms <= 6000
        clip = store.clip(event.id)
        assert clip.state == "kept" and (short_tmp / "data" / clip.path).stat().st_size > 1000
        assert clip.start_ms <= event.start_ms and clip.end_ms > event.start_ms + 1000
        assert store.open_events() == [] and store.waiting("desk") == []
        assert "waiting" in [gap.state for gap in store.gaps("yard", since_ms=0)]


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
    # A camera that refuses is not asked again and again: after 22 s at the earliest.
    attempts = server.attempts("yard")
    assert sum(at_s < attempts[0] + 20 for at_s in attempts) <= 2
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
