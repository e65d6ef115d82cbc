"""Captures of cameras: how soon a failure is seen, how often a camera is asked, what each costs.

    python benchmarks/live/capture.py VIDEO.mp4 [--large LARGE.mp4]
        [--parts failures,cost,refusal,connections]

The cameras are those of tests/support/rtsp_server.py on loopback, and play VIDEO (H.264) in real
time. Parts:

failures: the picture freezes, the connection is closed, reset, garbled, --repeats times each.
Seconds from the last frame that was sent until the capture says that it waits, and from then until
frames come again, beyond the delay that it said.

cost: --cameras captures at once with the default stream, for --seconds: share of a core, memory
(PSS) and largest lag of each; then one that only reads and keeps packets. With --large the same
for that file.

refusal: attempts in --refusal-s seconds of a camera that refuses the password.

connections (F8): memory of a capture and its descriptors over --connections connections, each of
which the camera, 8 times as fast as real time, closes after 5 s of its stream. The capture waits
0.05 s before each attempt, since with the delays of a watch so many would take days. Growth is the
mean of the last quarter over the mean of the second one: the first holds the start. The memory is
that which is shared with no file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from running_watch import (
    cpu_s,
    describe,
    descriptors,
    own_mb,
    pss_mb,
)  # sets the path for what follows
from support.capture_worker import RunningCapture
from support.rtsp_server import Fault, RtspServer, TestCamera

READ_TIMEOUT_S = 2.0
FAULT_AT_S = 3.0
WINDOWS = {"stream": "motion(focus=true)", "size": 224, "frames": 20, "window_s": 2.0}
_READER = """
import sys, time, resource
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.video.live_source import open_live
ring, end_s = PacketRing(keep_s=10, max_bytes=16 * 2**20), time.monotonic() + float(sys.argv[2])
with open_live(sys.argv[1]) as source:
    ring.begin(source.info)
    before = time.process_time()
    start_s = time.monotonic()
    for packet in source.packets():
        ring.add(packet)
        if time.monotonic() > end_s:
            break
