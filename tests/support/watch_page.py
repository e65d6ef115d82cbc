"""A drawn watch: an event store with clips, and a supervisor that only writes it."""

import time
from pathlib import Path

import av
import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.processes.watch_status import CameraStatus, SinkStatus, WatchStatus
from violence_detection.live.storage.event_records import (
    EventWindow,
    Gap,
    JudgedStretch,
    Minute,
    StoredClip,
    StoredEvent,
)
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.camera_videos import LiveVideoPart
from violence_detection.live.web.page_state import WatchPage
from violence_detection.live.web.sign_in import SignIn
from violence_detection.live.web.verdict_labels import VerdictLabels

THRESHOLD = 0.7
_FPS = 10


class NoLabels:
    """A labeller that writes nothing."""

    def write(self, video, label, config) -> str:
        return video.name

    def withdraw(self, row, *, judged_by, by) -> None:
        pass


class DrawnSupervisor:
    """Answers the page's requests from an event store of its own."""

    def __init__(self, store: EventStore, cameras: list[CameraStatus]) -> None:
        self.store, self.cameras = store, cameras
        self.snoozed: dict[str, int] = {}
        self.pictures: dict[str, bytes] = {}
        self.finds = "violence"
        self.started_ms = int(time.time() * 1000) - 3_600_000

    def status(self) -> WatchStatus:
        return WatchStatus(
            self.started_ms,
            "ready",
            "first",
            tuple(self.cameras),
            (
                SinkStatus("phone", sent=12),
                SinkStatus("home", "down", 3, 4, 0, self.started_ms, "connection refused"),
            ),
            finds=self.finds,
        )

    def picture(self, camera: str) -> bytes:
        return self.pictures.get(camera, b"")

    def video(self, camera: str, stream: int, after: int) -> bytes:
        return LiveVideoPart(1, after + 1, b"" if stream else b"video").to_bytes()

    def acknowledge(self, event: str, by: str) -> bool:
        return self.store.acknowledge(event, by=by)

    def snooze(self, camera: str, until_ms: int, by: str) -> None:
        self.snoozed[camera] = until_ms

    def record_verdict(self, event, verdict, by, start_s=None, end_s=None, note="") -> int:
        return self.store.record_verdict(
            event, verdict, by=by, start_s=start_s, end_s=end_s, note=note
        )

    def undo_verdict(self, verdict: int, by: str) -> bool:
        return self.store.undo_verdict(verdict, by=by)

    def record_label(self, verdict: int, label_row: str) -> None:
        self.store.record_label(verdict, label_row)

    def report_missed(self, camera: str, at_ms: int, by: str) -> str:
        if at_ms < self.started_ms:
            raise ConfigError("The time must be within the last hour.")
        event = StoredEvent(
            self.store.new_id(), camera, at_ms, kind="reported", end_ms=at_ms + 2000, state="ended"
        )
        self.store.record_start(event)
        return event.id


