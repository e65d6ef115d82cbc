"""Keras' own file: of Keras' own layers alone, without a line of code inside."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "model.keras"
TOLERANCES = {"float32": _format.EXACT}
UNROLLED = False


def missing() -> str:
    """What must be installed for it: nothing."""
    return ""


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Write a model.

    Args:
        model: From one array to a dict of arrays.
        path: The file.
        precision, examples: Not used: there is one precision.
    """
    model.save(path)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """A function from one array to a dict of arrays: `predict`, as most people call it.

    The threads are those that TensorFlow was started with.
    """
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return lambda inputs: model.predict(inputs, verbose=0)
