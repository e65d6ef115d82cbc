"""Live demo: cameras that play drawn footage, a watch on them, and what it found."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from violence_detection.datasets.drawing.synthetic_footage import Footage, draw_footage
from violence_detection.errors import ConfigError
from violence_detection.live.configuration import cameras_file
from violence_detection.live.demonstration.demo_score import (
    DemoScore,
    DetectedEvent,
    FightLog,
    score,
)
from violence_detection.live.processes import watch_notices
from violence_detection.live.supervision.supervisor import Supervisor
from violence_detection.live.supervision.watch_parts import SOCKET
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.video.rtsp_server import PlayedCamera, RtspServer

log = logging.getLogger(__name__)

CAVEAT = "Drawn figures say nothing of real cameras: measure a run of yours on your own footage."
_CAMERAS = {"door": "Front door", "yard": "Yard", "hall": "Hall"}
_FIGHT_S = 5.0
_LONGEST_SOCKET = 100  # bytes of the path of a Unix socket
_LONGEST_BODY = 1 << 16


@dataclass(frozen=True)
class LiveDemoResult:
    """The measurements and files of a live demo.

    Attributes:
        score: Of the drawn fights.
        seconds: Length of the watch.
        cameras: Names.
        cameras_up: Names of those that were up at some time.
        messages: Number of messages that the webhook got.
        windows, unjudged: Numbers of windows that were judged, and that were not.
        cameras_file: Its path.
        data: Folder of the event store.
    """

    score: DemoScore
    seconds: float
    cameras: tuple[str, ...]
    cameras_up: tuple[str, ...]
    messages: int
    windows: int
    unjudged: int
    cameras_file: str
    data: str

    def to_json(self) -> dict[str, Any]:
        """The object `live` in the JSON of the command."""
        counts = self.score
        return {
            "seconds": self.seconds,
            "cameras": list(self.cameras),
            "cameras_up": list(self.cameras_up),
            "fights": counts.fights,
            "found": counts.found,
            "false_alarms": counts.false_alarms,
            "delay_s": counts.delay_s,
            "delays_s": [round(delay_s, 2) for delay_s in counts.delays_s],
            "messages": self.messages,
            "windows": self.windows,
            "unjudged": self.unjudged,
            "cameras_file": self.cameras_file,
            "data": self.data,
            "caveat": CAVEAT,
        }


class LiveDemo:
    """Watches drawn cameras with a run, on this machine alone.

    Three cameras (RTSP on loopback) show scenes that the run has not seen: two figures that walk
    back and forth, and fight at known times. A webhook gets the messages.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        for_s: float | None,
        report: Callable[[watch_notices.Notice], None],
        say: Callable[[str], None],
    ) -> None:
        """
        Args:
            folder: Is made; gets the footage, the cameras file and the data of the watch.
            seed: The same seed draws the same footage.
            for_s: Length of the watch in seconds; None goes on until Ctrl-C.
            report: Is told what happens in the watch, but for the page and for events, of which the
                webhook tells.
            say: Takes lines for people, from several threads.
        """
        self._folder, self._seed, self._for_s = folder, seed, for_s
        self._report, self._say = report, say
        self._events: dict[str, DetectedEvent] = {}
        self._told_ms: dict[str, int] = {}  # by event
        self._up_ms: dict[str, int] = {}  # by camera
        self._ready_ms: int | None = None
        self._messages = 0
        self._ended: watch_notices.Ended | None = None

    def prepare(self) -> None:
        """Checks the folder's path.

        Raises:
            ConfigError: If the path is too long for a socket.
        """
        path = self._folder / "data" / SOCKET
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            raise ConfigError(
                f"--output must have a shorter path for --live: that of a socket in it may have "
                f"{_LONGEST_SOCKET} bytes. Received: {path}"
            )

    def run(self, run: Path) -> LiveDemoResult:
        """Draws, serves and watches.

        Args:
            run: Folder of the trained run.

        Raises:
            ConfigError: As `prepare`.
            KeyboardInterrupt: After Ctrl-C in a watch with a length.
        """
        self.prepare()
        log.info(f"Drawing footage of {len(_CAMERAS)} cameras")
        files.ensure_writable(self._folder)
        footage = {
            name: draw_footage(
                self._folder / f"{name}.mp4",
                calm_s=(4.0 + 4.0 * number, 9.0, 4.0),  # they fight at different times
                fight_s=_FIGHT_S,
                seed=self._seed + number,
            )
            for number, name in enumerate(_CAMERAS)
        }
        fights = FightLog(footage)
        with RtspServer(_played(footage, fights)) as server, self._webhook() as webhook_url:
            path = self._write_cameras_file(run, server, webhook_url)
            file = cameras_file.load(path)
            supervisor = Supervisor(file, report=self._hear, for_s=self._for_s)
            try:
                supervisor.run()
            except KeyboardInterrupt:
                if self._for_s is not None or self._ended is None:
                    raise
        ended = self._ended
        events = [
            replace(event, told_ms=self._told_ms.get(name)) for name, event in self._events.items()
        ]
        counts = score(
            fights.fights(),
            events,
            judged_from_ms=self._judged_from_ms(),
            end_ms=ended.at_ms,
            window_s=Run(run).record().window_s,
        )
        return LiveDemoResult(
            counts,
            seconds=ended.seconds,
            cameras=tuple(_CAMERAS),
            cameras_up=tuple(ended.cameras_up),
            messages=self._messages,
            windows=ended.windows,
            unjudged=ended.unjudged,
            cameras_file=str(path),
            data=str(file.data),
        )

    def _judged_from_ms(self) -> dict[str, int]:
        """For each camera the time since which it was up and the judge was ready."""
        if self._ready_ms is None:
            return {}
        return {camera: max(up_ms, self._ready_ms) for camera, up_ms in self._up_ms.items()}

    def _hear(self, notice: watch_notices.Notice) -> None:
        if not isinstance(notice, watch_notices.EventChanged | watch_notices.PageChanged):
            self._report(notice)
        match notice:
            case watch_notices.PageChanged(state="up"):
                self._say(f"page        open {notice.address} in a browser")
            case watch_notices.JudgeChanged(state="ready"):
                self._ready_ms = self._ready_ms or notice.at_ms
            case watch_notices.CameraChanged(state="up"):
                self._up_ms.setdefault(notice.camera, notice.at_ms)
            case watch_notices.EventChanged():
                start_ms, end_ms = _milliseconds(notice.start), _milliseconds(notice.end)
                self._events[notice.event] = DetectedEvent(notice.camera, start_ms, end_ms)
            case watch_notices.Ended():
                self._ended = notice

    def _write_cameras_file(self, run: Path, server: RtspServer, webhook_url: str) -> Path:
        cameras = "".join(
            f'  - {{name: {name}, title: {title}, source: "{server.url(name)}"}}\n'
            for name, title in _CAMERAS.items()
        )
        text = (
            "# Made by `violence-detection demo --live`; its cameras are there while that runs.\n"
            "version: 1\n"
            f"run: {json.dumps(str(run), ensure_ascii=False)}\n"
            "data: data\n"
            "defaults:\n"
            "  alert: {threshold: run, close_gaps_s: 1, cooldown_s: 5}\n"
            f"cameras:\n{cameras}"
            "sinks:\n"
            f'  - {{name: terminal, webhook: "{webhook_url}", min_priority: low}}\n'
            f'web: {{listen: "127.0.0.1:{_free_port()}"}}\n'
        )
        path = self._folder / "cameras.yaml"
        files.write_text(path, text)
        return path

    @contextmanager
    def _webhook(self) -> Iterator[str]:
        """The address of a webhook on loopback that says what it receives."""
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                if not 0 < length <= _LONGEST_BODY:
                    self.send_error(413)
                    return
                receive(json.loads(self.rfile.read(length)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()

    def _receive(self, message: dict[str, Any]) -> None:
        self._messages += 1
        if message["event"]:
            self._told_ms.setdefault(message["event"], time.time_ns() // 1_000_000)
        link = f" {message['link']}" if message["kind"] == "start" and message["link"] else ""
        self._say(f"message     {message['headline']}{link}")


def _played(footage: dict[str, Footage], fights: FightLog) -> dict[str, PlayedCamera]:
    """Cameras that play the footage, and note the fights that they show."""

    def noting(camera: str) -> Callable[[int, float], None]:
        return lambda client, time_s: fights.note(
            camera, client, time_s, time.time_ns() // 1_000_000
        )

    return {
        name: PlayedCamera([drawn.path], on_sent=noting(name)) for name, drawn in footage.items()
    }


def _free_port() -> int:
    """A port of this machine that nobody uses: with port 0 messages would have no link."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _milliseconds(time: str) -> int:
    """UTC in milliseconds of a time in ISO 8601."""
    return round(1000 * datetime.fromisoformat(time).timestamp())