def draw_clip(path: Path, *, seconds: float, seed: int = 0, size: tuple[int, int] = (160, 90)):
    """Writes an H.264 video in which a bright square moves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    with av.open(str(path), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", _FPS, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(int(seconds * _FPS)):
            frame = picture(number, seed=seed, size=size)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())


def picture(number: int, *, seed: int = 0, size: tuple[int, int] = (160, 90)) -> np.ndarray:
    """uint8 (H, W, 3) RGB: a square that moves with `number`."""
    width, height = size
    frame = np.full((height, width, 3), (40 + 13 * seed % 60, 60, 70), np.uint8)
    side = height // 4
    left = (number * side // 3 + seed * 17) % (width - side)
    frame[height // 3 : height // 3 + side, left : left + side] = (220, 200, 90)
    return frame


def jpeg(frame: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".jpg", frame[:, :, ::-1])[1].tobytes()


def draw_event(
    store: EventStore,
    data: Path,
    *,
    camera: str = "door",
    start_ms: int | None = None,
    priority: str = "high",
    kind: str = "violence",
    with_clip: bool = True,
    state: str = "ended",
    novelty: float | None = None,
) -> str:
    """Stores an event of 4 s with its windows and, if wanted, a clip of 10 s; returns its id."""
    start_ms = int(time.time() * 1000) - 60_000 if start_ms is None else start_ms
    peak = {"low": 0.75, "medium": 0.85, "high": 0.97}[priority]
    event = StoredEvent(
        store.new_id(), camera, start_ms, priority=priority, kind=kind, state=state,
        end_ms=start_ms + 4000 if state == "ended" else None, peak=peak, peak_ms=start_ms + 2000,
        threshold=THRESHOLD,
    )  # fmt: skip
    store.record_start(event)
    places = range(start_ms - 3000, start_ms + 6000, 500)
    store.record_windows(
        event.id,
        [
            EventWindow(
                at, at + 2000, 0.1 + (peak - 0.1) * float(np.exp(-(((at - start_ms) / 2500) ** 2))),
                (0.3, 0.25, 0.3, 0.4), novelty,
            )
            for at in places
        ],
    )  # fmt: skip
    if with_clip:
        name = f"clips/{camera}/{event.id}"
        draw_clip(data / f"{name}.mp4", seconds=10, seed=len(camera))
        (data / f"{name}.jpg").write_bytes(jpeg(picture(5, seed=len(camera), size=(320, 180))))
        store.record_clip(
            StoredClip(
                event.id, f"{name}.mp4", start_ms - 3000, start_ms + 7000, 1000, "h264",
                poster_path=f"{name}.jpg", state="kept",
            )
        )  # fmt: skip
    return event.id


def draw_watch(folder: Path, labeller, *, cameras: int = 2, clock=time.time) -> WatchPage:
    """A page over a drawn store in `folder`, with cameras `door`, `yard`, `camera-2`, ..."""
    store = EventStore.open(folder / "events.db", now_ms=lambda: int(clock() * 1000))
    now_ms = int(clock() * 1000)
    rows = []
    names = ["door", "yard", *(f"camera-{number}" for number in range(2, cameras))][:cameras]
    for number, name in enumerate(names):
        title, site = name.replace("-", " ").title(), f"Shop {number % 3 + 1}"
        store.record_camera(name, title=title, site=site, settings_digest="")
        rows.append(
            CameraStatus(
                name, title, site, "up", THRESHOLD, since_ms=now_ms - 3_000_000,
                score=0.05 + 0.9 * (number == 1), last_frame_ms=now_ms, lag_s=0.2, stride_s=1.0,
            )
        )  # fmt: skip
        first = now_ms // 60_000 - 30
        scores = np.random.default_rng(number).beta(1, 8, (30, 60))
        store.record_minutes(
            [
                Minute(
                    name,
                    first + at,
                    "r",
                    0,
                    0,
                    tuple(
                        JudgedStretch(
                            60_000 * at + 1000 * place, 60_000 * at + 1000 * place + 2000, score
                        )
                        for place, score in enumerate(scores[at].tolist())
                    ),
                )
                for at in range(30)
            ]
        )
    store.record_gap(Gap(names[0], now_ms - 9_000_000, now_ms - 8_990_000, "silent", "no packets"))
    supervisor = DrawnSupervisor(store, rows)
    for number, name in enumerate(names):
        supervisor.pictures[name] = jpeg(picture(number, seed=number, size=(320, 180)))
    accounts = Accounts(folder / "accounts.db", clock=clock)
    reader = EventStore.reader(folder / "events.db")
    labels = VerdictLabels(
        reader, supervisor, labeller, data=folder, classes=("calm", "fight"), window_s=2.0
    )
    page = WatchPage(
        reader, accounts, SignIn(accounts, is_local=True), supervisor, labels, folder,
        "Europe/Berlin", {"run": "checkpoints/first", "cameras": [{"source": "rtsp://***@x"}]},
        clock=clock,
    )  # fmt: skip
    page.video.silence_s = 0.0
    return page
