"""Speed of stage one: decoding alone, encoding alone, and both together, in one run.

    python benchmarks/extraction.py VIDEO_DIR --backbone mobilenetv2 --weights PATH

The ideal of the whole is 1 / (1/decode + 1/encode) on the same cores. The machine is named
because the figures are its own; the ratio is what can be compared.
"""

import argparse
import logging
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np

from violence_detection import features, parts, runtime, videos
from violence_detection.config import ExtractConfig
from violence_detection.extractor import FeatureExtractor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video_dir", type=Path)
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--stream", default=ExtractConfig().stream)
    parser.add_argument(
        "--videos", type=int, default=60, help="for decoding and encoding alone"
    )
    parser.add_argument("--engines", action="store_true", help="compare the engines")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    runtime.import_tensorflow()

    listed = videos.read_folder(arguments.video_dir).videos
    extractor = build(arguments, engine="tensorflow", precision="float32")
    some = listed[:: max(1, len(listed) // arguments.videos)]
    decode = rate_of_decoding(
        extractor, [arguments.video_dir / one.path for one in some]
    )
    encode = rate_of_encoding(extractor, clips=len(some))
    whole = rate_of_all(arguments)
    ideal = 1 / (1 / decode + 1 / encode)
    print(
        f"{platform.machine()}, {cpu_count()} cores, {arguments.backbone}, "
        f"{arguments.stream}, 20 frames a video"
    )
    for name, rate in (
        ("decode only", decode),
        ("encode only", encode),
        ("whole", whole),
    ):
        print(f"{name:12s} {rate:7.2f} videos/s")
    print(f"whole over its ideal {whole / ideal:.2f}")
    if arguments.engines:
        print_engines(arguments)


def build(
    arguments: argparse.Namespace, *, engine: str, precision: str
) -> FeatureExtractor:
    return FeatureExtractor.build(
        backbone=arguments.backbone,
        weights=arguments.weights,
        stream=arguments.stream,
        frames=20,
        frame_size=None,
        engine=engine,
        precision=precision,
        batch_size=32,
        seed=0,
    )


def print_engines(arguments: argparse.Namespace) -> None:
    """Encoding alone on each engine that is here, in each precision that it has."""
    base = 0.0
    for engine in ("tensorflow", "openvino"):
        if parts.module("engines", engine).missing():
            continue
        precisions = {
            runtime.engine_precision(engine, mixed) for mixed in (False, True)
        }
        for precision in sorted(precisions):
            extractor = build(arguments, engine=engine, precision=precision)
            rate = rate_of_encoding(extractor, clips=10) * 20
            base = base or rate
            print(
                f"{engine:11s} {precision:15s} {rate:7.1f} pictures/s {rate / base:6.2f}x"
            )


def rate_of_decoding(extractor: FeatureExtractor, paths: list[Path]) -> float:
    start_s = time.monotonic()
    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(extractor.reader.read, paths))
    return len(paths) / (time.monotonic() - start_s)


def rate_of_encoding(extractor: FeatureExtractor, *, clips: int) -> float:
    size = extractor.space.frame_size
    pictures = np.random.default_rng(0).integers(
        0, 256, (32, size, size, 3), dtype=np.uint8
    )
    extractor.encode(pictures)  # the first call traces the graph
    pictures_of_a_clip = extractor.space.frames * len(extractor.reader.make.streams)
    batches = max(1, clips * pictures_of_a_clip // 32)
    start_s = time.monotonic()
    for _ in range(batches):
        extractor.encode(pictures)
    return batches * 32 / pictures_of_a_clip / (time.monotonic() - start_s)


def rate_of_all(arguments: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        config = ExtractConfig(
            cache_dir=folder,
            backbone=arguments.backbone,
            weights=arguments.weights,
            stream=arguments.stream,
        )
        extraction = features.extract(arguments.video_dir, config)
        return extraction.extracted / extraction.seconds


if __name__ == "__main__":
    main()
