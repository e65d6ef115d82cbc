"""TensorFlow Lite, for phones and small machines; LiteRT runs it."""

import contextlib
import io
import itertools
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from violence_detection.export.formats import _format, saved_model

if TYPE_CHECKING:
    import keras
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer.quantizer import Quantizer

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
_COARSE = re.compile("backbone|projection")
_MULTIPLYING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# The first layers stay float, up to this share of the backbone's multiplications: their rounding
# goes through all others (MobileNetV2 on real clips: of all that eight bits change, a third less).
_FINE_SHARE = 0.25
# Matrices of at least this share of all weights are kept in sixteen bits: many small ones save
# little, and depthwise kernels of nine numbers average no rounding away.
_LARGE_SHARE = 0.025


def missing() -> str:
    """What must be installed for it; nothing where it is."""
    return _format.missing_extra("tflite", "ai_edge_litert", "ai_edge_quantizer")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Write a model that takes one clip at a time.

    Args:
        model: From one array to a dict of arrays.
        path: The file.
        precision: float16 keeps the large matrices so; what is computed stays float32.
        examples: Inputs that int8 finds its ranges by, and that show by how much rounded weights
            move all answers, which is taken back.
    """
    content = _converted(model)
    if precision != "float32":
        rounded = {"float16": _in_float16, "int8": _in_int8}[precision]
        shift = np.mean(
            _log_odds(content, examples) - _log_odds(rounded(content, examples), examples),
            axis=0,
        )
        content = rounded(_converted(_shifted(model, shift)), examples)
    path.write_bytes(content)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """A function from one array to a dict of arrays."""
    from ai_edge_litert.interpreter import Interpreter

    return _runner(Interpreter(model_path=str(path), num_threads=threads))


def _runner(interpreter: "Interpreter") -> _format.ClipFunction:
    run = interpreter.get_signature_runner(saved_model.SIGNATURE)
    (name,) = run.get_input_details()
    return lambda inputs: run(**{name: inputs})


def _converted(model: "keras.Model") -> bytes:
    """The file's content in float32, of a model that takes one clip."""
    import keras
    import tensorflow as tf

    given = model.input
    one = keras.Input(batch_shape=(1, *given.shape[1:]), dtype=given.dtype, name=given.name)
    with tempfile.TemporaryDirectory() as folder:
        # A SavedModel of fixed shape: other ways give NaN, or need operations that only
        # TensorFlow itself has.
        single = keras.Model(one, model(one), name=model.name)
        saved_model.write(single, Path(folder), precision="float32", examples=())
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[saved_model.SIGNATURE]
        )
        return converter.convert()


class _Operation(NamedTuple):
    """One of a file.

    Attributes:
        kind: As the format calls it.
        name: Of what comes out.
        weights: How many it has.
        products: How many it takes, if it has weights.
    """

    kind: str
    name: str
    weights: int
    products: int

    @property
    def scope(self) -> str:
        """A regular expression that the quantiser finds this operation alone by."""
        return f"^{re.escape(self.name)};$"


