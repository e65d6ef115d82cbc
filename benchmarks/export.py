"""Latency, size and parity of a run's exports on real clips, in one table.

    python benchmarks/export.py RUN [--scope end-to-end] [--threads 1 2]

Every format is exported and checked by the code of the command. Then each file, in a process of its
own, predicts one clip after the other; the table has the median. `keras` is `model.predict` on the
same clip, and the other formats are compared with it. All formats take turns, so that a change of
the machine's speed affects all of them.
"""

import argparse
import contextlib
import json
import logging
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np

from violence_detection.errors import ViolenceDetectionError
from violence_detection.export import export
from violence_detection.export.config import ExportConfig
from violence_detection.export.conversion import ExportedModel
from violence_detection.export.export_job import READER_BYTES, ExportJob
from violence_detection.system import files
from violence_detection.system.processes import DedicatedProcess, ProcessPool

ROUNDS = 3
VARIANTS = [
    ("keras", "float32"),
    ("saved_model", "float32"),
    ("tflite", "float32"),
    ("tflite", "float16"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("openvino", "float32"),
]


def main() -> None:
    arguments = parse()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        rows = [exported(arguments, name, precision, folder) for name, precision in VARIANTS]
        rows = [row for row in rows if row]
        inputs = {row["format"]: one_clip(arguments, row["format"], folder) for row in rows}
        for threads in arguments.threads:
            measure(rows, inputs, threads)
    result = {"machine": machine.describe(), "scope": arguments.scope, "rows": rows}
    print_table(result, arguments.threads)
    if arguments.json:
        files.write_json(arguments.json, result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--scope", default="end-to-end", choices=("end-to-end", "classifier"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips", type=int, default=200, help="clips that each file is checked on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    return parser.parse_args()


def exported(
    arguments: argparse.Namespace, name: str, precision: str, folder: str
) -> dict[str, Any] | None:
    """The result of the command; None if it fails."""
    print(f"exporting {name} {precision}", file=sys.stderr)
    config = ExportConfig(
        format=name,
        precision=precision,
        scope=arguments.scope,
        videos_to_check=arguments.clips,
        output=folder,
    )
    try:
        return export.export_run(arguments.run, config).to_json()
    except ViolenceDetectionError as error:
        print(f"{name} {precision}: {error}")
        return None


def one_clip(arguments: argparse.Namespace, name: str, folder: str) -> dict[str, np.ndarray]:
    """The first window of a validation video, as inputs of a file of a format."""
    job = ExportJob.open(
        arguments.run,
        format=name,
        precision="float32",
        end_to_end=arguments.scope == "end-to-end",
        clips=1,
    )
    if job.parts is None:
        return {"features": np.float32(job.cached.features[:1])}
    with ProcessPool(READER_BYTES) as call:
        window = job.read_video(0, call, Path(folder)).windows[0]
    inputs = window.inputs(job.request.frame_input)
    return {key: np.array(value) for key, value in inputs.items()}


def measure(
    rows: list[dict[str, Any]], inputs: dict[str, dict[str, np.ndarray]], threads: int
) -> None:
    """Adds to each row the median over its rounds of the least latency, in milliseconds.

    Args:
        rows: A file each.
        inputs: Of one clip, by format and name.
        threads: That a file may use.
    """
    limits = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
    environment = {"CUDA_VISIBLE_DEVICES": "-1"} | dict.fromkeys(limits, str(threads))
    latencies_ms: dict[str, list[float]] = {row["path"]: [] for row in rows}
    for number in range(1, ROUNDS + 1):
        for row in rows:
            print(f"{threads} threads, round {number}: {row['path']}", file=sys.stderr)
            with DedicatedProcess("The runtime", environment) as child:
                child.construct(ExportedModel, row["format"], Path(row["path"]), threads)
                latency = child.call_method(ExportedModel.measure_latency, inputs[row["format"]])
                latencies_ms[row["path"]].append(latency.ms)
    for row in rows:
        row[f"ms_{threads}_threads"] = statistics.median(latencies_ms[row["path"]])


def print_table(result: dict[str, Any], threads: list[int]) -> None:
    print(json.dumps(result["machine"]))
    columns = [f"ms_{count}_threads" for count in threads]
    titles = "format", "MB", "max diff", "decisions", *columns, "x keras"
    print("  ".join(f"{title:>14s}" for title in titles))
    keras = {
        name: row[name] for row in result["rows"] if row["format"] == "keras" for name in columns
    }
    for row in result["rows"]:
        cells = [
            f"{row['format']} {row['precision']}"[:14],
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['max_abs_difference']:.1e}",
            f"{row['equal_decisions']:.1%}",
            *(f"{row[name]:.2f}" for name in columns),
        ]
        with contextlib.suppress(KeyError, ValueError):
            cells.append(f"{max(keras[name] / row[name] for name in columns):.1f}")
        print("  ".join(f"{cell:>14s}" for cell in cells))


if __name__ == "__main__":
    main()
