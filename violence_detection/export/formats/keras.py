"""Keras' own file, with Keras' own layers alone and no code inside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "model.keras"
TOLERANCES = {"float32": _format.EXACT}
NEEDS_TENSORFLOW = True
UNROLLED = False
ANY_SIZE = True


def missing() -> str:
    """Empty: the format needs no extra."""
    return ""


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model.

    Args:
        model: From arrays to a dict of arrays.
        path: The file.
        precision, examples: Not used; there is one precision.
    """
    model.save(path)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from arrays by name to arrays by name, which calls `predict`.

    The number of threads is the one that TensorFlow was started with.
    """
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    names = [tensor.name for tensor in model.inputs]

    def call(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = [inputs[name] for name in names]
        # Keras warns of a dict, or a list of one: the model was made from a tensor.
        return model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0)

    return call
