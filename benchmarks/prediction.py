"""Speed of predict, compared with real time, decoding alone, and separately read windows.

    python benchmarks/prediction.py VIDEO_DIR --weights PATH [--minutes 60] [--json FILE]

A video of 640x360 at 25 frames a second is made of the real clips of VIDEO_DIR, repeated, in a
temporary folder. For each stream a head is trained on the same clips (its predictions do not matter
here), and `violence-detection predict` runs as a user runs it, in a process of its own: seconds,
times real time, and the largest memory of the process and its children together. It is compared
with decoding the file alone (one thread) and, for the first minute, with reading each window
separately, without sharing frames between windows.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import machine

ROOT = Path(__file__).parents[1]
SIZE, FPS, WINDOW_S, STRIDE_S = (640, 360), 25, 2.0, 1.0
STREAMS = ("rgb", "motion(focus=true)")
POLL_S = 0.25
PROGRAM = "from violence_detection.cli import main; main()"


def make_video(path: Path, clips: list[Path], minutes: float) -> int:
    """Writes the clips one after the other, repeated as needed; returns the number of frames."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23", "g": "50"}

        def write(frame):
            encoded = stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24"))
            file.mux(encoded)

        return _fill(write, clips, minutes, lambda: file.mux(stream.encode()))


def _fill(write, clips: list[Path], minutes: float, close) -> int:
    count, wanted = 0, round(minutes * 60 * FPS)
    for clip in itertools.cycle(clips):
        capture = cv2.VideoCapture(str(clip))
        while count < wanted:
            done, frame = capture.read()
            if not done:
                break
            write(cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA))
            count += 1
        capture.release()
        if count == wanted:
            close()
            return count


def decode_s(path: Path) -> float:
    """Seconds that one thread takes to decode a file, frames converted to BGR."""
    start_s = time.perf_counter()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while capture.read()[0]:
        pass
    capture.release()
    return time.perf_counter() - start_s


def train_run(folder: Path, videos: Path, stream: str, weights: str, engine: str) -> Path:
    """A run of a stream on the clips that the video is made of."""
    from violence_detection.features.config import ExtractConfig
    from violence_detection.features.extraction import extract
    from violence_detection.system import devices
    from violence_detection.training.config import TrainConfig
    from violence_detection.training.train import train_classifier

    devices.import_tensorflow()
    config = ExtractConfig(
        cache_dir=str(folder / "cache"),
        backbone="mobilenetv2",
        weights=weights,
        stream=stream,
        engine=engine,
        mixed_precision=engine == "openvino",
    )
    features = extract.extract_features(videos, config).features
    settings = {
        "features": str(features),
        "checkpoint_dir": str(folder / "runs"),
        "run": stream.partition("(")[0],
        "epochs": 10,
        "mixed_precision": False,
    }
    train_classifier(TrainConfig.from_flags(settings))
    path = folder / "runs" / settings["run"]
    record = json.loads((path / "training_config.json").read_text())
    record["window_s"] = WINDOW_S  # the clips last 2.0 s, give or take a frame
    (path / "training_config.json").write_text(json.dumps(record))
    return path


def predict(run: Path, video: Path, *flags: str) -> dict:
    """Results of the command, its seconds, and the largest memory of it and its children."""
    words = [sys.executable, "-c", PROGRAM, "predict", str(run), str(video), "--json"]
    start_s, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*words, "--stride-s", str(STRIDE_S), *flags],
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        while process.poll() is None:
            peak = max(peak, memory_of_tree(process.pid))
            time.sleep(POLL_S)
        seconds = time.perf_counter() - start_s
        output.seek(0)
        result = json.loads(output.read())
    (row,) = result["videos"]
    return {
        "seconds": seconds,
        "times_real_time": row["duration_s"] / seconds,
        "peak_memory_mb": peak / 2**20,
        "windows": len(row["windows"]),
        "engine": result["engine"],
    }


def memory_of_tree(pid: int) -> int:
    """Resident bytes of a process and its descendants; shared libraries count in each of them."""
    total, waiting = 0, [(pid, b"")]
    while waiting:
        process, parents_words = waiting.pop()
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
            status = Path(f"/proc/{process}/status").read_text()
            for task in Path(f"/proc/{process}/task").iterdir():
                below = map(int, (task / "children").read_text().split())
                waiting += [(child, words) for child in below]
        except OSError:  # the process has just ended
            continue
        if words == parents_words:  # the process is starting, in its parent's memory
            continue
        line = next((line for line in status.splitlines() if "VmRSS" in line), None)
        total += 1024 * int(line.split()[1]) if line else 0
    return total


def separate_windows_rate(run: Path, video: Path, seconds: float) -> float:
    """Times real time with each window read and encoded separately, over the first `seconds`."""
    from violence_detection.features.run_extractor import extractor_of_run
    from violence_detection.models.run import Run

    trained = Run(run)
    classifier = trained.load_classifier()
    extractor = extractor_of_run(trained.record(), weights=None, batch_size=64)
    starts = [number * STRIDE_S for number in range(int(seconds - WINDOW_S) + 1)]
    begin_s = time.perf_counter()
    clips = (
        (None, extractor.reader.read(video, start_s, start_s + WINDOW_S).images)
        for start_s in starts
    )
    for _, features in extractor.encode_clips(clips):
        classifier.probabilities(features[None])
    return seconds / (time.perf_counter() - begin_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--streams", nargs="*", default=STREAMS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    clips = sorted(args.videos.rglob("*.mp4"))
    result = {"machine": machine.describe(), "minutes": args.minutes, "streams": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "long.mp4"
        frames = make_video(video, clips, args.minutes)
        alone_s = decode_s(video)
        result["decoding"] = {
            "seconds": alone_s,
            "times_real_time": frames / FPS / alone_s,
        }
        print(f"decoding alone  {alone_s:7.1f} s  {frames / FPS / alone_s:6.1f} x")
        for stream in args.streams:
            run = train_run(folder, args.videos, stream, args.weights, args.engine)
            figures = predict(run, video)
            figures["one_by_one_times_real_time"] = separate_windows_rate(run, video, 60.0)
            result["streams"][stream] = figures
            print(
                f"{stream:20s} {figures['seconds']:7.1f} s  {figures['times_real_time']:6.1f} x  "
                f"{figures['peak_memory_mb']:6.0f} MB  {figures['windows']} windows  "
                f"{figures['engine']}; windows read separately "
                f"{figures['one_by_one_times_real_time']:.1f} x"
            )
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
