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
    from ai_edge_litert.interpreter import Interpreter

FILE = "model.tflite"
TOLERANCES = {
    "float32": _format.EXACT,
    "float16": _format.EXACT,
    "int8": _format.COARSE,
}
UNROLLED = True
# Convolutions and matrix products with these names are computed in eight bits: nearly all of the
# work and of the weights. What finds the motion counts pixels, a recurrence adds up its own errors,
# and of what is near the logits eight bits would be the steps of the answer.
_COARSE = r".*(backbone|projection).*"
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
    content = _converted(model, precision)
    if precision == "int8":
        coarse = _in_int8(content, examples)
        shift = np.mean(
            _log_odds(content, examples) - _log_odds(coarse, examples), axis=0
        )
        content = _in_int8(_converted(_shifted(model, shift), precision), examples)
    path.write_bytes(content)


def load(path: Path, threads: int = 1) -> _format.Run:
    """A function from one array to a dict of arrays."""
    from ai_edge_litert.interpreter import Interpreter

    return _runner(Interpreter(model_path=str(path), num_threads=threads))


def _runner(interpreter: "Interpreter") -> _format.Run:
    run = interpreter.get_signature_runner(saved_model.SIGNATURE)
    (name,) = run.get_input_details()
    return lambda inputs: run(**{name: inputs})


def _converted(model: "keras.Model", precision: str) -> bytes:
    """The file's content, of a model that takes one clip; int8 is made of float32."""
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
        return converter.convert()


def _in_int8(content: bytes, examples: Sequence[np.ndarray]) -> bytes:
    """The same file in eight bits, its ranges those of the examples.

    TensorFlow's own converter would quantise everything, and dies of a recurrence.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.calibrator import CalibrationMode

    signature = Interpreter(model_content=content).get_signature_list()
    (name,) = signature[saved_model.SIGNATURE]["inputs"]
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


def _log_odds(content: bytes, examples: Sequence[np.ndarray]) -> np.ndarray:
    """Logarithms of each class's answers, less the first one's, float64 (N, K)."""
    from ai_edge_litert.interpreter import Interpreter

    run = _runner(Interpreter(model_content=content))
    rows = []
    for example in examples:
        answers = run(np.asarray(example))
        violent = answers[_format.PROBABILITY]
        both = np.concatenate([1 - violent, violent], axis=1)
        rows.append(answers.get(_format.PROBABILITIES, both))
    logs = np.log(np.clip(np.concatenate(rows).astype(np.float64), 1e-6, 1))
    return logs - logs[:, :1]


def _shifted(model: "keras.Model", shift: np.ndarray) -> "keras.Model":
    """A model of which each class's logarithm is moved by a number.

    Eight bits move all answers one way: what a head takes from how much features change from
    frame to frame, their noise adds to.

    Args:
        model: From one array to probabilities by name.
        shift: (K,).

    Reference:
        Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
        2019, https://arxiv.org/abs/1906.04721 (section 4.2; here it is done at the end)
    """
    import keras

    factors = np.exp(shift).astype(np.float32)
    answers = model.output
    if _format.PROBABILITIES in answers:
        moved = answers[_format.PROBABILITIES] * factors
        moved = moved / keras.ops.sum(moved, axis=-1, keepdims=True)
        shifted = {
            _format.PROBABILITY: 1 - moved[:, :1],
            _format.PROBABILITIES: moved,
        }
    else:
        violent = answers[_format.PROBABILITY] * float(factors[1])
        shifted = {
            _format.PROBABILITY: violent
            / (violent + (1 - answers[_format.PROBABILITY]))
        }
    return keras.Model(model.input, shifted, name=model.name)
