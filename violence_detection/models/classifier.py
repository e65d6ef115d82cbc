"""The classifier: built from a head, loaded from a run, and its logits as probabilities."""

import functools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError, RunError

if TYPE_CHECKING:
    import keras

_EXAMPLES = 2048
_DESCRIPTION_BYTES = 16 << 20  # of a model in a file; the largest of ours has 3 MB
_RATIO = 50  # of what a file holds to its size; ours hold what they weigh


def build_classifier(
    *, head: str, features: np.ndarray, classes: int, recurrence: str
) -> "keras.Model":
    """A model from features (B, T, D) to float32 logits: (B, 1) for two classes, else (B, K).

    Args:
        head: Spec on the shelf `heads`.
        features: The training clips, float16 (N, T, D); the head standardises by up to 2048
            of them, evenly spaced.
        classes: K.
        recurrence: How one is computed: `cudnn` (on a GPU, where XLA does not compile), `loop`, or
            `unrolled`, which is faster than a loop on a CPU. The weights are the same.
    """
    step = -(-len(features) // _EXAMPLES)
    return registry.load(
        "heads",
        head,
        examples=features[::step],
        outputs=1 if classes == 2 else classes,
        recurrence=recurrence,
    )


def begun_with(classifier: "keras.Model", source: "keras.Model") -> "keras.Model":
    """A classifier like `classifier` with the weights of `source` of the same shape.

    The constants that features are standardised by are the source's too, not those of the
    videos at hand: the weights mean something for inputs on that scale only. Precision and
    dropout are `classifier`'s.

    Raises:
        ConfigError: If the shapes are not the same.
    """
    import keras

    check_shapes(classifier, source)
    constants = {
        layer.name: layer.get_config()
        for layer in source.layers
        if isinstance(layer, keras.layers.Normalization)
    }

    def like(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer.name in constants:
            taken = constants[layer.name]
            config |= {"mean": taken["mean"], "variance": taken["variance"]}
        return type(layer).from_config(config)

    begun = keras.models.clone_model(classifier, clone_function=like)
    begun.set_weights(source.get_weights())
    return begun


def check_shapes(classifier: "keras.Model", source: "keras.Model") -> None:
    """Whether the weights of `source` have the shapes of those of `classifier`.

    Raises:
        ConfigError: If they have not.
    """
    wanted, there = (
        [tuple(weight.shape) for weight in one.weights] for one in (classifier, source)
    )
    if len(wanted) != len(there):
        raise ConfigError(
            f"`init_from` must be a run whose head has as many weights, {len(wanted)} arrays. "
            f"Received: {len(there)}"
        )
    for weight, shape in zip(classifier.weights, there, strict=True):
        if tuple(weight.shape) != shape:
            raise ConfigError(
                "`init_from` must be a run whose head has the same sizes, here "
                f"{weight.path} {tuple(weight.shape)}. Received: {shape}"
            )


def load_classifier(path: Path) -> "keras.Model":
    """A saved classifier; code inside the file is refused.

    Raises:
        RunError: If the file is damaged, or is not a classifier of this program.
    """
    import keras

    from violence_detection.models.heads import (  # noqa: F401  (registers the layers)
        _ensemble,
        _layers,
    )

    if not _is_whole(path):
        raise RunError(
            f"The model must be one that train saved. Received: {path} (damaged, or none)"
        )
    try:
        loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, h5py and Keras all have their own
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise RunError(
            f"The model must be one that train saved. Received: {path} ({reason})"
        ) from error
    if not _is_finite(loaded):
        raise RunError(
            f"The model's weights must be finite. Received: {path} (it holds NaN or infinity)"
        )
    return loaded


def _is_finite(loaded: "keras.Model") -> bool:
    """Whether every weight is a number, and every constant that features are standardised by."""
    import keras

    constants = [
        constant
        for layer in loaded._flatten_layers()
        if isinstance(layer, keras.layers.Normalization)
        for constant in (layer.mean, layer.variance)
    ]
    return all(
        np.isfinite(np.array(one, np.float64)).all() for one in [*loaded.weights, *constants]
    )


def _is_whole(path: Path) -> bool:
    """Whether every part of a saved model has its checksum.

    Keras seeks in the weights, and zipfile (of Python 3.13) does not check what was not read
    from its start to its end. What would fill the memory is not unpacked: a description of many
    megabytes, or far more than the file weighs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist()}
            if sizes.get("config.json", 0) > _DESCRIPTION_BYTES:
                return False
            if sum(sizes.values()) > _RATIO * path.stat().st_size:
                return False
            return archive.testzip() is None
    except Exception:  # a torn archive: BadZipFile, zlib.error, EOFError, and others
        return False


def probabilities(
    classifier: "keras.Model", features: np.ndarray, *, batch_size: int = 64
) -> np.ndarray:
    """Probability of each class.

    Args:
        classifier: From features to logits.
        features: float16 (N, T, D).

    Returns:
        float64 (N, K), rows sum to 1.
    """
    import tensorflow as tf

    logits_of = _forward(classifier)
    logits = [
        logits_of(tf.constant(features[start : start + batch_size], tf.float32)).numpy()
        for start in range(0, len(features), batch_size)
    ]
    return logits_to_probabilities(np.concatenate(logits))


@functools.lru_cache(maxsize=2)
def _forward(classifier: "keras.Model") -> Callable:
    """The forward pass as a graph, traced once and not at every epoch's validation."""
    import tensorflow as tf

    return tf.function(functools.partial(classifier, training=False), reduce_retracing=True)


def logits_to_probabilities(logits: np.ndarray) -> np.ndarray:
    """Sigmoid or softmax in float64: (N, 1) -> (N, 2), (N, K) -> (N, K)."""
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def decisions(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Class of each row, int64 (N,): normal below the threshold, else the likeliest other.

    Args:
        probability: (N, K), the normal class first.
        threshold: On 1 - P(normal).
    """
    violent = 1 - probability[:, 0] >= threshold
    return np.where(violent, 1 + probability[:, 1:].argmax(1), 0)
