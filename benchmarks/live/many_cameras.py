"""F5, F6: cameras that this machine can watch, and what happens with more than that.

    python benchmarks/live/many_cameras.py RUN VIDEO [--parts ramp,many] [--step-s 20] [--cameras
    16]

Cameras of tests/support/rtsp_server.py play VIDEO (H.264, 640x360, 25/s) in real time.

ramp (F5): first what the machine can do in the same minute: images that the run's engine encodes in
a second with the machine for itself, and processor time of a capture of VIDEO, and of the server
that plays it, which runs on the same cores. Then cameras are added by reloads, until in a step of
--step-s seconds the 95th percentile of lag and of waiting for the judge is over 1 s, or strides
have grown. The number of cameras before that is divided by what the machine could do at best with
the images a camera that the step needed: parts of a video differ in that. Steps should be as long
as VIDEO. `cpu` of a step are cores by role.

many (F6): --cameras at once for --many-s seconds: all up, how far behind, strides, and if the
windows that were not judged are counted exactly: in each minute that is stored every second is in a
stretch that was judged or in one that was not.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from running_watch import (
    MachineLoad,
    RunningWatch,
    cpu_s,
    describe,
    percentile,
)  # sets the path for what follows
from support.rtsp_server import RtspServer, TestCamera

from violence_detection.live.judging.engine_benchmark import measure_engine
from violence_detection.models.run import Run

START_S = 8.0  # that cameras have to come up after a reload


def lags(watch: RunningWatch, seconds: float) -> dict[str, Any]:
    """Lag of every camera and waiting for the judge, each half second, for some seconds."""
    values: list[float] = []
    strides: set[float] = set()
    start_s, load = time.monotonic(), MachineLoad()
    end_s, before = start_s + seconds, used(watch)
    while time.monotonic() < end_s:
        status = watch.status()
        waiting_s = max(judge.queue_age_s for judge in status.judges)
        values += [camera.lag_s + waiting_s for camera in status.cameras]
        strides |= {camera.stride_s for camera in status.cameras}
        time.sleep(0.5)
    status, now = watch.status(), used(watch)
    up = sum(camera.state == "up" for camera in status.cameras)
    passed_s = time.monotonic() - start_s
    rates = {role: (value - before.get(role, 0.0)) / passed_s for role, value in now.items()}
    images = rates.pop("images")
    return {
        "up": up,
        "lag_p95_s": round(percentile(values, 95), 2),
        "lag_most_s": round(max(values), 2),
        "strides_s": sorted(strides),
        "machine_busy": load.share(),
        "images_per_s_a_camera": round(images / max(1, len(status.cameras)), 1),
        "cpu": {role: round(cores, 3) for role, cores in rates.items()},
    }


def used(watch: RunningWatch) -> dict[str, float]:
    """Processor time by role so far, in seconds, and images that were encoded."""
    seconds: dict[str, float] = defaultdict(float)
    for name, pid in watch.processes().items():
        seconds["captures" if name.startswith("capture") else name] += cpu_s(pid)
    seconds["server and this script"] = cpu_s(os.getpid())
    seconds["images"] = sum(judge.images for judge in watch.status().judges)
    return seconds


def best(run: Path, url: str, seconds: float) -> dict[str, float]:
    """Cameras that the processors could watch if nothing but decoding and encoding cost."""
    engine = measure_engine(run, 5.0)
    with RunningWatch(run, {"alone": url}) as watch:
        watch.wait_until_judging()
        pid = watch.processes()["capture of alone"]
        before_s, start_s = cpu_s(pid), time.monotonic()
        images_before = watch.status().judges[0].images
        own_s = cpu_s(os.getpid())
        time.sleep(seconds)
        passed_s = time.monotonic() - start_s
        server = (cpu_s(os.getpid()) - own_s) / passed_s
        capture = (cpu_s(pid) - before_s) / passed_s
        images = (watch.status().judges[0].images - images_before) / passed_s
    cores = os.cpu_count() or 1
    encode = images / engine.images_per_s * cores  # cores
    return {
        "engine": engine.engine,
        "engine_images_per_s": engine.images_per_s,
        "images_per_s_a_camera": round(images, 1),
        "capture_cores": round(capture, 3),
        "encode_cores": round(encode, 3),
        "server_cores": round(server, 3),
        "cameras_at_best": round(cores / (capture + encode + server), 1),
    }


def best_with(at_best: dict[str, float], images_per_s: float) -> float:
    """Cameras at best if each needs so many images a second."""
    cores = os.cpu_count() or 1
    encode = images_per_s / at_best["engine_images_per_s"] * cores
    return cores / (at_best["capture_cores"] + encode + at_best["server_cores"])


def ramp(run: Path, video: Path, step_s: float) -> None:
    names = [f"camera{number}" for number in range(64)]
    with RtspServer({name: TestCamera([video]) for name in names}) as server:
        at_best = best(run, server.url(names[0]), step_s)
        print(json.dumps({"part": "ramp"} | at_best), flush=True)
        count = max(1, math.floor(0.6 * at_best["cameras_at_best"]))
        urls = {name: server.url(name) for name in names}
        sustained, share = 0, 0.0
        with RunningWatch(run, dict(list(urls.items())[:count])) as watch:
            watch.wait_until_judging()
            while True:
                time.sleep(START_S)
                row = lags(watch, step_s)
                print(json.dumps({"part": "ramp", "cameras": count} | row), flush=True)
                holds = row["lag_p95_s"] <= 1.0 and row["strides_s"] == [1.0]
                if not holds or row["up"] < count:
                    break
                possible = best_with(at_best, row["images_per_s_a_camera"])
                sustained, share = count, count / possible
                count += 1
                watch.reload(dict(list(urls.items())[:count]))
    result = {"part": "ramp", "sustained": sustained, "share_of_best": round(share, 2)}
    print(json.dumps(result), flush=True)


def many(run: Path, video: Path, cameras: int, seconds: float) -> None:
    names = [f"camera{number}" for number in range(cameras)]
    with RtspServer({name: TestCamera([video]) for name in names}) as server:
        urls = {name: server.url(name) for name in names}
        with RunningWatch(run, urls) as watch:
            watch.wait_until_judging()
            time.sleep(START_S)
            row = lags(watch, seconds)
            with watch.store() as store:
                minutes = {name: list(store.minutes(name, first=0, last=2**40)) for name in names}
    windows = {"judged": 0, "not_judged": 0}
    gaps_s = 0.0
    for rows in minutes.values():
        stretches = [stretch for minute in rows for stretch in minute.stretches]
        for before, after in zip(stretches, stretches[1:], strict=False):
            gaps_s += max(0.0, (after.start_ms - before.end_ms) / 1000)
        not_judged = sum(math.isnan(stretch.probability) for stretch in stretches)
        windows["not_judged"] += not_judged
        windows["judged"] += len(stretches) - not_judged
    window_s = Run(run).record().window_s
    uncounted = {"window_s": round(window_s, 2), "seconds_in_no_stretch": round(gaps_s, 1)}
    print(json.dumps({"part": "many", "cameras": cameras} | row | windows | uncounted), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--parts", default="ramp,many")
    parser.add_argument("--step-s", type=float, default=60.0, help="as long as VIDEO")
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--many-s", type=float, default=180.0)
    options = parser.parse_args()
    print(json.dumps(describe()), flush=True)
    if "ramp" in options.parts:
        ramp(options.run, options.video, options.step_s)
    if "many" in options.parts:
        many(options.run, options.video, options.cameras, options.many_s)


if __name__ == "__main__":
    main()
