"""F15: a disk that is full: what is still told, what is kept, and how soon all is well again.

    python benchmarks/live/full_disk.py RUN VIDEO [--events 3] [--mb 96]

As root: the data folder is on a file system in memory of --mb megabytes. A camera of
tests/support/rtsp_server.py plays VIDEO (H.264) again and again; in it there must be something that
the run calls violent, and calm after it. After --events events with a clip another program takes
all room, to the last byte, and holds it for --events further events. Then it gives it back. Counted
are messages, clips that were deleted, errors of the store; measured are the seconds from the start
of an event to its message before and while the disk is full, and from the room's return until the
warning is gone and the reserve is there.
"""

import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

# First, because it sets the path for the imports below.
from running_watch import RunningWatch, Webhook, describe, summary
from support.rtsp_server import RtspServer, TestCamera

from violence_detection.live.supervision.watch_parts import STORE


def starts(webhook: Webhook) -> list[tuple[float, dict]]:
    """Time of arrival (UTC in seconds) and content of the messages about new events."""
    return [row for row in list(webhook.received) if row[1]["kind"] == "start"]


def wait_for_starts(webhook: Webhook, count: int, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while len(starts(webhook)) < count:
        if time.monotonic() > end_s:
            raise TimeoutError(f"{len(starts(webhook))} of {count} events in {limit_s:.0f} s")
        time.sleep(0.1)


def take_all_room(path: Path) -> int:
    """Writes a file until the disk is full; its bytes."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return path.stat().st_size


def seconds_to_message(rows: list[tuple[float, dict]], store) -> list[float]:
    """From the stored start of events to their messages."""
    events = [(at_s, store.event(message["event"])) for at_s, message in rows]
    return [at_s - event.start_ms / 1000 for at_s, event in events]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    webhook, filler = Webhook(), folder / "data" / "filler"
    alert = (
        f"{{threshold: {options.threshold}, confirm: {{windows: 1, of: 1}}, close_gaps_s: 1, "
        "cooldown_s: 0, priorities: {medium: {margin: 0}, high: {margin: 0}}}"
    )
    with RtspServer({"door": TestCamera([options.video])}) as server:
        urls = {"door": server.url("door")}
        with RunningWatch(
            options.run, urls, webhook=webhook.url, alert=alert, folder=folder
        ) as watch:
            watch.wait_until_judging()
            wait_for_starts(webhook, options.events, options.limit_s)
            with watch.store() as store:
                end_s = time.monotonic() + 60
                while len(store.clips("kept")) < options.events and time.monotonic() < end_s:
                    time.sleep(0.2)
                kept = {clip.event for clip in store.clips("kept")}
                told = len(starts(webhook))
                filled = take_all_room(filler)
                wait_for_starts(webhook, told + options.events, options.limit_s)
                warnings = watch.status().warnings
                rows = starts(webhook)
                filler.unlink()
                back_s = time.monotonic()
                is_well = lambda status: (
                    not any("disk" in text for text in status.warnings)
                    and (folder / "data" / f"{STORE}.ballast").exists()
                )
                back_s = watch.wait_for(is_well, timeout_s=180) - back_s
                wait_for_starts(webhook, len(rows) + 1, options.limit_s)
                stored = store.rows("select id from events where kind = 'violence'")
                time.sleep(3)
                had = [message["event"] for _, message in starts(webhook)]
                gone = [event for event in kept if store.clip(event).state != "kept"]
                before, during = rows[:told], rows[told:]
                result = {
                    "events": {"before": told, "while full": len(during)},
                    "bytes taken": filled,
                    "told": len({row[0] for row in stored} & set(had)),
                    "stored": len(stored),
                    "told twice": len(had) - len(set(had)),
                    "unreviewed high clips before": len(kept),
                    "of them deleted": len(gone),
                    "seconds to the message before": summary(seconds_to_message(before, store)),
                    "while full": summary(seconds_to_message(during, store)),
                    "warnings while full": list(warnings),
                    "seconds until all is well again": round(back_s, 1),
                }
    with contextlib.closing(sqlite3.connect(folder / "data" / STORE)) as connection:
        result["integrity"] = connection.execute("pragma integrity_check").fetchone()[0]
    webhook.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--events", type=int, default=3)
    parser.add_argument("--mb", type=int, default=96)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--limit-s", type=float, default=120.0)
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting a file system in memory needs root")
    print(json.dumps(describe()), flush=True)
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={options.mb}m", "tmpfs", folder / "data"]
        subprocess.run(mount, check=True)
        try:
            print(json.dumps(measure(options, folder), indent=2))
            print((folder / "stderr.txt").read_text()[-2000:])
        finally:
            subprocess.run(["umount", "--lazy", folder / "data"], check=True)


if __name__ == "__main__":
    main()
