"""The classifier: built from a head and outputs, loaded from a file, and applied to features."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection import registry
from violence_detection.errors import ConfigError, RunError
from violence_detection.metrics import calibration
from violence_detection.models.forward_pass import run_model
from violence_detection.models.output_set import CLASSES, OutputPredictions, OutputSet
from violence_detection.models.outputs.classes import violence_score

if TYPE_CHECKING:
    import keras

_EXAMPLES = 2048
_DESCRIPTION_BYTES = 16 << 20  # of a model in a file; the largest of ours has 3 MB
_RATIO = 50  # of what a file holds to its size; ours hold what they weigh


@dataclass(frozen=True)
class Classifier:
    """A trained model with what its outputs mean, and its temperature.

    Attributes:
        model: From features (B, T, D) to float32 logits, or to a dict of outputs by name.
        outputs: What they say.
        temperature: Divides the logits; 1 leaves them as they are.
    """

    model: "keras.Model"
    outputs: OutputSet
    temperature: float = 1.0

    @classmethod
    def of_model(cls, model: "keras.Model", temperature: float = 1.0) -> Self:
        """A trained model, which says itself what its outputs are."""
        return cls(model, OutputSet.of_model(model), temperature)

    def probabilities(self, features: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
        """The calibrated probability of each class.

        Args:
            features: float16 (N, T, D).
            batch_size: Clips at a time.

        Returns:
            float64 (N, K), rows sum to 1.
        """
        return self.calibrated(self.uncalibrated(features, batch_size=batch_size))

    def scores(self, features: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
        """The calibrated probability of violence, float64 (N,); see `probabilities`."""
        return violence_score(self.probabilities(features, batch_size=batch_size))

    def uncalibrated(self, features: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
        """The probability of each class at temperature 1; see `probabilities`."""
        return self.uncalibrated_predictions(features, batch_size=batch_size).probability

    def uncalibrated_predictions(
        self, features: np.ndarray, *, batch_size: int = 64
    ) -> OutputPredictions:
        """The answers of all outputs at temperature 1; see `probabilities`."""
        return self.outputs.output_predictions(
            outputs_of(self.model, features, batch_size=batch_size)
        )

    def output_predictions(
        self, features: np.ndarray, *, batch_size: int = 64
    ) -> OutputPredictions:
        """The answers of all outputs, with the calibrated probability; see `probabilities`."""
        output_predictions = self.uncalibrated_predictions(features, batch_size=batch_size)
        return replace(
            output_predictions, probability=self.calibrated(output_predictions.probability)
        )

    def calibrated(self, uncalibrated: np.ndarray) -> np.ndarray:
        """Probabilities (N, K) of temperature 1 at the temperature of this classifier."""
        return calibration.apply_temperature(uncalibrated, self.temperature)


def build_classifier(
    *,
    head: str,
    features: np.ndarray,
    classes: int,
    recurrence: str,
    outputs: str = CLASSES,
) -> "keras.Model":
    """A model from features (B, T, D) to what its outputs say, float32.

    That is logits (B, 1) for two classes, else (B, K), where `classes` is the only output, and a
    dict by name where there are others.

    Args:
        head: Spec of a part in `models/heads`.
        features: The training clips, float16 (N, T, D); the head standardises by up to 2048
            of them, evenly spaced. Of videos in S segments, (N, S, T, D), the model takes bags.
        classes: K.
        recurrence: How a recurrence is computed: `cudnn` (on a GPU, where XLA does not
            compile), `loop`, or `unrolled`, which is faster than a loop on a CPU. The weights
            are the same.
        outputs: Spec of the outputs, see `OutputSet.of_spec`.
    """
    import keras

    output_set = OutputSet.of_spec(outputs, classes)
    if len(features.shape) == 4:
        from violence_detection.models import segment_bags

        segment_bags.check_outputs(output_set.names)
        examples = segment_bags.segment_clips(features, _EXAMPLES)
        encoded = segment_bags.encode_bags(head, examples, recurrence=recurrence)
    else:
        examples = every_example(features)
        encoded = registry.load("heads", head, examples=examples, recurrence=recurrence)
    encoded = encoded._replace(examples=examples, recurrence=recurrence)
    built = output_set.build(encoded)
    return keras.Model(encoded.features, built, name=encoded.name)


def every_example(features: np.ndarray) -> np.ndarray:
    """The clips that constants of the standardisation are taken from: at most 2048, evenly spaced.

    Args:
        features: float16 (N, T, D).
    """
    return features[:: -(-len(features) // _EXAMPLES)]


def initialised_from(classifier: "keras.Model", source: "keras.Model") -> "keras.Model":
    """A classifier like `classifier` with the weights of `source` of the same shape.

    The constants that features are standardised by are the source's too, not those of the
    present videos: the weights are meaningful for inputs on that scale only. Precision and
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

    clone = keras.models.clone_model(classifier, clone_function=like)
    clone.set_weights(source.get_weights())
    return clone


