"""TensorFlow Lite, for phones and small machines; LiteRT runs it."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.formats import _format, saved_model

if TYPE_CHECKING:
    import keras

FILE = "model.tflite"
TOLERANCES = {
    "float32": _format.EXACT,
    "float16": _format.EXACT,
    "int8": _format.COARSE,
}
UNROLLED = True
# Of the operations with these names, convolutions and matrix products are computed in eight bits;
# what finds the motion counts pixels, and a recurrence adds up its own errors.
_COARSE = r"^(?!.*(lstm|gru)).*(backbone|classifier).*"
_OPERATIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD")


def missing() -> str:
    """What must be installed for it; nothing where it is."""
    return _format.lacking("tflite", "ai_edge_litert", "ai_edge_quantizer")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Write a model that takes one clip at a time.

    Args:
        model: From one array to a dict of arrays.
        path: The file.
        precision: float16 keeps weights so.
        examples: Inputs that int8 finds its ranges by.
    """
    import keras
    import tensorflow as tf

    given = model.input
    one = keras.Input(
        batch_shape=(1, *given.shape[1:]), dtype=given.dtype, name=given.name
    )
    with tempfile.TemporaryDirectory() as folder:
        # A SavedModel of fixed shape: other ways give NaN, or need operations that only
        # TensorFlow itself has.
        single = keras.Model(one, model(one), name=model.name)
        saved_model.write(single, Path(folder), precision="float32", examples=())
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[saved_model.SIGNATURE]
        )
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        content = converter.convert()
    if precision == "int8":
        content = _in_int8(content, given.name, examples)
    path.write_bytes(content)


def load(path: Path) -> _format.Run:
    """A function from one array to a dict of arrays, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    run = interpreter.get_signature_runner(saved_model.SIGNATURE)
    (name,) = run.get_input_details()
    return lambda inputs: run(**{name: inputs})


def _in_int8(content: bytes, name: str, examples: Sequence[np.ndarray]) -> bytes:
    """The same file in eight bits, its ranges those of the examples.

    TensorFlow's own converter would quantise everything, and dies of a recurrence.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.calibrator import CalibrationMode

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that calibration takes memory
        made = quantizer.Quantizer(content)
        for operation in _OPERATIONS:
            made.add_static_config(
                regex=_COARSE,
                operation_name=operation,
                activation_num_bits=8,
                weight_num_bits=8,
            )
        inputs = [{name: np.asarray(example)} for example in examples]
        ranges = made.calibrate(
            {saved_model.SIGNATURE: inputs},
            mode=CalibrationMode.CALIBRATION_PROFILER_BASED,  # the other dies of empty tensors
        )
        return bytes(made.quantize(ranges).quantized_model)
