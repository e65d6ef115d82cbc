"""OpenVINO's two files, for Intel processors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "model.xml"
TOLERANCES = {"float32": _format.EXACT}
NEEDS_TENSORFLOW = False
UNROLLED = True
ANY_SIZE = True


def missing() -> str:
    """The extra to install; empty if it is installed."""
    return _format.missing_extra("openvino", "openvino")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model to `path`, and its weights to a file that ends in `.bin`.

    Args:
        model: From arrays to a dict of arrays.
        path: The file.
        precision, examples: Not used; there is one precision.
    """
    import openvino
    import tensorflow as tf

    signature = [tf.TensorSpec(given.shape, given.dtype, given.name) for given in model.inputs]
    function = tf.function(
        lambda *inputs: model(inputs if len(inputs) > 1 else inputs[0], training=False),
        input_signature=signature,
    )
    converted = openvino.convert_model(function.get_concrete_function())
    for port, given in zip(converted.inputs, model.inputs, strict=True):
        port.tensor.set_names({given.name})
    openvino.save_model(converted, path, compress_to_fp16=False)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from arrays by name to arrays by name, in float32."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = compiled(dict(inputs))
        return {port.any_name: np.array(outputs[port]) for port in compiled.outputs}

    return run