def check_shapes(classifier: "keras.Model", source: "keras.Model") -> None:
    """Checks that the weights of `source` have the shapes of those of `classifier`.

    Raises:
        ConfigError: If they have not.
    """
    shapes = [tuple(weight.shape) for weight in source.weights]
    if len(classifier.weights) != len(shapes):
        raise ConfigError(
            "`init_from` must be a run whose head and outputs have as many weights, "
            f"{len(classifier.weights)} arrays. Received: {len(shapes)}"
        )
    for weight, shape in zip(classifier.weights, shapes, strict=True):
        if tuple(weight.shape) != shape:
            raise ConfigError(
                "`init_from` must be a run whose head has the same sizes, here "
                f"{weight.path} {tuple(weight.shape)}. Received: {shape}"
            )


def load_model(path: Path) -> "keras.Model":
    """The Keras model of a saved classifier; code inside the file is refused.

    Raises:
        RunError: If the file is damaged, or is not a classifier of this program.
    """
    import keras

    from violence_detection.models import segment_bags  # noqa: F401  (registers the layers)
    from violence_detection.models.heads import (  # noqa: F401  (registers the layers)
        _ensemble,
        _layers,
    )

    for folder in ("outputs", "detectors"):  # they register theirs
        for name in registry.available(folder):
            registry.module(folder, name)

    if not _is_whole(path):
        raise RunError(
            f"The model must be one that train saved. Received: {path} (damaged, or no model)"
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
    """True if every weight and every constant of the standardisation is finite."""
    import keras

    constants = [
        constant
        for layer in loaded._flatten_layers()
        if isinstance(layer, keras.layers.Normalization)
        for constant in (layer.mean, layer.variance)
    ]
    arrays = [*loaded.weights, *constants]
    return all(np.isfinite(np.array(array, np.float64)).all() for array in arrays)


def _is_whole(path: Path) -> bool:
    """True if every part of a saved model matches its checksum.

    Keras seeks in the weights, and zipfile (of Python 3.13) does not check a part that was not
    read from its start to its end. A file that would fill the memory is not unpacked: one with a
    description of many megabytes, or that unpacks to many times its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {part.filename: part.file_size for part in archive.infolist()}
            if sizes.get("config.json", 0) > _DESCRIPTION_BYTES:
                return False
            if sum(sizes.values()) > _RATIO * path.stat().st_size:
                return False
            return archive.testzip() is None
    except Exception:  # a torn archive: BadZipFile, zlib.error, EOFError, and others
        return False


def probabilities(
    model: "keras.Model", features: np.ndarray, *, batch_size: int = 64
) -> np.ndarray:
    """The uncalibrated probability of each class.

    Args:
        model: From features to logits, or to a dict of outputs.
        features: float16 (N, T, D).
        batch_size: Clips at a time.

    Returns:
        float64 (N, K), rows sum to 1.
    """
    return Classifier.of_model(model).uncalibrated(features, batch_size=batch_size)


def outputs_of(
    model: "keras.Model", features: np.ndarray, *, batch_size: int = 64
) -> "np.ndarray | dict[str, np.ndarray]":
    """The outputs of a model, as `run_model` gives them; of a video in segments those of the
    segment with the highest probability of violence.

    Args:
        model: Of clips (B, T, D).
        features: float16 (N, T, D), or (N, S, T, D) in S segments.
        batch_size: Clips at a time.
    """
    if len(features.shape) < len(model.input_shape) + 1:
        return run_model(model, features, batch_size=batch_size)
    from violence_detection.models import segment_bags

    segments, output_set = features.shape[1], OutputSet.of_model(model)
    blocks = []
    step = max(1, batch_size // segments)
    for start in range(0, len(features), step):
        block = features[start : start + step]
        outputs = run_model(model, block.reshape(-1, *block.shape[2:]), batch_size=batch_size)
        scores = violence_score(output_set.predictions(outputs))
        blocks.append(segment_bags.highest_segments(outputs, scores, segments))
    if isinstance(blocks[0], dict):
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return np.concatenate(blocks)
