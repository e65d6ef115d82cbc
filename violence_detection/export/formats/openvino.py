"""OpenVINO's two files, for Intel processors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "model.xml"
TOLERANCES = {"float32": _format.EXACT}
UNROLLED = True


def missing() -> str:
    """The extra to install; empty if it is installed."""
    return _format.missing_extra("openvino", "openvino")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model to `path`, and its weights to a file that ends in `.bin`.

    Args:
        model: From one array to a dict of arrays.
        path: The file.
        precision, examples: Not used; there is one precision.
    """
    import openvino
    import tensorflow as tf

    given = model.input
    signature = tf.TensorSpec(given.shape, given.dtype, given.name)
    function = tf.function(
        lambda inputs: model(inputs, training=False), input_signature=[signature]
    )
    converted = openvino.convert_model(function.get_concrete_function())
    converted.inputs[0].tensor.set_names({given.name})
    openvino.save_model(converted, path, compress_to_fp16=False)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from one array to a dict of arrays, in float32."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(inputs: np.ndarray) -> dict[str, np.ndarray]:
        outputs = compiled(inputs)
        return {port.any_name: np.array(outputs[port]) for port in compiled.outputs}

    return run
