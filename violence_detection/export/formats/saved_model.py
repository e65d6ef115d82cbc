"""TensorFlow's SavedModel, with the signature that TensorFlow Serving reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection.export.formats import _format

if TYPE_CHECKING:
    import keras

FILE = "saved_model"
TOLERANCES = {"float32": _format.EXACT}
UNROLLED = False
SIGNATURE = "serving_default"


def missing() -> str:
    """Empty: the format needs no extra."""
    return ""


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Writes a model with the signature `serving_default`.

    Args:
        model: From one array to a dict of arrays.
        path: The folder.
        precision, examples: Not used; there is one precision.
    """
    import keras
    import tensorflow as tf

    given = model.input
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        SIGNATURE,
        lambda inputs: model(inputs, training=False),
        input_signature=[tf.TensorSpec(given.shape, given.dtype, given.name)],
    )
    archive.write_out(str(path), verbose=False)


def load(path: Path, threads: int = 1) -> _format.ClipFunction:
    """Loads a file as a function from one array to a dict of arrays.

    The number of threads is the one that TensorFlow was started with.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[SIGNATURE]
    (name,) = serve.structured_input_signature[1]

    # The signature does not keep its model alive; the default argument does.
    def run(inputs: np.ndarray, _model: object = loaded) -> dict[str, np.ndarray]:
        outputs = serve(**{name: tf.constant(inputs)})
        return {key: value.numpy() for key, value in outputs.items()}

    return run
