"""The objects that export constructs in processes of their own: the converter and the exported
model."""

import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from violence_detection import registry
from violence_detection.errors import ExportError
from violence_detection.export.check_windows import CheckWindow, CheckWindowImages
from violence_detection.export.graphs import classifier_graph
from violence_detection.export.weight_compression import compress
from violence_detection.features.backbone_weights import (
    check_weights,
    load_backbone,
    load_joined_backbone,
)
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.run_extractor import weights_of_parts
from violence_detection.models.classifier import Classifier, load_model
from violence_detection.models.run import Run
from violence_detection.system import devices, files
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras

    from violence_detection.export.graphs.end_to_end_graph import FrameInput

_WARMUP_CALLS, _MIN_TIMED_CALLS, _MAX_TIMED_CALLS, _MAX_TIMED_S = 1, 3, 30, 6.0


@dataclass(frozen=True)
class ConversionRequest:
    """The run and the settings that a file is converted from.

    Attributes:
        run_dir: The run.
        format, precision: Format and precision of the file.
        frame_input: The frames that the model takes; None for a model that takes features.
        weights: Weights of the backbone; None if cached features are all that there is.
        prune, cluster: See `weight_compression.compress`.
    """

    run_dir: Path
    format: str
    precision: str
    frame_input: "FrameInput | None"
    weights: str | None
    prune: float
    cluster: int | None

    @property
    def is_compressed(self) -> bool:
        """True if weights are pruned or clustered."""
        return bool(self.prune or self.cluster)


class WindowPredictions(NamedTuple):
    """The predictions of the Keras models for one window, float64 (K,) each.

    Attributes:
        own: By the run's model in float32, at the video's own size and rate.
        resized: With frames of the file's size.
        resampled: With frames at the file's rate.
        given: By the run's model, of the frames that the file is given.
        source: By the model that is converted, of those; another than `given` only if its weights
            are compressed.
    """

    own: np.ndarray
    resized: np.ndarray
    resampled: np.ndarray
    given: np.ndarray
    source: np.ndarray


@dataclass(frozen=True)
class TensorDescription:
    """An input or output of a file; None in its shape is any length."""

    name: str
    shape: list[int | None]
    dtype: str


@dataclass(frozen=True)
class Interface:
    """The inputs and outputs of a file."""

    inputs: list[TensorDescription]
    outputs: list[TensorDescription]


@dataclass(frozen=True)
class Latency:
    """The time of a call with one clip.

    Attributes:
        ms: The smallest of the rounds, in milliseconds: what else the machine does only adds.
        cpu_ms: The smallest CPU time of the rounds, which other programs change less.
        rounds: Number of timed calls.
        threads: Threads that the call may use.
    """

    ms: float
    cpu_ms: float
    rounds: int
    threads: int


