"""Time and memory of a second extraction over tens of thousands of videos.

    python benchmarks/scale.py
    python benchmarks/scale.py --videos 4000 --extract 2000

Makes a dataset of small drawn videos and the cache of its finished extraction, starts
`features.extraction.extract` again in a fresh process, and subtracts the needs of a process that
only imports TensorFlow and builds the backbone. With `--extract N`, N videos and a quarter of them
are really extracted: the memory must be the same. Exits with status 1 if a limit is exceeded.
"""

import argparse
import dataclasses
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache, dataset_name
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction import extract as stage
from violence_detection.features.extraction.extract import extract_features
from violence_detection.features.extraction.video_worker import unread_entry
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import devices, files

LIMIT_S = 20.0
LIMIT_BYTES = 2 * 2**30
# The entry of a video in the manifest takes a few kilobytes; its images would take 540.
LIMIT_BYTES_OF_A_VIDEO = 16 * 2**10
CLASSES = ("nonviolent", "violent")
LINKS = 1000  # file systems limit the names that a file may have


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=31209)
    parser.add_argument("--extract", type=int, default=0, metavar="N")
    # The work of a fresh process of this benchmark.
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        logging.disable(logging.WARNING)
        STEPS[arguments.step](arguments.folder, arguments.videos)
        print(json.dumps({"peak_bytes": peak_bytes()}))
        return
    within_limits = second_start(arguments.videos)
    if arguments.extract:
        within_limits &= memory_of_extractions(arguments.extract)
    sys.exit(0 if within_limits else 1)


def second_start(count: int) -> bool:
    """Prints time and memory of a second start on `count` videos; whether within the limits."""
    with tempfile.TemporaryDirectory() as folder:
        run("draw", folder, count)
        run("fill", folder, count)
        # The first start reuses every array, draws the split and finishes the extraction.
        first_s, _ = run("extract", folder, count)
        base_s, base_bytes = run("build", folder, count)
        total_s, peak = run("extract", folder, count)
    print(f"{count} videos, all of them in the cache")
    print(f"start that draws the split  {first_s:6.1f} s")
    print(f"second start                {total_s:6.1f} s, {in_mb(peak)} at its peak")
    print(f"import and backbone alone   {base_s:6.1f} s, {in_mb(base_bytes)}")
    own_s, own_bytes = total_s - base_s, peak - base_bytes
    print(
        f"second start alone          {own_s:6.1f} s (limit {LIMIT_S:.0f} s), "
        f"{in_mb(own_bytes)} (limit {in_mb(LIMIT_BYTES)})"
    )
    return total_s < LIMIT_S and own_bytes < LIMIT_BYTES


def memory_of_extractions(count: int) -> bool:
    """Prints the peaks of extracting `count` videos and a quarter; whether they are similar."""
    peaks = {}
    for number in (count // 4, count):
        with tempfile.TemporaryDirectory() as folder:
            run("draw", folder, number)
            seconds, peaks[number] = run("extract", folder, number)
        print(
            f"extraction of {number:6d} videos  {seconds:6.1f} s, "
            f"{in_mb(peaks[number])} at its peak"
        )
    few, many = peaks
    growth_bytes = (peaks[many] - peaks[few]) / (many - few)
    print(
        f"growth                       {growth_bytes / 2**10:6.1f} KB a video "
        f"(limit {LIMIT_BYTES_OF_A_VIDEO / 2**10:.0f} KB)"
    )
    return growth_bytes < LIMIT_BYTES_OF_A_VIDEO


def run(step: str, folder: str, count: int) -> tuple[float, int]:
    """Seconds and peak resident bytes of a fresh process that runs a step."""
    command = [sys.executable, __file__, "--step", step]
    command += ["--folder", folder, "--videos", str(count)]
    start_s = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - start_s, json.loads(done.stdout)["peak_bytes"]


def peak_bytes() -> int:
    """Largest resident memory of this process since its start.

    Not `ru_maxrss`, which starts at the value of the parent.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def in_mb(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:.0f} MB"


# -- in a fresh process


def draw(folder: Path, count: int) -> None:
    """Writes `count` videos of 24 frames into two class folders; no two have the same bytes."""
    for label in CLASSES:
        (folder / "videos" / label).mkdir(parents=True)
    drawn = folder / "drawn.mp4"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(drawn), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64))
    for _ in range(24):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        writer.write(cv2.resize(coarse, (64, 64)))
    writer.release()
    content = drawn.read_bytes()
    for number in range(count):
        # Every reader skips a box of the type `free` at the end.
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        path = folder / "videos" / CLASSES[number % 2] / f"{number:06d}.mp4"
        path.write_bytes(content + box)


def fill(folder: Path, count: int) -> None:
    """Writes the arrays of all videos and the manifest, as at the end of an extraction."""
    config = config_of(folder)
    space = build_extractor(config).space
    video_dir = folder / "videos"
    cache = FeatureCache(Path(config.cache_dir) / dataset_name(video_dir) / space.name)
    rng = np.random.default_rng(0)
    entries: list[ManifestEntry] = []
    for number, video in enumerate(video_folder.read_folder(video_dir).videos):
        if number % LINKS == 0:
            written = video.key
            features = rng.random((1, space.frames, space.dim))
            (digest,) = cache.write_arrays(written, features)
        else:
            array = cache.array_path(video.key)
            array.parent.mkdir(parents=True, exist_ok=True)
            array.hardlink_to(cache.array_path(written))
        entry = dataclasses.replace(
            unread_entry(video_dir, video),
            digest=files.sha256_of_file(video_dir / video.path),
            array_digest=digest,
            frames=24,
            fps=25.0,
            duration_s=0.96,
        )
        entries.append(entry)
    cache.write_manifest(entries)


def build(folder: Path, count: int) -> None:
    """Runs the part of a start before the first video is read."""
    build_extractor(config_of(folder))


def extract(folder: Path, count: int) -> None:
    done = extract_features(folder / "videos", config_of(folder))
    if done.videos != count or done.failed:
        sys.exit(f"All of {count} videos must be usable. Received: {done.to_json()}")


def config_of(folder: Path) -> ExtractConfig:
    """Settings with small images, so that extraction is quick; the arrays have the usual size."""
    return ExtractConfig(
        cache_dir=str(folder / "cache"),
        backbone="mobilenetv2",
        weights="random",
        frame_size=96,
    )


def build_extractor(config: ExtractConfig) -> FeatureExtractor:
    devices.import_tensorflow()
    return FeatureExtractor.for_machine(stage.extractor_settings(config))


STEPS = {"draw": draw, "fill": fill, "build": build, "extract": extract}

if __name__ == "__main__":
    main()
