"""A `watch` as a process, its webhook, and figures of its processes, for the benchmarks here."""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "tests")]

from machine import describe as describe

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.processes.watch_status import WatchStatus
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.supervision.watch_parts import SOCKET, STORE


class Webhook:
    """Takes what is posted to it.

    Attributes:
        received: Time of arrival (UTC in seconds) and JSON of each message, in order.
    """

    def __init__(self) -> None:
        self.received: list[tuple[float, dict[str, Any]]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((time.time(), json.loads(content)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class RunningWatch:
    """A `watch`; a context manager, which ends it.

    Attributes:
        notices: Monotonic time and JSON of what it has said, in order.
        folder: Has its cameras file and its data.
    """

    def __init__(
        self,
        run: Path,
        cameras: Mapping[str, str],
        *,
        webhook: str = "",
        alert: str = "{threshold: 0.999}",
        cameras_text: str = "",
        text: str = "",
        folder: Path | None = None,
    ) -> None:
        """
        Args:
            run: Folder of the run.
            cameras: URLs by name.
            webhook: Its address; empty for no sink.
            alert: Alert settings of all cameras, YAML.
            cameras_text: Further cameras, lines of YAML.
            text: Further keys of the file.
            folder: None makes one that is deleted in the end.
        """
        self._held = contextlib.ExitStack()
        made = tempfile.TemporaryDirectory(prefix="watch-") if folder is None else None
        self.folder = Path(self._held.enter_context(made)) if made else folder
        self._run, self._webhook, self._alert, self._text = run, webhook, alert, text
        self._cameras_text = cameras_text
        self.notices: list[tuple[float, dict[str, Any]]] = []
        self.client = RequestClient(self.folder / "data" / SOCKET)
        self.write(cameras)
        self.start()

    def write(self, cameras: Mapping[str, str]) -> None:
        """Writes the cameras file."""
        rows = "".join(f'  - {{name: {name}, source: "{url}"}}\n' for name, url in cameras.items())
        sinks = ""
        if self._webhook:
            words = f'name: desk, webhook: "{self._webhook}", min_priority: low, per_10_min: 600'
            sinks = f"sinks: [{{{words}}}]\n"
        path = self.folder / "cameras.yaml"
        path.write_text(
            f"version: 1\nrun: {json.dumps(str(self._run.absolute()))}\ndata: data\n"
            f"defaults: {{alert: {self._alert}, read_timeout_s: 3}}\n"
            f"cameras:\n{rows}{self._cameras_text}{sinks}web: {{enabled: false}}\n"
            "retention: {min_free_gb: 0}\n"
            f"spot_checks_per_camera_day: 0\n{self._text}"
        )
        path.chmod(0o600)

    def start(self) -> None:
        """Starts it, or starts it again after a kill."""
        words = ["watch", str(self.folder / "cameras.yaml"), "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "violence_detection", *words],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr.txt").open("a"),
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            self.notices.append((time.monotonic(), json.loads(line)))

    def reload(self, cameras: Mapping[str, str]) -> None:
        self.write(cameras)
        self.process.send_signal(signal.SIGHUP)

    def status(self) -> WatchStatus:
        return self.client.status()

    def store(self) -> EventReader:
        return EventReader.open(self.folder / "data" / STORE)

    def wait_for(self, check: Callable[[WatchStatus], Any], *, timeout_s: float = 120.0) -> float:
        """Waits until a state of the watch is so; the monotonic time then.

        Raises:
            TimeoutError: With the last words of the watch.
        """
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with contextlib.suppress(ViolenceDetectionError):
                if check(self.status()):
                    return time.monotonic()
            time.sleep(0.05)
        words = (self.folder / "stderr.txt").read_text()[-500:]
        raise TimeoutError(f"it was not so in {timeout_s:g} s: {words}")

    def wait_until_judging(self) -> None:
        """Waits until every camera has a score."""
        self.wait_for(
            lambda status: all(camera.score is not None for camera in status.cameras),
            timeout_s=300,
        )

    def processes(self) -> dict[str, int]:
        """Numbers of its processes by role: `supervisor`, `judge 1`, `capture of door`."""
        status = self.status()
        roles = {"supervisor": self.process.pid}
        roles |= {f"judge {judge.number}": judge.pid for judge in status.judges if judge.pid}
        roles |= {f"capture of {row.name}": row.pid for row in status.cameras if row.pid}
        return roles

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.client.close()
        self._held.close()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    """Memory of a process; what it shares with others is divided among them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of {pid}")


def own_mb(pid: int) -> float:
    """Memory that a process shares with no file: unlike PSS it stays when others end that use the
    same libraries."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss_Anon of {pid}")


def descriptors(pid: int) -> int:
    """Open files and sockets of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class MachineLoad:
    """The share of the machine's processors that was busy since it was made, by all programs."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> tuple[int, int]:
        values = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
        return sum(values), values[3] + values[4]

    def share(self) -> float:
        (all_before, idle_before), (all_now, idle_now) = self._before, self._read()
        passed = max(1, all_now - all_before)
        return round(1 - (idle_now - idle_before) / passed, 3)


def percentile(values: Iterable[float], percent: float) -> float:
    """A percentile; the largest value for 100."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summary(values: Iterable[float]) -> dict[str, float]:
    """Median, 95th percentile and largest of seconds."""
    rows = list(values)
    if not rows:
        return {}
    return {
        "median": round(statistics.median(rows), 2),
        "p95": round(percentile(rows, 95), 2),
        "most": round(max(rows), 2),
    }