class Converter:
    """The run's model in float32, the model that is converted, and the conversion.

    The two models are the same unless weights are pruned or clustered.
    """

    def __init__(self, request: ConversionRequest, kept_features: Path | None = None) -> None:
        """
        Args:
            request: The run, and the file.
            kept_features: Folder in which the features that the run's backbone makes of windows
                are kept for conversions of runs of the same feature space; None keeps none.

        Raises:
            RunError, WeightsError: If the run or the backbone's weights cannot be used.
        """
        devices.import_tensorflow()
        self._request, self._kept_features = request, kept_features
        run = Run(request.run_dir)
        record = run.record()
        self._temperature = record.temperature
        self._space = record.feature_space
        self._classifier = classifier_graph.to_float32(load_model(run.model_path))
        self._backbone = self._load_backbone(record.weights_seed)
        self._source_classifier, self._source_backbone = self._classifier, self._backbone
        if request.is_compressed:
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
        if self._space.parts:
            return load_joined_backbone(self._space, self._weights_parts(), precision="float32")
        backbone, digest = load_backbone(
            self._space.backbone,
            weights=self._request.weights,
            frame_size=self._space.frame_size,
            precision="float32",
            seed=seed,
        )
        check_weights(self._space, digest, self._request.weights)
        return backbone

    def _weights_parts(self) -> Sequence[WeightsOrigin]:
        """The weights of the parts of a joined space: recorded, or of the folder asked for."""
        record = Run(self._request.run_dir).record()
        asked = self._request.weights
        folder = None if asked == record.weights_source else asked
        return weights_of_parts(record.weights_parts, folder)

    def _compressed(self, model: "keras.Model") -> "keras.Model":
        import keras

        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        compress(copy, prune=self._request.prune, cluster=self._request.cluster)
        return copy

    def predict_window(self, images: CheckWindowImages) -> WindowPredictions:
        """The predictions of both models for a window."""
        rows = [images.own, images.resized, images.resampled, images.given]
        features = [None if row is None else self._encode_by_run(row) for row in rows]
        own = self._classify(self._classifier, features[0])[0]
        resized, resampled, given = (
            own if row is None else self._classify(self._classifier, row)[0] for row in features[1:]
        )
        source = given
        if self._source_classifier is not self._classifier:
            encoded = self._encode(
                self._source_backbone, images.own if images.given is None else images.given
            )
            source = self._classify(self._source_classifier, encoded)[0]
        return WindowPredictions(own, resized, resampled, given, source)

    def predict_features(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The predictions of the run's model and of the one that is converted, float64 (N, K)
        each, for features (N, T, D)."""
        reference = self._classify(self._classifier, features)
        if self._source_classifier is self._classifier:
            return reference, reference
        return reference, self._classify(self._source_classifier, features)

    def _encode_by_run(self, images: np.ndarray) -> np.ndarray:
        """The features of images by the run's own backbone, float32 (1, T, K D)."""
        if self._kept_features is None:
            return self._encode(self._backbone, images)
        digest = hashlib.sha256(np.ascontiguousarray(images)).hexdigest()
        path = self._kept_features / f"{digest}.npy"
        if path.is_file():
            return np.load(path, allow_pickle=False)
        features = self._encode(self._backbone, images)
        with files.writing(path) as file:
            np.save(file, features, allow_pickle=False)
        return features

    @staticmethod
    def _encode(backbone: "keras.Model", images: np.ndarray) -> np.ndarray:
        """float32 (1, T, K D) of uint8 (T, K, S, S, 3)."""
        flat = images.reshape(-1, *images.shape[2:])
        features = backbone.predict_on_batch(flat.astype(np.float32))
        return np.asarray(features).reshape(1, len(images), -1)

    def _classify(self, model: "keras.Model", features: np.ndarray) -> np.ndarray:
        return Classifier.of_model(model, self._temperature).probabilities(features)

    def write(self, path: Path, examples: Sequence[Path]) -> Interface:
        """Writes the file.

        Args:
            path: The file, or the folder.
            examples: Files of arrays, the inputs that float16 and int8 are calibrated on.

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
        return Interface(
            [_describe(given.name, given) for given in model.inputs],
            [_describe(name, tensor) for name, tensor in model.output.items()],
        )

    def _build_model(self) -> "keras.Model":
        """The model that is converted, of Keras' own layers alone."""
        part = registry.module("formats", self._request.format)
        classifier = classifier_graph.build_plain_classifier(
            self._source_classifier, temperature=self._temperature, unrolled=part.UNROLLED
        )
        if self._request.frame_input is None:
            return classifier
        from violence_detection.export.graphs import end_to_end_graph

        return end_to_end_graph.build_end_to_end(
            self._request.frame_input,
            self._streams,
            backbone=self._source_backbone,
            classifier=classifier,
        )


class ExportedModel:
    """An exported file, opened with the runtime of its format."""

    def __init__(self, format_name: str, path: Path, threads: int = 1) -> None:
        part = registry.module("formats", format_name)
        if part.NEEDS_TENSORFLOW:
            devices.import_tensorflow()
        self._threads = threads
        self._predict = part.load(path, threads)

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the file by name, for the inputs of one clip by name."""
        return self._predict(inputs)

    def predict_windows(
        self, windows: Sequence[CheckWindow], frame_input: "FrameInput"
    ) -> list[dict[str, np.ndarray]]:
        """The outputs of the file for each window, whose frames are read from its file."""
        return [self._predict(window.inputs(frame_input)) for window in windows]

    def measure_latency(self, inputs: Mapping[str, np.ndarray]) -> Latency:
        """The time of a call with one clip, after a call that does not count."""
        for _ in range(_WARMUP_CALLS):
            self._predict(inputs)
        times_s, cpu_times_s, start_s = [], [], time.perf_counter()
        while len(times_s) < _MIN_TIMED_CALLS or (
            len(times_s) < _MAX_TIMED_CALLS and time.perf_counter() - start_s < _MAX_TIMED_S
        ):
            before_s, cpu_before_s = time.perf_counter(), time.process_time()
            self._predict(inputs)
            times_s.append(time.perf_counter() - before_s)
            cpu_times_s.append(time.process_time() - cpu_before_s)
        ms, cpu_ms = 1000 * min(times_s), 1000 * min(cpu_times_s)
        return Latency(ms, cpu_ms, len(times_s), self._threads)


def conversion_error(format_name: str, precision: str, reason: object) -> ExportError:
    """The error of a converter that refused a model, with a setting that works."""
    brief = " ".join(str(reason).split())[:300] or type(reason).__name__
    works = "--format saved_model" if precision == "float32" else "--precision float32"
    return ExportError(
        f"`format` must be able to express the model; {works} is. Received: "
        f"format={format_name} ({brief})"
    )


def _describe(name: str, tensor: "keras.KerasTensor") -> TensorDescription:
    return TensorDescription(name, list(tensor.shape), str(tensor.dtype))
