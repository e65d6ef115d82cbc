"""Messages lost or doubled when the process that sends is killed, and when its sink is away.

    python benchmarks/live/outbox_kills.py [--kills 100] [--away-s 3600]

A process stores events and sends them to a webhook on loopback; it is killed (-9) again and again
and started anew, while the webhook answers 200, 503, or nothing. Every event whose storing was
confirmed before a kill must reach the webhook, under one id. Then the webhook is away for
`--away-s` seconds by a clock that runs 60 times as fast, while events go on.
"""

import argparse
import http.server
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from violence_detection.live.notifiers import webhook
from violence_detection.live.notifying.outbox_sender import OutboxSink, Sender
from violence_detection.live.storage.event_records import Addressed, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

SPEED = 60.0  # of the clock while the sink is away
ANSWERS = (200, 200, 200, 503, 0)  # 0: the connection ends without an answer


@dataclass
class Result:
    """Counts of one part.

    Attributes:
        stored: Events whose storing was confirmed.
        lost: Those of them that never arrived.
        doubled: Events that arrived under more than one id.
        repeated: Further arrivals of an id, which the receiver drops by its key.
        out_of_order: First arrivals before that of an earlier event.
        seconds: Wall time.
    """

    kills: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    repeated: int = 0
    out_of_order: int = 0
    seconds: float = 0.0


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that counts ids and answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.arrived: list[tuple[str, str]] = []  # event, id
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.status
        if status == 200:
            self.server.arrived.append((content["event"], self.headers["Idempotency-Key"]))
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Clock:
    """UTC in milliseconds and a steady clock, both `speed` times as fast as time."""

    speed: float = 1.0
    began: float = field(default_factory=time.monotonic)
    began_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def steady_s(self) -> float:
        return (time.monotonic() - self.began) * self.speed

    def now_ms(self) -> int:
        return self.began_ms + round(1000 * self.steady_s())


def work(path: Path, url: str, *, speed: float, events_per_s: float, only_sends: bool) -> None:
    """Stores events and sends them; writes the id of each event that was stored to stdout."""
    clock = Clock(speed)
    with EventStore.open(path, now_ms=clock.now_ms, ballast_bytes=0) as store:
        notifier = webhook.Webhook("hook", url, secret="", timeout_s=2.0, ca_file="")
        sender = Sender(store, OutboxSink("hook", notifier), monotonic_s=clock.steady_s)
        threading.Thread(target=_send, args=(sender, speed), daemon=True).start()
        while not only_sends or store.waiting("hook", limit=1):
            time.sleep(1 / events_per_s)
            if not only_sends:
                event = StoredEvent(store.new_id(), "door", clock.now_ms(), "high")
                message = Message(f"{event.id}-start", "start", clock.now_ms(), event=event.id)
                store.record_start(event, [Addressed("hook", message)])
                print(event.id, flush=True)


def _send(sender: Sender, speed: float) -> None:
    while True:
        wait_s = sender.send_next()
        if wait_s != 0:
            time.sleep(min(0.02, (wait_s or 1.0) / speed))


def kill_again_and_again(path: Path, kills: int, *, draw: random.Random) -> Result:
    """The counts after so many kills, and a last process that sends what waits."""
    receiver, stored, began = Receiver(), [], time.monotonic()
    for _ in range(kills):
        receiver.status = draw.choice(ANSWERS)
        stored += _run(path, receiver, draw.uniform(0.5, 1.5))
    receiver.status = 200
    _run(path, receiver, None)
    return _counted(stored, receiver, kills=kills, seconds=time.monotonic() - began)


def leave_the_sink_away(path: Path, away_s: float) -> Result:
    """The counts after a sink was away for so long, by a clock that runs fast."""
    receiver, began = Receiver(), time.monotonic()
    receiver.status = 503
    stored = _run(path, receiver, away_s / SPEED + 0.5, speed=SPEED)
    receiver.status = 200
    _run(path, receiver, None, speed=SPEED)
    return _counted(stored, receiver, kills=1, seconds=time.monotonic() - began)


def _run(path: Path, receiver: Receiver, seconds: float | None, speed: float = 1.0) -> list[str]:
    """Ids that a process confirmed: until it is killed, or (None) until nothing waits."""
    command = [sys.executable, __file__, "--work", str(path), receiver.url, str(speed)]
    if seconds is None:
        return subprocess.run([*command, "--only-sends"], check=True, capture_output=True) and []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline()]
        timer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
        timer.start()
        lines += process.stdout.readlines()
        timer.cancel()
    return [line.strip() for line in lines if line.endswith("\n")]


def _counted(stored: list[str], receiver: Receiver, *, kills: int, seconds: float) -> Result:
    receiver.shutdown()
    receiver.server_close()
    ids = {event: {key for each, key in receiver.arrived if each == event} for event in stored}
    first = list(dict.fromkeys(event for event, _ in receiver.arrived))
    latest = [max(first[: place + 1]) for place in range(len(first))]
    return Result(
        kills=kills,
        stored=len(stored),
        lost=sum(not keys for keys in ids.values()),
        doubled=sum(len(keys) > 1 for keys in ids.values()),
        repeated=sum(count - 1 for count in Counter(receiver.arrived).values()),
        out_of_order=sum(event < high for event, high in zip(first, latest, strict=True)),
        seconds=seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--away-s", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--only-sends", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        path, url, speed = arguments.work
        work(
            Path(path),
            url,
            speed=float(speed),
            events_per_s=20.0,
            only_sends=arguments.only_sends,
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        draw = random.Random(arguments.seed)
        print(kill_again_and_again(Path(folder) / "kills.db", arguments.kills, draw=draw))
        print(leave_the_sink_away(Path(folder) / "away.db", arguments.away_s))


if __name__ == "__main__":
    main()
