"""A `watch` as a user starts it: drawn videos of cameras, a webhook, its process."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np

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
