"""Speed of decoders: OpenCV against PyAV on a folder of clips, and on a long file made here.

    python benchmarks/decoding.py VIDEO_DIR [--minutes 60]

The long file (H.264, 640x360, a key frame every 10 s) is kept for the next run. `exact` is the
number of its 20 frames that equal those of OpenCV decoding forwards. The figures hold for the
machine that is named; ratios can be compared between machines.
"""

import argparse
import platform
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from os import cpu_count
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from violence_detection.datasets import video_folder
from violence_detection.video.decoding import seeking
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.frame_sampling import sample_indices

WANTED = 20
AUTO = 0  # FFmpeg chooses the number of threads
WIDTH, HEIGHT, FPS, GROUP = 640, 360, 25, 250
Reader = Callable[[Path, list[int] | None], Iterator[np.ndarray]]  # None: every frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video_dir", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="0: no long file")
    parser.add_argument("--made", type=Path, help="folder for the long file")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, ", end="")
    print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}")
    folder = video_folder.read_folder(arguments.video_dir)
    paths = sorted({folder.root / video.path for video in folder.videos})
    flag = opencv_capture(paths[0], hardware=True).get(cv2.CAP_PROP_HW_ACCELERATION)
    print(f"with any hardware allowed, OpenCV uses {flag:.0f} (0 is none)")
    print_header(f"{len(paths)} clips")
    print_clips("every frame", paths, [None] * len(paths))
    print_clips(f"{WANTED} a clip", paths, list(map(sampled_frames, paths)))
    if arguments.minutes:
        made = arguments.made or Path(tempfile.gettempdir()) / "benchmark_decoding"
        print_header(f"{WANTED} of {arguments.minutes:g} minutes")
        print_long(long_file(made, arguments.minutes))


# -- measuring


def print_clips(title: str, paths: list[Path], wanted: list[list[int] | None]) -> None:
    """A row for each decoder, with one thread a video and with several."""
    base_s, cores = 0.0, cpu_count() or 1
    for name, reader, at_once in (
        ("OpenCV, 1 thread", by_opencv, cores),
        ("OpenCV, 1 thread, hardware", partial(by_opencv, hardware=True), cores),
        ("PyAV, 1 thread", by_pyav, cores),
        ("OpenCV, auto threads", partial(by_opencv, threads=AUTO), 1),
        ("PyAV, auto threads", partial(by_pyav, threads=AUTO), 1),
    ):
        with ProcessPoolExecutor(at_once) as pool:
            list(pool.map(abs, range(at_once)))  # starts the processes
            start_s = time.monotonic()
            frames = sum(pool.map(partial(number_of_frames, reader), paths, wanted))
            seconds = time.monotonic() - start_s
        base_s = base_s or seconds
        print_row(f"{title}: {name}, {at_once} at once", frames, seconds, base_s)


def number_of_frames(reader: Reader, path: Path, wanted: list[int] | None) -> int:
    return sum(1 for _ in reader(path, wanted))


def sampled_frames(path: Path) -> list[int]:
    with open_video(path) as video:
        return sorted(set(sample_indices(video.declared_frames, WANTED).tolist()))


def print_long(path: Path) -> None:
    """A row for each method to read a few frames of a long file."""
    wanted = sampled_frames(path)
    base_s, expected = 0.0, []
    for name, reader in (
        ("forwards: OpenCV, 1 thread", by_opencv),
        ("forwards: OpenCV, auto threads", partial(by_opencv, threads=AUTO)),
        ("forwards: PyAV, 1 thread", by_pyav),
        ("forwards: PyAV, auto threads", partial(by_pyav, threads=AUTO)),
        ("seeking: OpenCV, by number", seek_opencv),
        ("seeking: this package (OpenCV, packets first)", seek_by_packets),
        ("seeking: PyAV, by time", seek_pyav),
        ("key frames only: PyAV", key_frames),
    ):
        start_s = time.monotonic()
        frames = list(reader(path, wanted))
        seconds = time.monotonic() - start_s
        checksums = [zlib.crc32(np.ascontiguousarray(frame)) for frame in frames]
        base_s, expected = base_s or seconds, expected or checksums
        exact = sum(map(int.__eq__, checksums, expected))
        print_row(name, len(frames), seconds, base_s, f"{exact}/{len(wanted)}")


