"""F10: how far behind the other cameras of a watch are while one misbehaves.

    python benchmarks/live/neighbours.py RUN VIDEO OTHER_SIZE [--seconds 20] [--others 3]

--others cameras play VIDEO in order. One more does so, too, then in turn does everything that
cameras do wrong, each for --seconds, with calm before each. Each half second the lag of the others
is taken. OTHER_SIZE is a video of another size, to which a camera changes.
"""

import argparse
import json
import os
import signal
import time
from pathlib import Path

from running_watch import RunningWatch, describe, percentile  # sets the path for what follows
from support.rtsp_server import Fault, RtspServer, TestCamera


def faults(other: Path) -> dict[str, list[Fault]]:
    """What goes wrong, by name; times are those since each connection."""
    return {
        "nothing": [],
        "freezes": [Fault(2, "freeze")],
        "closes every 2 s": [Fault(2, "close")],
        "resets every 2 s": [Fault(2, "reset")],
        "sends garbage": [Fault(2, "garbage")],
        "loses 20% of packets": [Fault(1, "lose", 0.2)],
        "jumps an hour": [Fault(2, "jump", 3600.0), Fault(4, "jump", -3600.0)],
        "changes its size": [Fault(2, "file", other)],
        "sends 5 kB a second": [Fault(1, "slow", 5000.0)],
        "dies (its capture is killed)": [],
        "nothing, again": [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("other_size", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--others", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(describe()), flush=True)
    names = [f"good{number}" for number in range(options.others)]
    bad = {
        f"bad{number}": TestCamera([options.video], faults=rows)
        for number, rows in enumerate(faults(options.other_size).values())
    }
    with RtspServer({name: TestCamera([options.video]) for name in names} | bad) as server:
        good = {name: server.url(name) for name in names}
        with RunningWatch(options.run, good) as watch:
            watch.wait_until_judging()
            time.sleep(10)
            for name, fault in zip(bad, faults(options.other_size), strict=True):
                watch.reload(good | {"bad": server.url(name)})
                time.sleep(3)
                lags_s: list[float] = []
                states: set[str] = set()
                kill_s = end_s = time.monotonic() + options.seconds
                if fault.startswith("dies"):
                    kill_s = time.monotonic()
                while time.monotonic() < end_s:
                    if time.monotonic() >= kill_s:
                        kill_capture(watch)
                        kill_s += 4
                    status = watch.status()
                    lags_s += [row.lag_s for row in status.cameras if row.name in good]
                    states |= {row.state for row in status.cameras if row.name in good}
                    time.sleep(0.5)
                row = {
                    "one camera": fault,
                    "lag_median_s": round(percentile(lags_s, 50), 3),
                    "lag_p99_s": round(percentile(lags_s, 99), 3),
                    "states_of_others": sorted(states),
                }
                print(json.dumps(row), flush=True)


def kill_capture(watch: RunningWatch) -> None:
    """Kills (-9) the capture of the bad camera, if it runs."""
    if pid := watch.processes().get("capture of bad"):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
