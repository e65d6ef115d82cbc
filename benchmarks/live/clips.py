"""F14: clips of events over RTSP: what they cover, where they begin, and what a kill leaves.

    PYTHONPATH=tests:benchmarks python benchmarks/live/clips.py VIDEO.mp4 [--events 200]

VIDEO is H.264 and is played by tests/support/rtsp_server.py in real time. Events of 1 to 8 s begin
at random; each has a clip with 5 s before and 3 s after it. Then a process that writes a clip is
killed (-9) again and again; its clip must have every packet that had come, but for the one that the
muxer holds.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import av
import machine
from support.rtsp_server import RtspServer, TestCamera

from violence_detection.live.capturing.clip_recorder import ClipRecorder
from violence_detection.live.capturing.packet_ring import PacketRing
from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.recording import clips
from violence_detection.video.live_source import LiveError, open_live

PRE_S, POST_S = 5.0, 3.0
WARM_S = 12.0  # until the ring holds its seconds


@dataclass(frozen=True)
class Asked:
    """An event: its clip is asked from `from_s` to `to_s`, by the monotonic clock."""

    path: str
    from_s: float
    to_s: float


class Camera:
    """Reads a camera into a ring, from which clips are recorded."""

    def __init__(self, name: str, url: str, data: Path) -> None:
        self.name, self._url = name, url
        self.ring = PacketRing(keep_s=10.0, max_bytes=16 << 20)
        self.written: list[ClipWritten] = []
        self.recorder = ClipRecorder(self.ring, data, self.written.append)
        for work in (self._read, self.recorder.run, lambda: self.recorder.run_finishing(name)):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        try:
            with open_live(self._url) as source:
                self.ring.begin(source.info, source.header())
                for packet in source.packets():
                    self.ring.add(packet)
        except LiveError:
            pass


def record_events(cameras: list[Camera], count: int, draw: random.Random) -> list[Asked]:
    """Orders clips of so many events, one every 0.5 s, and waits until all are finished."""
    time.sleep(WARM_S)
    asked, ends = [], []
    for number in range(count):
        now_s = time.monotonic()
        camera = cameras[number % len(cameras)]
        path = f"clips/{camera.name}/{number:04d}.mp4"
        start_s, end_s = now_s - 1.0, now_s + draw.uniform(0.0, 7.0)
        asked.append(Asked(path, start_s - PRE_S, end_s + POST_S))
        camera.recorder.order(ClipOrder(path, path, start_s - PRE_S))
        ends.append((end_s, camera, ClipEnd(path, end_s + POST_S)))
        while ends and min(ends, key=lambda each: each[0])[0] <= now_s + 0.5:
            ends.sort(key=lambda each: each[0])
            _, ended, order = ends.pop(0)
            ended.recorder.order(order)
        time.sleep(0.5)
    for _, camera, order in ends:
        camera.recorder.order(order)
    until_s = time.monotonic() + 300
    while sum(len(camera.written) for camera in cameras) < count and time.monotonic() < until_s:
        time.sleep(0.5)
    return asked


def counted(
    data: Path, asked: list[Asked], written: list[ClipWritten], group_s: float
) -> dict[str, float]:
    by_path = {each.path: each for each in written}
    covered = plays = 0
    early = []
    for event in asked:
        clip = by_path.get(event.path)
        if clip is None or clip.duration_s == 0:
            continue
        early.append(event.from_s - clip.from_s)
        # Packets come in bursts of up to a frame.
        covered += clip.from_s <= event.from_s and clip.from_s + clip.duration_s >= event.to_s - 0.1
        with av.open(str(data / clip.path)) as container:
            frames = [frame.time for frame in container.decode(video=0)]
        plays += abs(frames[-1] - frames[0] - clip.duration_s) < 0.15
    return {
        "events": len(asked),
        "clips": len(early),
        "covered": covered,
        "right duration": plays,
        "early_s, largest": round(max(early), 2),
        "distance of key frames, s": round(group_s, 2),
    }


def kill_again_and_again(url: str, data: Path, kills: int, draw: random.Random) -> dict[str, int]:
    missing = []
    for number in range(kills):
        path = data / f"killed{number}.mp4"
        command = [sys.executable, __file__, "--record", url, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(draw.uniform(0.5, 3.0))
            process.send_signal(signal.SIGKILL)
            lines = 1 + process.stdout.read().count(b"\n")
        clip = clips.finish_part(path.with_name(path.name + clips.PART))
        missing.append(lines - clip.frames)
    return {"kills": kills, "packets missing, most": max(missing)}


def record(url: str, path: Path) -> None:
    """Writes a clip until it is killed; a line for each packet that was written."""
    with open_live(url) as source:
        writer = clips.ClipWriter(path, source.header(), source.info.time_base)
        for packet in source.packets():
            writer.write(packet)
            if writer.first_s is not None:
                print(flush=True)


def key_frame_distance_s(video: Path) -> float:
    with av.open(str(video)) as container:
        packets = container.demux(video=0)
        times = [float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe]
    steps = [after - before for before, after in zip(times, times[1:], strict=False)]
    return max(steps, default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--record", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.record[0], Path(arguments.record[1]))
        return
    draw = random.Random(0)
    names = [f"camera{number}" for number in range(arguments.cameras)]
    playing = {name: TestCamera([arguments.video], loops=True) for name in names}
    with tempfile.TemporaryDirectory() as folder, RtspServer(playing) as server:
        data = Path(folder)
        cameras = [Camera(name, server.url(name), data) for name in names]
        asked = record_events(cameras, arguments.events, draw)
        written = [clip for camera in cameras for clip in camera.written]
        result = counted(data, asked, written, key_frame_distance_s(arguments.video))
        result |= kill_again_and_again(server.url(names[0]), data, arguments.kills, draw)
        print(json.dumps(result | {"machine": machine.describe()["cpu"]}, indent=2))


if __name__ == "__main__":
    main()