def print_header(title: str) -> None:
    print(f"\n{title:54s}  frames        s  frames/s  ratio exact")


def print_row(name: str, frames: int, seconds: float, base_s: float, exact: str = "") -> None:
    print(
        f"{name:54s} {frames:7d} {seconds:8.2f} {frames / seconds:9.1f} "
        f"{base_s / seconds:6.2f} {exact}",
        flush=True,
    )


# -- readers of frames


def opencv_capture(path: Path, threads=1, hardware=False) -> cv2.VideoCapture:
    options = [cv2.CAP_PROP_N_THREADS, threads]
    if hardware:
        options += [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY]
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, options)


def by_opencv(
    path: Path, wanted: list[int] | None, threads: int = 1, hardware: bool = False
) -> Iterator[np.ndarray]:
    capture = opencv_capture(path, threads, hardware)
    for _ in forwards(iter(capture.grab, False), wanted):
        yield capture.retrieve()[1]
    capture.release()


def seek_opencv(path: Path, wanted: list[int]) -> Iterator[np.ndarray]:
    capture = opencv_capture(path)
    for index in wanted:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        yield capture.read()[1]
    capture.release()


def seek_by_packets(path: Path, wanted: list[int]) -> Iterator[np.ndarray]:
    timeline = seeking.read_timeline(path)
    with open_video(path) as video:
        for _ in timeline.visit(video, wanted):
            yield video.retrieve()


def by_pyav(path: Path, wanted: list[int] | None, threads: int = 1) -> Iterator[np.ndarray]:
    convert = converter()
    with av.open(str(path)) as container:
        stream = pyav_stream(container, threads)
        yield from map(convert, forwards(container.decode(stream), wanted))


def seek_pyav(path: Path, wanted: list[int]) -> Iterator[np.ndarray]:
    """Decodes from the key frame before each wanted frame to its time at a constant rate."""
    convert = converter()
    with av.open(str(path)) as container:
        stream = pyav_stream(container)
        for index in wanted:
            pts = pts_of(stream, index)
            container.seek(pts, stream=stream)
            frames = (frame for frame in container.decode(stream) if frame.pts >= pts)
            yield convert(next(frames))


def key_frames(path: Path, wanted: list[int]) -> Iterator[np.ndarray]:
    """The key frame at or before each wanted frame."""
    convert = converter()
    with av.open(str(path)) as container:
        stream = pyav_stream(container)
        stream.codec_context.skip_frame = "NONKEY"
        frames = container.decode(stream)
        frame = following = next(frames)
        for index in wanted:
            while following is not None and following.pts <= pts_of(stream, index):
                frame, following = following, next(frames, None)
            yield convert(frame)


def forwards(frames: Iterable, wanted: list[int] | None) -> Iterator:
    """The wanted frames, up to the last of them."""
    for index, frame in enumerate(frames):
        if wanted is None or index in wanted:
            yield frame
            if wanted and index == wanted[-1]:
                return


def pyav_stream(container, threads: int = 1):
    stream = container.streams.video[0]
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO"
    return stream


def pts_of(stream, index: int) -> int:
    return stream.start_time + round(index / stream.average_rate / stream.time_base)


def converter() -> Callable[[av.VideoFrame], np.ndarray]:
    """A function that converts a frame as OpenCV does: uint8 (H, W, 3) BGR."""
    reformat = VideoReformatter().reformat
    options = {"format": "bgr24", "interpolation": "BICUBIC", "src_colorspace": 5}
    return lambda frame: reformat(frame, threads=1, **options).to_ndarray()


# -- the long file


def long_file(folder: Path, minutes: float) -> Path:
    """A video of a moving scene that is cheap to draw; made once."""
    path = folder / f"{minutes:g} minutes.mp4"
    if path.exists():
        return path
    folder.mkdir(exist_ok=True)
    part = path.with_suffix(".part.mp4")
    scene = np.random.default_rng(0).integers(16, 236, (48, 80), dtype=np.uint8)
    scene = cv2.resize(scene, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "superfast", "g": str(GROUP), "sc_threshold": "0"}
        image = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        for index in range(round(minutes * 60 * FPS)):
            down, across = index // 3 % HEIGHT, index % WIDTH
            image[:HEIGHT] = scene[down : down + HEIGHT, across : across + WIDTH]
            frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    part.rename(path)
    return path


if __name__ == "__main__":
    main()
