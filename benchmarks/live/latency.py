"""F1, F2: seconds from what a camera sends to the message that a webhook gets.

    python benchmarks/live/latency.py RUN VIDEO... [--events 60] [--cameras 4] [--others 0]

Cameras of tests/support/rtsp_server.py play the videos (H.264) again and again in real time; in
each there must be something that the run calls violent, and calm before and after it. Every event
is announced at its first window at the threshold. From the last frame of that window, when the
camera has sent it, to the webhook; and from the start of the event, which is the first frame of
that window or an earlier one that extends it. --others cameras of the same kind that raise no
alerts load the machine.
"""

import argparse
import bisect
import json
import time
from pathlib import Path

from running_watch import (
    MachineLoad,
    RunningWatch,
    Webhook,
    describe,
    summary,
)  # sets the path for what follows
from support.rtsp_server import RtspServer, TestCamera

NEVER = "{threshold: 0.9999, confirm: {windows: 1, of: 1}}"


def measure(options: argparse.Namespace) -> dict[str, object]:
    names = [f"camera{number}" for number in range(options.cameras)]
    videos = [options.videos[number % len(options.videos)] for number in range(options.cameras)]
    played = {name: TestCamera([video]) for name, video in zip(names, videos, strict=True)}
    others = {f"other{number}": TestCamera([videos[0]]) for number in range(options.others)}
    webhook = Webhook()
    alert = (
        f"{{threshold: {options.threshold}, confirm: {{windows: 1, of: 1}}, close_gaps_s: 1, "
        "cooldown_s: 0}"
    )
    to_utc_s = time.time() - time.monotonic()
    with RtspServer(played | others) as server:
        urls = {name: server.url(name) for name in played}
        text = "".join(
            f'  - {{name: {name}, source: "{server.url(name)}", alert: {NEVER}}}\n'
            for name in others
        )
        with RunningWatch(
            options.run, urls, webhook=webhook.url, alert=alert, cameras_text=text
        ) as watch:
            watch.wait_until_judging()
            load, start_s = MachineLoad(), time.monotonic()
            strides: set[float] = set()
            while time.monotonic() < start_s + options.seconds:
                told = sum(message["kind"] == "start" for _, message in webhook.received)
                if told >= options.events:
                    break
                strides |= {camera.stride_s for camera in watch.status().cameras}
                time.sleep(0.5)
            busy, seconds = load.share(), time.monotonic() - start_s
            store = watch.store()
            latencies, delays, on_its_way = [], [], []
            noticed = {
                row["event"]: at_s + to_utc_s
                for at_s, row in watch.notices
                if row["notice"] == "event" and row["change"] == "start"
            }
            for received_s, message in list(webhook.received):
                if message["kind"] != "start":
                    continue
                event = store.event(message["event"])
                hot = [
                    window.end_ms / 1000
                    for window in store.windows(event.id)
                    if window.probability >= options.threshold
                ]
                sent = [at_s + to_utc_s for _, at_s in played[event.camera].sent]
                if not hot or not sent:
                    continue
                last = bisect.bisect_right(sent, min(hot)) - 1
                latencies.append(received_s - sent[max(0, last)])
                delays.append(received_s - event.start_ms / 1000)
                on_its_way.append(received_s - noticed[event.id])
            store.close()
    webhook.close()
    return {
        "cameras": options.cameras,
        "other_cameras": options.others,
        "events": len(latencies),
        "seconds": round(seconds),
        "machine_busy": busy,
        "strides_s": sorted(strides),
        "last_frame_to_webhook_s": summary(latencies),
        "event_start_to_webhook_s": summary(delays),
        # The rest of the first figure is the capture's and the judge's.
        "stored_to_webhook_s": summary(on_its_way),
        "all_s": [round(value, 2) for value in latencies],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300.0, help="at most")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--threshold", type=float, default=0.5)
    options = parser.parse_args()
    print(json.dumps(describe()), flush=True)
    print(json.dumps(measure(options)), flush=True)


if __name__ == "__main__":
    main()
