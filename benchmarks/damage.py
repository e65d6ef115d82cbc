"""CPU time that finding damage costs where there is none: clips read with and without it.

    python benchmarks/damage.py VIDEO_DIR [--clips 60]

Every frame of each clip is decoded by one thread, and 20 frames are converted to images, as
extraction does. `OpenCV alone` is the same loop without this package, `with the header by PyAV`
the same and the header. `this package` counts FFmpeg's errors and repairs times, too. `with a
second decoding` decodes each file once more by PyAV, which marks corrupt frames: the package does
that only after an error. Each way runs in processes of its own, in turn with the others; the
least CPU time of the rounds counts.
"""

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

WANTED = 20


def main() -> None:
    import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video_dir", type=Path)
    parser.add_argument("--clips", type=int, default=60, help="evenly spaced in the list")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(machine.describe()))
    paths = intact_clips(arguments.video_dir, arguments.clips)
    frames = sum(count for _, count in paths)
    print(f"{len(paths)} clips, {frames} frames")
    ways = {
        "OpenCV alone": opencv_alone,
        "with the header by PyAV": with_header,
        "this package": this_package,
        "with a second decoding": with_second_decoding,
    }
    seconds = {name: [] for name in ways}
    context = multiprocessing.get_context("spawn")
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                seconds[name].append(pool.submit(way, paths).result())
    base_s = min(seconds["OpenCV alone"])
    for name, rounds in seconds.items():
        ratios = ", ".join(f"{value / base_s:.3f}" for value in sorted(rounds))
        print(
            f"{name:24s} {min(rounds):6.2f} s CPU  {min(rounds) / base_s:.3f}  (rounds: {ratios})"
        )


def intact_clips(folder: Path, count: int) -> list[tuple[Path, int]]:
    """Evenly spaced clips in which this package finds no damage, with their numbers of frames."""
    import numpy as np

    from violence_detection.datasets import video_folder
    from violence_detection.video.decoding.decoder import open_video

    read = video_folder.read_folder(folder)
    paths = sorted({read.root / video.path for video in read.videos})
    rows = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int))
    intact = []
    for path in (paths[row] for row in rows):
        with open_video(path) as video:
            frames = sum(1 for _ in video)
            if not video.is_suspect:
                intact.append((path, frames))
    return intact


def wanted_frames(frames: int) -> set[int]:
    return {round(number * (frames - 1) / (WANTED - 1)) for number in range(WANTED)}


def opencv_alone(paths: list[tuple[Path, int]], *, header: bool = False) -> float:
    """CPU seconds; the decoder of this package, which counts errors, must not be imported here."""
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    import cv2

    if header:
        from violence_detection.video.decoding.container import read_container

    def read(path: Path, frames: int) -> None:
        if header:
            read_container(path)
        wanted = wanted_frames(frames)
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        index = 0
        while capture.grab():
            if index in wanted:
                capture.retrieve()
            index += 1
        capture.release()
        assert index == frames

    return cpu_seconds(read, paths)


def with_header(paths: list[tuple[Path, int]]) -> float:
    return opencv_alone(paths, header=True)


def this_package(paths: list[tuple[Path, int]], *, second: bool = False) -> float:
    from violence_detection.video.decoding.decoder import open_video

    def read(path: Path, frames: int) -> None:
        wanted = wanted_frames(frames)
        with open_video(path) as video:
            for index, _ in video:
                if index in wanted:
                    video.retrieve()
            assert index + 1 == frames and not video.corrupt_frames()
        if second:
            decode_by_pyav(path)

    return cpu_seconds(read, paths)


def with_second_decoding(paths: list[tuple[Path, int]]) -> float:
    return this_package(paths, second=True)


def decode_by_pyav(path: Path) -> None:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            assert not frame.is_corrupt


def cpu_seconds(read, paths: list[tuple[Path, int]]) -> float:
    read(*paths[0])  # imports, and the first call of the libraries
    start_s = time.process_time()
    for path, frames in paths:
        read(path, frames)
    return time.process_time() - start_s


if __name__ == "__main__":
    main()
