"""The objects that export constructs in processes of their own: the converter and the exported
model."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from violence_detection import registry
from violence_detection.errors import ExportError
from violence_detection.export import classifier_graph
from violence_detection.export.check_clips import CheckClip
from violence_detection.export.weight_compression import compress
from violence_detection.features.extractor import check_weights, load_backbone
from violence_detection.models.classifier import Classifier, build_output, load_model
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras

    from violence_detection.export.end_to_end_graph import FrameInput

_WARMUP_CALLS, _TIMED_CALLS, _MAX_TIMED_S = 3, 30, 6.0


@dataclass(frozen=True)
class ConversionRequest:
    """The run and the settings that a file is converted from.

    Attributes:
        run_dir: The run.
        format, precision: Of the file.
        frame_input: The frames that the model takes; None for a model that takes features.
        weights: Of the backbone; None if cached features are all that there is.
        prune, cluster: See `weight_compression.compress`.
    """

    run_dir: Path
    format: str
    precision: str
    frame_input: "FrameInput | None"
    weights: str | None
    prune: float
    cluster: int | None


class ClipPredictions(NamedTuple):
    """The predictions of the Keras models for one clip.

    Attributes:
        features: Of the reference model, float32 (1, T, D).
        reference: By the run's model in float32, float64 (1, K).
        source: By the model that is converted, float64 (1, K); another than `reference` only if
            its weights are compressed.
    """

    features: np.ndarray
    reference: np.ndarray
    source: np.ndarray


class Converter:
    """The run's model in float32, the model that is converted, and the conversion.

    The two models are the same unless weights are pruned or clustered.
    """

    def __init__(self, request: ConversionRequest) -> None:
        """
        Raises:
            RunError, WeightsError: If the run or the backbone's weights cannot be used.
        """
        devices.import_tensorflow()
        self._request = request
        run = Run(request.run_dir)
        record = run.record()
        self._output, self._temperature = build_output(len(record.classes)), record.temperature
        self._space = record.feature_space
        self._classifier = classifier_graph.to_float32(load_model(run.model_path))
        self._backbone = self._load_backbone(record.weights_seed)
        self._source_classifier, self._source_backbone = self._classifier, self._backbone
        if request.prune or request.cluster:
            self._source_classifier = self._compressed(self._classifier)
            if request.frame_input and self._backbone:
                self._source_backbone = self._compressed(self._backbone)

    @functools.cached_property
    def _streams(self) -> StreamSet:
        """The streams of the run; features that were imported have none."""
        return StreamSet(self._space.stream, frame_size=self._space.frame_size)

    def _load_backbone(self, seed: int) -> "keras.Model | None":
        if self._request.weights is None:
            return None
        backbone, digest = load_backbone(
            self._space.backbone,
            weights=self._request.weights,
            frame_size=self._space.frame_size,
            precision="float32",
            seed=seed,
        )
        check_weights(self._space, digest, self._request.weights)
        return backbone

    def _compressed(self, model: "keras.Model") -> "keras.Model":
        import keras

        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        compress(copy, prune=self._request.prune, cluster=self._request.cluster)
        return copy

    def encode_clip(self, clip: CheckClip) -> np.ndarray:
        """The float32 features (1, T, D) of a clip, by the reference model."""
        if clip.features is not None:
            return clip.features
        return self._encode(self._backbone, self._images_of(clip))

    def predict_clip(self, clip: CheckClip) -> ClipPredictions:
        """The predictions of both models for a clip."""
        images = None if clip.features is not None else self._images_of(clip)
        features = clip.features if images is None else self._encode(self._backbone, images)
        reference = self._classify(self._classifier, features)
        source_features = features
        if images is not None and self._source_backbone is not self._backbone:
            source_features = self._encode(self._source_backbone, images)
        source = self._classify(self._source_classifier, source_features)
        return ClipPredictions(features, reference, source)

    def predict_features(self, features: np.ndarray) -> np.ndarray:
        """The predictions of the reference model for features (N, T, D), float64 (N, K)."""
        return self._classify(self._classifier, features)

    def _images_of(self, clip: CheckClip) -> np.ndarray:
        """The input of the backbone, uint8 (T, K, S, S, 3)."""
        if clip.images is not None:
            return clip.images
        from violence_detection.export.end_to_end_graph import images_of_frames

        return images_of_frames(clip.frames, self._request.frame_input, self._streams)

    @staticmethod
    def _encode(backbone: "keras.Model", images: np.ndarray) -> np.ndarray:
        """float32 (1, T, K D) of uint8 (T, K, S, S, 3)."""
        flat = images.reshape(-1, *images.shape[2:])
        features = backbone.predict_on_batch(flat.astype(np.float32))
        return np.asarray(features).reshape(1, len(images), -1)

    def _classify(self, model: "keras.Model", features: np.ndarray) -> np.ndarray:
        return Classifier(model, self._output, self._temperature).probabilities(features)

    def write(self, path: Path, examples: Sequence[Path]) -> dict[str, Any]:
        """Writes the file.

        Args:
            path: Of the file, or the folder.
            examples: Files of arrays, the inputs that float16 and int8 are calibrated on.

        Returns:
            `inputs` and `outputs`, each a list of `name`, `shape` and `dtype`.

        Raises:
            ExportError: If the format cannot express the model.
        """
        format_name, precision = self._request.format, self._request.precision
        model = self._build_model()
        part = registry.module("formats", format_name)
        inputs = [np.load(example, "r", allow_pickle=False) for example in examples]
        try:
            part.write(model, path, precision=precision, examples=inputs)
        except Exception as error:  # every converter has its own
            raise conversion_error(format_name, precision, error) from error
        return {
            "inputs": [_describe(model.input.name, model.input)],
            "outputs": [_describe(name, tensor) for name, tensor in model.output.items()],
        }

    def _build_model(self) -> "keras.Model":
        """The model that is converted, of Keras' own layers alone."""
        part = registry.module("formats", self._request.format)
        classifier = classifier_graph.build_classifier(
            self._source_classifier, temperature=self._temperature, unrolled=part.UNROLLED
        )
        if self._request.frame_input is None:
            return classifier
        from violence_detection.export import end_to_end_graph

        return end_to_end_graph.build_end_to_end(
            self._request.frame_input,
            self._streams,
            backbone=self._source_backbone,
            classifier=classifier,
        )