def _operations(content: bytes) -> tuple[list[_Operation], int]:
    """Those of a file, in the order of computation, and how many weights they have together: the
    steps of a recurrence share theirs."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    read = schema.ModelT.InitFromPackedBuf(content, 0)
    found, matrices = [], {}
    for graph in read.subgraphs:
        for one in graph.operators:
            kind = kinds[read.operatorCodes[one.opcodeIndex].builtinCode]
            made = graph.tensors[one.outputs[0]]
            weights = products = 0
            if kind in _MULTIPLYING:
                matrix = graph.tensors[one.inputs[1]]
                shape, weights = matrix.shape, int(np.prod(matrix.shape))
                matrices[matrix.buffer] = weights
                channels = shape[-1] if kind == "DEPTHWISE_CONV_2D" else shape[0]
                products = int(np.prod(made.shape)) * weights // int(channels)
            found.append(_Operation(kind, made.name.decode(), weights, products))
    return found, sum(matrices.values())


def _in_float16(content: bytes, examples: Sequence[np.ndarray]) -> bytes:
    """The same file with its large matrices in float16; what is computed stays float32.

    TensorFlow's own converter would round all weights, which moves answers ten times as far.
    """
    from ai_edge_quantizer import qtyping, quantizer

    kept_so = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    operations, weights = _operations(content)
    large = [
        one
        for one in operations
        if one.kind != "DEPTHWISE_CONV_2D" and one.weights >= max(1, _LARGE_SHARE * weights)
    ]
    with _quietly():
        made = _quantizer(
            content,
            large,
            quantizer.Quantizer.update_quantization_recipe,
            algorithm_key="float_casting",
            op_config=kept_so,
        )
        return bytes(made.quantize().quantized_model)


def _in_int8(content: bytes, examples: Sequence[np.ndarray]) -> bytes:
    """The same file in eight bits, its ranges those of the examples.

    TensorFlow's own converter would quantise everything, and dies of a recurrence.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.calibrator import CalibrationMode

    signature = Interpreter(model_content=content).get_signature_list()
    (name,) = signature[saved_model.SIGNATURE]["inputs"]
    operations, _ = _operations(content)
    with _quietly():
        made = _quantizer(
            content,
            _coarse(operations),
            quantizer.Quantizer.add_static_config,
            activation_num_bits=8,
            weight_num_bits=8,
        )
        inputs = [{name: np.asarray(example)} for example in examples]
        ranges = made.calibrate(
            {saved_model.SIGNATURE: inputs},
            mode=CalibrationMode.CALIBRATION_PROFILER_BASED,  # the other dies of empty tensors
        )
        return bytes(made.quantize(ranges).quantized_model)


def _coarse(operations: Sequence[_Operation]) -> list[_Operation]:
    """What is computed in eight bits."""
    named = [one for one in operations if _COARSE.search(one.name)]
    fine = _FINE_SHARE * sum(one.products for one in named if "backbone" in one.name)
    chosen, done = [], 0
    for one in named:
        done += one.products
        if done > fine and one.kind in (*_MULTIPLYING, "ADD"):
            chosen.append(one)
    return chosen


def _quantizer(
    content: bytes,
    operations: Sequence[_Operation],
    add: Callable[..., None],
    **how: Any,
) -> "Quantizer":
    """What quantises some operations of a file, each added by a method of its.

    Raises:
        ValueError: If there are none: the file would be that of float32, under another name.
    """
    from ai_edge_quantizer import quantizer

    if not operations:
        raise ValueError("nothing in it would be kept in fewer bits")
    made = quantizer.Quantizer(content)
    for one in operations:
        add(made, regex=one.scope, operation_name=one.kind, **how)
    return made


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The quantiser draws bars, and warns that calibration takes memory."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


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
    from keras import ops

    factors = np.exp(shift).astype(np.float32)
    several = _format.PROBABILITIES in model.output

    # One operation with a name of its own: Keras names each step of a calculation, such as `sum`,
    # without looking at the layers of the model, and refuses a model that has a name twice.
    class Shift(keras.Operation):
        def call(self, answers):
            moved = ops.multiply(answers, factors if several else float(factors[1]))
            if not several:
                moved = ops.divide(moved, ops.add(moved, ops.subtract(1, answers)))
                return {_format.PROBABILITY: moved}
            moved = ops.divide(moved, ops.sum(moved, axis=-1, keepdims=True))
            return {
                _format.PROBABILITY: ops.subtract(1, moved[:, :1]),
                _format.PROBABILITIES: moved,
            }

    taken = {one.name for one in model.operations}
    name = next(name for name in map("shift_{}".format, itertools.count()) if name not in taken)
    answers = model.output[_format.PROBABILITIES if several else _format.PROBABILITY]
    return keras.Model(model.input, Shift(name=name)(answers), name=model.name)
