"""TensorFlow's SavedModel, with the signature that TensorFlow Serving asks for."""

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
    """What must be installed for it: nothing."""
    return ""


def write(
    model: "keras.Model", path: Path, *, precision: str, examples: Sequence[np.ndarray]
) -> None:
    """Write a model with the signature `serving_default`.

    Args:
        model: From one array to a dict of arrays.
        path: The folder.
        precision, examples: Not used: there is one precision.
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
    """A function from one array to a dict of arrays.

    The threads are those that TensorFlow was started with.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[SIGNATURE]
    (name,) = serve.structured_input_signature[1]

    def run(inputs: np.ndarray, kept: object = loaded) -> dict[str, np.ndarray]:
        answers = serve(**{name: tf.constant(inputs)})
        return {key: value.numpy() for key, value in answers.items()}

    return run
