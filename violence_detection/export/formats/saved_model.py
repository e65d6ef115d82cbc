"""TensorFlow's SavedModel, with the signature that TensorFlow Serving reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "saved_model"
TOLERANCES = {"float32": _format.EXACT}
NEEDS_TENSORFLOW = True
UNROLLED = False
ANY_SIZE = True
SIGNATURE = "serving_default"


def missing() -> str:
    """Empty: the format needs no extra."""
    return ""


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model with the signature `serving_default`.

    Args:
        model: From arrays to a dict of arrays.
        path: The folder.
        precision, examples: Not used; there is one precision.
    """
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda *inputs: model(inputs if len(inputs) > 1 else inputs[0], training=False),
        input_signature=[
            tf.TensorSpec(given.shape, given.dtype, given.name) for given in model.inputs
        ],
    )
    archive.write_out(str(path), verbose=False)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from arrays by name to arrays by name.

    The number of threads is the one that TensorFlow was started with.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[SIGNATURE]

    # The signature does not keep its model alive; the default argument does.
    def run(inputs: Mapping[str, np.ndarray], _model: object = loaded) -> dict[str, np.ndarray]:
        outputs = serve(**{name: tf.constant(value) for name, value in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    return run
