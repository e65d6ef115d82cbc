"""ONNX, for onnxruntime and other software that reads it."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras
    import onnx

FILE = "model.onnx"
TOLERANCES = {"float32": _format.EXACT}
NEEDS_TENSORFLOW = False
UNROLLED = False
ANY_SIZE = True
_OPSET = 18


def missing() -> str:
    """The extra to install; empty if it is installed."""
    return _format.missing_extra("onnx", "onnx", "tf2onnx", "onnxruntime")


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model; inputs and outputs have the same names as in Keras.

    Args:
        model: From arrays to a dict of arrays.
        path: The file.
        precision, examples: Not used; there is one precision.
    """
    import onnx
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx uses names that NumPy 2 deprecates
        import tf2onnx

        names = list(model.output)
        signature = [tf.TensorSpec(given.shape, given.dtype, given.name) for given in model.inputs]

        def outputs(*inputs):
            by_name = model(inputs if len(inputs) > 1 else inputs[0], training=False)
            return [by_name[name] for name in names]

        function = tf.function(outputs, input_signature=signature)
        graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET)
    _fill_constants(graph.graph, function)
    _name_outputs(graph.graph, names)
    onnx.checker.check_model(graph)
    onnx.save_model(graph, path)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from arrays by name to arrays by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _fill_constants(graph: "onnx.GraphProto", function: Callable) -> None:
    """Writes the constants that tf2onnx (1.17) has turned into inputs back into the graph."""
    import tensorflow as tf
    from onnx import numpy_helper

    nodes = function.get_concrete_function().graph.as_graph_def().node
    constants = {f"{node.name}:0": node for node in nodes if node.op == "Const"}
    for constant in [given for given in graph.input if given.name in constants]:
        value = tf.make_ndarray(constants[constant.name].attr["value"].tensor)
        graph.initializer.append(numpy_helper.from_array(value, constant.name))
        graph.input.remove(constant)


def _name_outputs(graph: "onnx.GraphProto", names: Sequence[str]) -> None:
    """Renames the outputs, which tf2onnx calls Identity."""
    renamed = {output.name: name for output, name in zip(graph.output, names, strict=True)}
    for output in graph.output:
        output.name = renamed[output.name]
    for node in graph.node:
        for tensors in (node.input, node.output):
            for number, name in enumerate(tensors):
                tensors[number] = renamed.get(name, name)
