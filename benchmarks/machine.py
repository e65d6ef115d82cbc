"""The machine that runs a benchmark: its hardware, and its rate of matrix products."""

import functools
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.system import provenance

_FLAGS = ("avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
_SIDE = 3072  # of the matrices: 36 MiB in float32, more than a core's cache


def describe() -> dict[str, Any]:
    """Model, cores and matrix flags of the CPU, versions, and the load.

    The load is the mean number of processes that ran in the last minute.
    """
    cpu: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        cpu.setdefault(name.strip(), value.strip())
    versions = provenance.versions()
    for name in ("openvino", "torch"):
        if importlib.util.find_spec(name):
            versions[name] = importlib.metadata.version(name)
    return {
        "cpu": cpu.get("model name", "unknown"),
        "cores": os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in cpu.get("flags", "").split()],
        "versions": versions,
        "load": os.getloadavg()[0],
    }


def calls_per_s(call: Callable[[], Any], *, seconds: float) -> float:
    """Calls a second, over at least one call and at least `seconds`."""
    calls, start_s = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        elapsed_s = time.perf_counter() - start_s
        if elapsed_s >= seconds:
            return calls / elapsed_s


def matrix_flops_per_s(multiply: Callable[[], Any]) -> float:
    """FLOP/s of a product of two square matrices of the side `_SIDE`."""
    multiply()  # the first call compiles
    return 2 * _SIDE**3 * calls_per_s(multiply, seconds=1.0)


def random_matrix() -> np.ndarray:
    """float32 (_SIDE, _SIDE)."""
    return np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)


def tensorflow_flops_per_s(precision: str) -> float:
    """FLOP/s of TensorFlow's matrix product on the CPU, in "float32" or "bfloat16"."""
    import tensorflow as tf

    with tf.device("/CPU:0"):
        matrix = tf.constant(random_matrix(), precision)
        multiply = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0])
        return matrix_flops_per_s(lambda: multiply().numpy())


def openvino_flops_per_s(precision: str) -> float:
    """FLOP/s of OpenVINO's matrix product, in "float32" or "bfloat16"."""
    import openvino
    from openvino import opset13

    matrix = random_matrix()
    inputs = [opset13.parameter(matrix.shape, np.float32) for _ in range(2)]
    model = openvino.Model([opset13.matmul(*inputs, False, False)], inputs)
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    settings = {"INFERENCE_PRECISION_HINT": hint}
    compiled = _openvino_core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    shared = {"share_inputs": True, "share_outputs": True}
    return matrix_flops_per_s(lambda: request.infer([matrix, matrix], **shared))


@functools.cache
def _openvino_core():
    """The core of OpenVINO, kept until the process ends: one that ends earlier breaks signals."""
    import openvino

    return openvino.Core()
