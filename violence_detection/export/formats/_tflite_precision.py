"""Conversion of a TFLite file to float16 or int8."""

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from violence_detection.export.formats import saved_model

if TYPE_CHECKING:
    from ai_edge_quantizer.quantizer import Quantizer

# Operations with these names are computed in int8: nearly all of the computation and of the
# weights. The motion crop counts pixels, a recurrence accumulates its own errors, and near the
# logits the steps of int8 would be the steps of the prediction: these stay in float32.
_INT8_NAMES = re.compile("backbone|projection")
_MULTIPLYING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# The first layers stay in float32, up to this fraction of the backbone's multiplications: their
# rounding errors go through all later layers (MobileNetV2 on real clips: a third less difference).
_FLOAT_FRACTION = 0.25
# Matrices of at least this fraction of all weights become float16: smaller ones save little, and
# in the nine weights of a depthwise kernel rounding errors do not average out.
_LARGE_FRACTION = 0.025


class Operation(NamedTuple):
    """An operation of a file.

    Attributes:
        kind: Name of the operation in the format.
        name: Name of its output.
        weights: Count of its weights.
        products: Count of its multiplications, if it has weights.
    """

    kind: str
    name: str
    weights: int
    products: int

    @property
    def scope(self) -> str:
        """A regular expression that matches this operation alone in the quantiser."""
        return f"^{re.escape(self.name)};$"


def list_operations(content: bytes) -> tuple[list[Operation], int]:
    """The operations of a file in the order of computation, and the count of all weights.

    The steps of a recurrence share their weights, which count once.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    operations, weights_by_buffer = [], {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            kind = kinds[model.operatorCodes[operator.opcodeIndex].builtinCode]
            output = graph.tensors[operator.outputs[0]]
            weights = products = 0
            if kind in _MULTIPLYING:
                matrix = graph.tensors[operator.inputs[1]]
                shape, weights = matrix.shape, int(np.prod(matrix.shape))
                weights_by_buffer[matrix.buffer] = weights
                channels = shape[-1] if kind == "DEPTHWISE_CONV_2D" else shape[0]
                products = int(np.prod(output.shape)) * weights // int(channels)
            operations.append(Operation(kind, output.name.decode(), weights, products))
    return operations, sum(weights_by_buffer.values())


def to_float16(content: bytes, examples: Sequence[np.ndarray]) -> bytes:
    """The file with its large matrices in float16; it is still computed in float32.

    TensorFlow's own converter rounds all weights, which changes predictions ten times as much.

    Args:
        content: Content of the float32 file.
        examples: Not used.
    """
    from ai_edge_quantizer import qtyping, quantizer

    float16_weights = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    operations, weights = list_operations(content)
    large = [
        operation
        for operation in operations
        if operation.kind != "DEPTHWISE_CONV_2D"
        and operation.weights >= max(1, _LARGE_FRACTION * weights)
    ]
    with _silenced():
        float16 = _quantizer(
            content,
            large,
            quantizer.Quantizer.update_quantization_recipe,
            algorithm_key="float_casting",
            op_config=float16_weights,
        )
        return bytes(float16.quantize().quantized_model)


def to_int8(content: bytes, examples: Sequence[np.ndarray]) -> bytes:
    """The file in int8, with the ranges of the examples.

    TensorFlow's own converter quantises everything, and crashes on a recurrence.

    Args:
        content: Content of the float32 file.
        examples: Inputs that the ranges of activations are measured on.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.calibrator import CalibrationMode

    signature = Interpreter(model_content=content).get_signature_list()
    (name,) = signature[saved_model.SIGNATURE]["inputs"]
    operations, _ = list_operations(content)
    with _silenced():
        int8 = _quantizer(
            content,
            choose_int8_operations(operations),
            quantizer.Quantizer.add_static_config,
            activation_num_bits=8,
            weight_num_bits=8,
        )
        inputs = [{name: np.asarray(example)} for example in examples]
        ranges = int8.calibrate(
            {saved_model.SIGNATURE: inputs},
            mode=CalibrationMode.CALIBRATION_PROFILER_BASED,  # the other crashes on empty tensors
        )
        return bytes(int8.quantize(ranges).quantized_model)


def choose_int8_operations(operations: Sequence[Operation]) -> list[Operation]:
    """The operations that are computed in int8."""
    named = [operation for operation in operations if _INT8_NAMES.search(operation.name)]
    in_backbone = sum(operation.products for operation in named if "backbone" in operation.name)
    chosen, products = [], 0
    for operation in named:
        products += operation.products
        is_late = products > _FLOAT_FRACTION * in_backbone
        if is_late and operation.kind in (*_MULTIPLYING, "ADD"):
            chosen.append(operation)
    return chosen


def _quantizer(
    content: bytes,
    operations: Sequence[Operation],
    add: Callable[..., None],
    **settings: Any,
) -> "Quantizer":
    """A quantiser of some operations of a file.

    Args:
        content: Content of the file.
        operations: To quantise.
        add: Method of the quantiser that adds one operation.
        settings: Settings of that method.

    Raises:
        ValueError: If there are none: the file would be the float32 one under another name.
    """
    from ai_edge_quantizer import quantizer

    if not operations:
        raise ValueError("no operation of it can be stored in fewer bits")
    quantiser = quantizer.Quantizer(content)
    for operation in operations:
        add(quantiser, regex=operation.scope, operation_name=operation.kind, **settings)
    return quantiser


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Context without the progress bars and the memory warnings of the quantiser."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
