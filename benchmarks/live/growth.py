"""F8: memory and descriptors of a watch whose cameras are lost again and again.

    python benchmarks/live/growth.py RUN VIDEO [--seconds 1200] [--cameras 4] [--close-s 4]

Every camera closes its connection --close-s seconds after each begin, and is connected again after
about a second. Memory and open descriptors of each process are taken every 5 s. Growth is the mean
of the last quarter over the mean of the second one: the first holds the start. The memory is that
which is shared with no file: the share of a library changes with other programs that use it.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from running_watch import (
    RunningWatch,
    describe,
    descriptors,
    own_mb,
)  # sets the path for what follows
from support.rtsp_server import Fault, RtspServer, TestCamera


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--close-s", type=float, default=4.0)
    options = parser.parse_args()
    print(json.dumps(describe()), flush=True)
    names = [f"camera{number}" for number in range(options.cameras)]
    faults = [Fault(options.close_s, "close")]
    cameras = {name: TestCamera([options.video], faults=faults) for name in names}
    rows: dict[str, list[tuple[float, int]]] = {}
    with (
        RtspServer(cameras) as server,
        RunningWatch(options.run, {name: server.url(name) for name in names}) as watch,
    ):
        watch.wait_for(lambda status: status.judges[0].judged > 3, timeout_s=300)
        pids, end_s = watch.processes(), time.monotonic() + options.seconds
        while time.monotonic() < end_s:
            for role, pid in pids.items():
                rows.setdefault(role, []).append((own_mb(pid), descriptors(pid)))
            time.sleep(5)
        same = watch.processes() == pids
        connections = sum(len(server.attempts(name)) for name in names)
    for role, values in rows.items():
        quarter = len(values) // 4
        early, late = values[quarter : 2 * quarter], values[-quarter:]
        memory = [statistics.mean(row[0] for row in part) for part in (early, late)]
        counts = [max(row[1] for row in part) for part in (early, late)]
        row = {
            "process": role,
            "own_mb": [round(value, 1) for value in memory],
            "growth": round(memory[1] / memory[0] - 1, 3),
            "descriptors_most": counts,
        }
        print(json.dumps(row), flush=True)
    print(
        json.dumps(
            {
                "seconds": round(options.seconds),
                "connections": connections,
                "no_process_was_replaced": same,
            }
        )
    )


if __name__ == "__main__":
    main()