class ExportedModel:
    """An exported file, opened with the runtime of its format."""

    def __init__(self, format_name: str, path: Path, threads: int = 1) -> None:
        if format_name in ("keras", "saved_model"):
            devices.import_tensorflow()
        self._predict = registry.module("formats", format_name).load(path, threads)

    def predict(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the file by name, for one clip (1, ...)."""
        return self._predict(inputs)

    def measure_latency_ms(self, inputs: np.ndarray) -> float:
        """The median time of a call with one clip, after a few calls that do not count."""
        for _ in range(_WARMUP_CALLS):
            self._predict(inputs)
        times_s, start_s = [], time.perf_counter()
        while len(times_s) < _TIMED_CALLS and time.perf_counter() - start_s < _MAX_TIMED_S:
            before_s = time.perf_counter()
            self._predict(inputs)
            times_s.append(time.perf_counter() - before_s)
        return float(np.median(times_s) * 1000)


def conversion_error(format_name: str, precision: str, reason: object) -> ExportError:
    """The error of a converter that refused a model, with a setting that works."""
    brief = " ".join(str(reason).split())[:300] or type(reason).__name__
    works = "--format saved_model" if precision == "float32" else "--precision float32"
    return ExportError(
        f"`format` must be able to express the model; {works} is. Received: "
        f"format={format_name} ({brief})"
    )


def _describe(name: str, tensor: "keras.KerasTensor") -> dict[str, Any]:
    return {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}