print((time.process_time() - before) / (time.monotonic() - start_s), ring.bytes, ring.span_s)
"""


def measure_failures(video: Path, kind: str, repeats: int) -> dict[str, Any]:
    """Seconds of one kind of failure until it is seen, and until frames come again."""
    seen_s, back_s, last = [], [], FAULT_AT_S
    for _ in range(repeats):
        camera = TestCamera([video], [Fault(FAULT_AT_S, kind, client=0)])
        with (
            tempfile.TemporaryDirectory() as folder,
            RtspServer({"a": camera}) as server,
            RunningCapture(
                server.url("a"),
                Path(folder),
                windows=WINDOWS,
                read_timeout_s=READ_TIMEOUT_S,
            ) as capture,
        ):
            failed = capture.wait_for_state("waiting", timeout_s=60)
            again = capture.wait_for_state("up", after_s=failed.at_s, timeout_s=60)
            sent = [at_s for time_s, at_s in camera.sent if time_s < FAULT_AT_S]
            last = max(sent)
        seen_s.append(failed.at_s - last)
        back_s.append(again.at_s - failed.at_s - failed.retry_in_s)
    return {
        "failure": kind,
        "repeats": repeats,
        "read_timeout_s": READ_TIMEOUT_S,
        "seen_s": [round(statistics.median(seen_s), 2), round(max(seen_s), 2)],
        "back_beyond_delay_s": [round(statistics.median(back_s), 2), round(max(back_s), 2)],
    }


def measure_cost(video: Path, cameras: int, seconds: float) -> dict[str, Any]:
    """Share of a core and memory of captures that run at the same time."""
    with ExitStack() as stack:
        names = [f"camera{number}" for number in range(cameras)]
        server = stack.enter_context(RtspServer({name: TestCamera([video]) for name in names}))
        captures = []
        for name in names:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            captures.append(
                stack.enter_context(
                    RunningCapture(server.url(name), folder, windows=WINDOWS, stride_s=1.0)
                )
            )
        for capture in captures:
            capture.wait_for_state("up", timeout_s=60)
        time.sleep(5)
        pids = [capture.process.pid for capture in captures]
        before_s, start_s = list(map(cpu_s, pids)), time.monotonic()
        first = [len(capture.messages) for capture in captures]
        time.sleep(seconds)
        passed_s = time.monotonic() - start_s
        shares = [
            (cpu_s(pid) - used_s) / passed_s for pid, used_s in zip(pids, before_s, strict=True)
        ]
        lags_s = [
            message.lag_s
            for capture, count in zip(captures, first, strict=True)
            for message in capture.messages[count:]
            if hasattr(message, "lag_s")
        ]
        memory = [pss_mb(pid) for pid in pids]
        dropped = [sum(capture.status.dropped.values()) for capture in captures]
    return {
        "video": video.name,
        "cameras": cameras,
        "seconds": round(passed_s),
        "core_share": [round(statistics.mean(shares), 4), round(max(shares), 4)],
        "pss_mb": [round(statistics.mean(memory), 1), round(max(memory), 1)],
        "lag_s": [round(statistics.median(lags_s), 3), round(max(lags_s), 3)],
        "dropped": max(dropped),
        "load": round(os.getloadavg()[0], 1),
    }


def measure_keeping(video: Path, seconds: float) -> dict[str, Any]:
    """Share of a core of reading and keeping packets, without decoding."""
    with RtspServer({"a": TestCamera([video])}) as server:
        run = subprocess.run(
            [sys.executable, "-c", _READER, server.url("a"), str(seconds)],
            capture_output=True,
            text=True,
            check=True,
        )
    share, kept_bytes, kept_s = map(float, run.stdout.split())
    return {
        "video": video.name,
        "keeping_only_core_share": round(share, 4),
        "kept_mb": round(kept_bytes / 2**20, 2),
        "kept_s": round(kept_s, 1),
    }


def measure_refusal(video: Path, seconds: float) -> dict[str, Any]:
    """Attempts of a capture whose password is refused."""
    camera = TestCamera([video], login="me:right")
    with (
        tempfile.TemporaryDirectory() as folder,
        RtspServer({"a": camera}) as server,
        RunningCapture(server.url("a", "me:wrong"), Path(folder)) as capture,
    ):
        capture.wait_for_state("refused", timeout_s=60)
        time.sleep(seconds)
        attempts = sum(request.verb == "OPTIONS" for request in server.requests)
        requests = len(server.attempts("a"))
    return {"seconds": seconds, "attempts": attempts, "descriptions_asked": requests}


def measure_connections(video: Path, connections: int) -> dict[str, Any]:
    """Memory and descriptors of a capture that connects again and again."""
    rows = []
    camera = TestCamera([video], [Fault(5.0, "close")], speed=8.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        RtspServer({"a": camera}) as server,
        RunningCapture(
            server.url("a"), Path(folder), windows=WINDOWS | {"retry_s": 0.05}
        ) as capture,
    ):
        capture.wait_for_state("up", timeout_s=60)
        pid, start_s = capture.process.pid, time.monotonic()
        while (count := len(server.attempts("a"))) < connections:
            rows.append((count, own_mb(pid), descriptors(pid)))
            capture.messages.clear()
            capture.judge.chunks.clear()
            time.sleep(1.0)
        passed_s = time.monotonic() - start_s
    second, last = (
        [row[1] for row in rows if first <= row[0] / connections < first + 0.25]
        for first in (0.25, 0.75)
    )
    return {
        "connections": count,
        "seconds": round(passed_s),
        "own_mb": [round(statistics.mean(second), 2), round(statistics.mean(last), 2)],
        "growth": round(statistics.mean(last) / statistics.mean(second) - 1, 4),
        "descriptors_most": [
            max(row[2] for row in rows if row[0] < connections / 2),
            max(row[2] for row in rows if row[0] >= connections / 2),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--large", type=Path)
    parser.add_argument("--parts", default="failures,cost,refusal")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--refusal-s", type=float, default=600.0)
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args()
    parts = options.parts.split(",")
    print(json.dumps(describe()), flush=True)
    if "failures" in parts:
        for kind in ("freeze", "close", "reset", "garbage"):
            print(json.dumps(measure_failures(options.video, kind, options.repeats)), flush=True)
    for video in filter(None, (options.video, options.large)) if "cost" in parts else ():
        print(json.dumps(measure_cost(video, options.cameras, options.seconds)), flush=True)
        print(json.dumps(measure_keeping(video, options.seconds)), flush=True)
    if "refusal" in parts:
        print(json.dumps(measure_refusal(options.video, options.refusal_s)), flush=True)
    if "connections" in parts:
        print(json.dumps(measure_connections(options.video, options.connections)), flush=True)


if __name__ == "__main__":
    main()
