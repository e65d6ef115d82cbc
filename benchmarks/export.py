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
from violence_detection.export.export_job import ExportJob
from violence_detection.system import files
from violence_detection.system.processes import DedicatedProcess

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
        inputs = one_clip(arguments)
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
        clips=arguments.clips,
        output=folder,
    )
    try:
        return export.export_run(arguments.run, config)
    except ViolenceDetectionError as error:
        print(f"{name} {precision}: {error}")
        return None


def one_clip(arguments: argparse.Namespace) -> np.ndarray:
    """The first validation clip, as input of a file."""
    config = ExportConfig(format="keras", scope=arguments.scope)
    job = ExportJob.from_config(arguments.run, config)
    if job.frame_input:
        return job.read_clip(0).frames[None]
    return np.float32(job.cached.features[:1])


def measure(rows: list[dict[str, Any]], inputs: np.ndarray, threads: int) -> None:
    """Adds to each row the median latency of its rounds, in milliseconds."""
    limits = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
    environment = {"CUDA_VISIBLE_DEVICES": "-1"} | dict.fromkeys(limits, str(threads))
    latencies_ms: dict[str, list[float]] = {row["path"]: [] for row in rows}
    for number in range(1, ROUNDS + 1):
        for row in rows:
            print(f"{threads} threads, round {number}: {row['path']}", file=sys.stderr)
            with DedicatedProcess("The runtime", environment) as child:
                child.construct(ExportedModel, row["format"], Path(row["path"]), threads)
                latency_ms = child.call_method(ExportedModel.measure_latency_ms, inputs)
                latencies_ms[row["path"]].append(latency_ms)
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
