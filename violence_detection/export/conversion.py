"""What export does in processes of its own: at home the run's model in float32, its answers and the
file written of it; away the file, opened by what a user would open it with.

Functions are called one after the other in one process (`processes.DedicatedProcess`), and share what the
first of them made.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection import registry
from violence_detection.errors import ExportError
from violence_detection.export import classifier_graph
from violence_detection.export.weight_compression import compress
from violence_detection.features.extractor import check_weights, load_backbone
from violence_detection.models.classifier import Classifier, load_model
from violence_detection.models.outputs.classes import Classes
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.video.stream_set import StreamSet

if TYPE_CHECKING:
    import keras

    from violence_detection.export.end_to_end_graph import FrameInput

_WARM, _REPEATS, _SECONDS = 3, 30, 6.0
_shared: dict[str, Any] = {}


@dataclass(frozen=True)
class ConversionRequest:
    """What is exported.

    Attributes:
        run_dir: The run.
        format, precision: What is written.
        given: The frames that go in; None for features.
        weights: Of the backbone; None where it has no part in it.
        prune, cluster: See `compression`.
    """

    run_dir: Path
    format: str
    precision: str
    given: "FrameInput | None"
    weights: str | None
    prune: float
    cluster: int | None

    @property
    def changed(self) -> bool:
        """Whether the model is not to answer as the run does."""
        return bool(self.prune or self.cluster)


# -- at home


class _Home:
    """The run in float32, and the same with what is to be changed."""

    def __init__(self, request: ConversionRequest) -> None:
        self.request = request
        run = Run(request.run_dir)
        record = run.record()
        self._output, self._temperature = Classes(len(record.classes)), record.temperature
        self._space = record.feature_space
        self.make = StreamSet(self._space.stream, frame_size=self._space.frame_size)
        loaded = load_model(run.model_path)
        self.classifier = classifier_graph.to_float32(loaded)
        self.backbone = self._backbone(record.weights_seed)
        self.own_classifier, self.own_backbone = self.classifier, self.backbone
        if request.changed:
            self.own_classifier = self._changed(self.classifier)
            if request.given and self.backbone:
                self.own_backbone = self._changed(self.backbone)

    def _backbone(self, seed: int) -> "keras.Model | None":
        if self.request.weights is None:
            return None
        network, digest = load_backbone(
            self._space.backbone,
            weights=self.request.weights,
            frame_size=self._space.frame_size,
            precision="float32",
            seed=seed,
        )
        check_weights(self._space, digest, self.request.weights)
        return network

    def _changed(self, of: "keras.Model") -> "keras.Model":
        import keras

        copy = keras.models.clone_model(of)
        copy.set_weights(of.get_weights())
        compress(copy, prune=self.request.prune, cluster=self.request.cluster)
        return copy

    def answer(self, classifier: "keras.Model", features: np.ndarray) -> np.ndarray:
        """float64 (N, K) of float32 (N, T, D)."""
        return Classifier(classifier, self._output, self._temperature).probabilities(features)

    def encoded(self, backbone: "keras.Model", pictures: np.ndarray) -> np.ndarray:
        """float32 (T, K D) of uint8 (T, K, S, S, 3)."""
        flat = pictures.reshape(-1, *pictures.shape[2:])
        features = backbone.predict_on_batch(flat.astype(np.float32))
        return np.asarray(features).reshape(len(pictures), -1)

    def portable(self) -> "keras.Model":
        """What is written."""
        part = registry.module("formats", self.request.format)
        classifier = classifier_graph.build_classifier(
            self.own_classifier, temperature=self._temperature, unrolled=part.UNROLLED
        )
        if self.request.given is None:
            return classifier
        from violence_detection.export import end_to_end_graph

        return end_to_end_graph.build_end_to_end(
            self.request.given,
            self.make,
            backbone=self.own_backbone,
            classifier=classifier,
        )


def begin(request: ConversionRequest) -> None:
    """Load the run, and its backbone where it has a part in it.

    Raises:
        RunError, WeightsError: If they cannot be used.
    """
    devices.import_tensorflow()
    _shared["home"] = _Home(request)


def pictures_of(frames: np.ndarray, given: "FrameInput") -> np.ndarray:
    """What the backbone sees of frames, uint8 (T, K, S, S, 3); see `end_to_end`."""
    from violence_detection.export import end_to_end_graph

    return end_to_end_graph.pictures_of(frames, given, _shared["home"].make)


def features_of(pictures: np.ndarray) -> np.ndarray:
    """Float32 features (T, K D) of pictures, uint8 (T, K, S, S, 3)."""
    home = _shared["home"]
    return home.encoded(home.backbone, pictures)


def answers(features: np.ndarray) -> np.ndarray:
    """The run's answers, float64 (N, K), to features (N, T, D)."""
    home = _shared["home"]
    return home.answer(home.classifier, features)


def own_answers(features: np.ndarray, pictures: np.ndarray | None) -> np.ndarray:
    """Those of the model that is written, which has a backbone of its own where it was changed
    too: float64 (1, K), to features (1, T, D) or to the pictures that they are of."""
    home = _shared["home"]
    if pictures is not None and home.own_backbone is not home.backbone:
        features = home.encoded(home.own_backbone, pictures)[None]
    return home.answer(home.own_classifier, features)


def write(path: Path, examples: Sequence[Path]) -> dict[str, Any]:
    """Write the file.

    Args:
        path: Of the file, or the folder.
        examples: Arrays in files, that fewer bits are calibrated on.

    Returns:
        Names, shapes and types of what goes in and comes out.

    Raises:
        ExportError: If the format cannot express the model.
    """
    request = _shared["home"].request
    network = _shared["home"].portable()
    part = registry.module("formats", request.format)
    inputs = [np.load(one, "r", allow_pickle=False) for one in examples]
    try:
        part.write(network, path, precision=request.precision, examples=inputs)
    except Exception as error:  # every converter has its own
        raise cannot(request, error) from error
    return {
        "inputs": [_described(network.input.name, network.input)],
        "outputs": [_described(*one) for one in network.output.items()],
    }


def cannot(request: ConversionRequest, reason: object) -> ExportError:
    """What a converter cannot do, and what can."""
    brief = " ".join(str(reason).split())[:300] or type(reason).__name__
    other = "float32" if request.precision != "float32" else ""
    works = f"--precision {other}" if other else "--format saved_model"
    return ExportError(
        f"`format` must be able to express the model; {works} is. Received: "
        f"format={request.format} ({brief})"
    )


def _described(name: str, tensor: "keras.KerasTensor") -> dict[str, Any]:
    return {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}


# -- away


def load(name: str, path: Path, threads: int = 1) -> None:
    """Open a file with the runtime of its format."""
    if name in ("keras", "saved_model"):
        devices.import_tensorflow()
    _shared["away"] = registry.module("formats", name).load(path, threads)


def run(inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What the file answers to one clip, (1, ...)."""
    return _shared["away"](inputs)


def latency_ms(inputs: np.ndarray) -> float:
    """Median of the time that one clip takes, once the file is warm."""
    for _ in range(_WARM):
        _shared["away"](inputs)
    times, start_s = [], time.perf_counter()
    while len(times) < _REPEATS and time.perf_counter() - start_s < _SECONDS:
        before_s = time.perf_counter()
        _shared["away"](inputs)
        times.append(time.perf_counter() - before_s)
    return float(np.median(times) * 1000)
