"""Time of an export that takes frames of any size and rate, beside one of the frames' own size.

    python benchmarks/any_size.py [--stream SPEC] [--sizes 640x360 1280x720] [--formats onnx]

The two files of a format have the same backbone (MobileNet with random weights, T = 20) and
predict the same window of two seconds at 30 frames per second, on one thread. Each file is called
in a process of its own; the files take turns. The table has the least time of the calls, and of
these the CPU's, which other programs change less.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine
import numpy as np

from violence_detection import registry
from violence_detection.export.conversion import ExportedModel
from violence_detection.export.graphs.end_to_end_graph import (
    FrameInput,
    build_end_to_end,
    needs_neighbours,
)
from violence_detection.system import devices, files
from violence_detection.system.processes import DedicatedProcess
from violence_detection.video.stream_set import StreamSet

FPS, SECONDS, SAMPLED, SIDE, DIM = 30.0, 2, 20, 224, 1024
ROUNDS = 2


def main() -> None:
    arguments = parse()
    logging.disable(logging.WARNING)
    devices.import_tensorflow()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.formats:
            any_size = frame_input_of(None, arguments.stream)
            any_file = write(Path(folder, name, "any"), name, any_size, arguments.stream)
            for size in arguments.sizes:
                frames = draw(Path(folder), size)
                fixed = frame_input_of(size, arguments.stream)
                fixed_file = write(Path(folder, name, size), name, fixed, arguments.stream)
                pairs = [(fixed_file, fixed), (any_file, any_size)]
                rows.append(measure(name, size, frames, pairs))
    result = {"machine": machine.describe(), "stream": arguments.stream, "rows": rows}
    print_table(result)
    if arguments.json:
        files.write_json(arguments.json, result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stream", default="motion(focus=true)")
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument(
        "--formats", nargs="+", default=["onnx", "openvino", "saved_model", "keras"]
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    return parser.parse_args()


def frame_input_of(size: str | None, stream: str) -> FrameInput:
    """The input of a file for frames of a size such as `640x360`; of any size for None."""
    takes_fps = needs_neighbours(StreamSet(stream, frame_size=SIDE))
    if size is None:
        return FrameInput(sampled=SAMPLED, takes_fps=takes_fps)
    width, height = map(int, size.split("x"))
    return FrameInput(
        sampled=SAMPLED, frames=int(FPS * SECONDS), height=height, width=width, fps=FPS
    )


def draw(folder: Path, size: str) -> Path:
    """A `.npy` file of a textured square that moves over noise, uint8 (1, F, H, W, 3)."""
    width, height = map(int, size.split("x"))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    frames = np.repeat(image[None], int(FPS * SECONDS), 0)
    side = height // 4
    square = rng.integers(0, 256, (side, side, 3), np.uint8)
    for number, frame in enumerate(frames):
        left = width // 3 + number * width // 400
        frame[height // 3 : height // 3 + side, left : left + side] = square
    path = folder / f"{size}.npy"
    np.save(path, frames[None])
    return path


def write(folder: Path, name: str, frame_input: FrameInput, stream: str) -> Path:
    """Writes the file of a format."""
    import keras

    print(f"writing {name}, {frame_input.size_and_rate()}", file=sys.stderr)
    keras.utils.set_random_seed(0)
    streams = StreamSet(stream, frame_size=SIDE)
    backbone = keras.applications.MobileNet(
        input_shape=(SIDE, SIDE, 3), include_top=False, pooling="avg", weights=None
    )
    features = keras.Input((SAMPLED, DIM * len(streams.streams)))
    mean = keras.layers.GlobalAveragePooling1D()(features)
    probability = keras.layers.Dense(1, activation="sigmoid")(mean)
    classifier = keras.Model(features, {"probability": probability})
    model = build_end_to_end(frame_input, streams, backbone=backbone, classifier=classifier)
    part = registry.module("formats", name)
    folder.mkdir(parents=True)
    part.write(model, folder / part.FILE, precision="float32", examples=[])
    return folder / part.FILE


def measure(
    name: str, size: str, frames: Path, pairs: list[tuple[Path, FrameInput]]
) -> dict[str, Any]:
    """A row: the times of the file of one size and of that of any, and how far they differ."""
    limits = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = {"CUDA_VISIBLE_DEVICES": "-1"} | dict.fromkeys(limits, "1")
    times: list[list[tuple[float, float]]] = [[] for _ in pairs]
    outputs: list[Mapping[str, np.ndarray]] = [{} for _ in pairs]
    for number in range(ROUNDS):
        for file, (path, frame_input) in enumerate(pairs):
            print(f"{name} {size} round {number + 1}: {path.parent.name}", file=sys.stderr)
            inputs = frame_input.inputs(np.load(frames), fps=FPS)
            with DedicatedProcess("The runtime", environment) as child:
                child.construct(ExportedModel, name, path)
                outputs[file] = child.call_method(ExportedModel.predict, inputs)
                latency = child.call_method(ExportedModel.measure_latency, inputs)
                times[file].append((latency.ms, latency.cpu_ms))
    fixed, any_size = ([min(column) for column in zip(*of_file, strict=True)] for of_file in times)
    difference = np.abs(outputs[0]["probability"] - outputs[1]["probability"]).max()
    return {
        "format": name,
        "size": size,
        "fixed_ms": fixed[0],
        "fixed_cpu_ms": fixed[1],
        "any_ms": any_size[0],
        "any_cpu_ms": any_size[1],
        "max_abs_difference": float(difference),
    }


def print_table(result: dict[str, Any]) -> None:
    print(json.dumps(result["machine"]))
    titles = "format", "size", "fixed ms", "CPU ms", "any ms", "CPU ms", "x CPU", "max diff"
    print("  ".join(f"{title:>11s}" for title in titles))
    for row in result["rows"]:
        cells = [row["format"], row["size"]]
        columns = "fixed_ms", "fixed_cpu_ms", "any_ms", "any_cpu_ms"
        cells += [f"{row[column]:.0f}" for column in columns]
        cells.append(f"{row['any_cpu_ms'] / row['fixed_cpu_ms']:.1f}")
        cells.append(f"{row['max_abs_difference']:.0e}")
        print("  ".join(f"{cell:>11s}" for cell in cells))


if __name__ == "__main__":
    main()
