"""TensorFlow Lite, for phones and small devices; LiteRT runs it."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format, _tflite_precision, saved_model

if TYPE_CHECKING:
    import keras
    from ai_edge_litert.interpreter import Interpreter

FILE = "model.tflite"
TOLERANCES = {
    "float32": _format.EXACT,
    "float16": _format.EXACT,
    "int8": _format.COARSE,
}
NEEDS_TENSORFLOW = False
UNROLLED = True
ANY_SIZE = False


def missing() -> str:
    """The extra to install; empty if it is installed."""
    return _format.missing_extra("tflite", "ai_edge_litert", "ai_edge_quantizer")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model that takes one clip at a time.

    Rounded weights shift the predictions of all clips in one direction. The mean shift on the
    examples is measured, and corrected in the model.

    Args:
        model: From arrays to a dict of arrays.
        path: The file.
        precision: float16 stores the large matrices in float16 and computes in float32.
        examples: Inputs that the ranges of int8 and the shift are measured on.
    """
    content = _convert(model)
    if precision != "float32":
        reduce = {"float16": _tflite_precision.to_float16, "int8": _tflite_precision.to_int8}
        reduced = reduce[precision](content, examples)
        shift = np.mean(_log_odds(content, examples) - _log_odds(reduced, examples), axis=0)
        content = reduce[precision](_convert(shift_log_odds(model, shift)), examples)
    path.write_bytes(content)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from arrays by name to arrays by name."""
    from ai_edge_litert.interpreter import Interpreter

    return _runner(Interpreter(model_path=str(path), num_threads=threads))


def _runner(interpreter: "Interpreter") -> _format.ClipFunction:
    run = interpreter.get_signature_runner(saved_model.SIGNATURE)
    return lambda inputs: run(**inputs)


def _convert(model: "keras.Model") -> bytes:
    """The content of the float32 file of a model; the file takes one clip."""
    import keras
    import tensorflow as tf

    given = model.input
    clip = keras.Input(batch_shape=(1, *given.shape[1:]), dtype=given.dtype, name=given.name)
    with tempfile.TemporaryDirectory() as folder:
        # A SavedModel of fixed shape: other conversions give NaN, or need operations that only
        # TensorFlow itself has.
        fixed = keras.Model(clip, model(clip), name=model.name)
        saved_model.write(fixed, Path(folder), precision="float32", examples=())
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[saved_model.SIGNATURE]
        )
        return converter.convert()


def _log_odds(content: bytes, examples: Sequence[np.ndarray]) -> np.ndarray:
    """The log-odds of each class against the first one, float64 (N, K)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    (name,) = interpreter.get_signature_list()[saved_model.SIGNATURE]["inputs"]
    run = _runner(interpreter)
    rows = []
    for example in examples:
        outputs = run({name: np.asarray(example)})
        violent = outputs[_format.PROBABILITY]
        two_classes = np.concatenate([1 - violent, violent], axis=1)
        rows.append(outputs.get(_format.PROBABILITIES, two_classes))
    logs = np.log(np.clip(np.concatenate(rows).astype(np.float64), 1e-6, 1))
    return logs - logs[:, :1]


def shift_log_odds(model: "keras.Model", shift: np.ndarray) -> "keras.Model":
    """A model whose log-odds are shifted by a constant for each class.

    In int8 the features of a clip have noise, which adds to their change from frame to frame; a
    head that uses this change predicts a higher probability for all clips.

    Args:
        model: From one array to probabilities by name.
        shift: (K,).

    Reference:
        Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
        2019, https://arxiv.org/abs/1906.04721 (section 4.2; here the last layer is corrected)
    """
    import keras
    from keras import ops

    factors = np.exp(shift).astype(np.float32)
    several = _format.PROBABILITIES in model.output

    # One operation with a name of its own: Keras names each step of a calculation, such as `sum`,
    # whatever the layers of the model are called, and refuses a model with the same name twice.
    class Shift(keras.Operation):
        def call(self, probabilities):
            scaled = ops.multiply(probabilities, factors if several else float(factors[1]))
            if not several:
                total = ops.add(scaled, ops.subtract(1, probabilities))
                return {_format.PROBABILITY: ops.divide(scaled, total)}
            shifted = ops.divide(scaled, ops.sum(scaled, axis=-1, keepdims=True))
            return {
                _format.PROBABILITY: ops.subtract(1, shifted[:, :1]),
                _format.PROBABILITIES: shifted,
            }

    taken = {operation.name for operation in model.operations}
    name = next(name for name in map("shift_{}".format, itertools.count()) if name not in taken)
    probabilities = model.output[_format.PROBABILITIES if several else _format.PROBABILITY]
    outputs = {**model.output, **Shift(name=name)(probabilities)}
    return keras.Model(model.input, outputs, name=model.name)
