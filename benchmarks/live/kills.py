"""F13: seconds from a kill (-9) of a process of a watch until it watches again.

    python benchmarks/live/kills.py RUN VIDEO [--repeats 3] [--cameras 4]

capture: until that camera is up again. judge: until a window is judged that ended after the kill.
supervisor: it is started again at once, as a service manager does; until the first camera, and
until all cameras, have a judged window.
"""

import argparse
import json
import os
import signal
import time
from pathlib import Path

from running_watch import RunningWatch, describe, summary  # sets the path for what follows
from support.rtsp_server import RtspServer, TestCamera


def kill(pid: int) -> tuple[float, int]:
    """Kills a process; the monotonic time, and UTC in ms."""
    os.kill(pid, signal.SIGKILL)
    return time.monotonic(), time.time_ns() // 1_000_000


def newest_ms(camera) -> int:
    """The end of the newest judged window of a camera; 0 without one."""
    return camera.scores[-1][0] if camera.scores else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cameras", type=int, default=4)
    options = parser.parse_args()
    print(json.dumps(describe()), flush=True)
    names = [f"camera{number}" for number in range(options.cameras)]
    seconds: dict[str, list[float]] = {
        "capture": [],
        "judge": [],
        "supervisor, first camera": [],
        "supervisor, all cameras": [],
    }
    with RtspServer({name: TestCamera([options.video]) for name in names}) as server:
        urls = {name: server.url(name) for name in names}
        with RunningWatch(options.run, urls) as watch:
            watch.wait_until_judging()
            time.sleep(5)
            for number in range(options.repeats):
                name = names[number % len(names)]
                pid = watch.processes()[f"capture of {name}"]
                at_s, _ = kill(pid)

                def is_up(status, name=name, pid=pid) -> bool:
                    camera = next(row for row in status.cameras if row.name == name)
                    return camera.state == "up" and camera.pid not in (None, pid)

                seconds["capture"].append(watch.wait_for(is_up) - at_s)
                time.sleep(3)
            for _ in range(options.repeats):
                at_s, at_ms = kill(watch.processes()["judge 1"])
                later = watch.wait_for(
                    lambda status, at_ms=at_ms: (
                        max(map(newest_ms, status.cameras)) > at_ms and status.judge == "ready"
                    )
                )
                seconds["judge"].append(later - at_s)
                time.sleep(3)
            for _ in range(options.repeats):
                at_s, at_ms = kill(watch.process.pid)
                watch.process.wait()
                watch.start()
                first_s = watch.wait_for(
                    lambda status, at_ms=at_ms: max(map(newest_ms, status.cameras)) > at_ms
                )
                all_s = watch.wait_for(
                    lambda status, at_ms=at_ms: min(map(newest_ms, status.cameras)) > at_ms
                )
                seconds["supervisor, first camera"].append(first_s - at_s)
                seconds["supervisor, all cameras"].append(all_s - at_s)
                time.sleep(3)
    for part, values in seconds.items():
        print(json.dumps({"killed": part, "times": len(values)} | summary(values)), flush=True)


if __name__ == "__main__":
    main()
