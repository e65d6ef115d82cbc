"""OpenVINO on the CPU, where it is faster than TensorFlow, in bfloat16 several times."""

import functools
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from violence_detection.system import files
from violence_detection.system.requirements import install_command

ON_GPU = False
# One image fits the cache of a core. A core for each image takes a third less processor time than
# all cores for a batch where other programs run, because no core waits for another.
SINGLE_IMAGES = True


def missing() -> str:
    """The extra that must be installed; empty if OpenVINO is installed."""
    if importlib.util.find_spec("openvino"):
        return ""
    return f"the extra `openvino`: {install_command('openvino')}"


def preference(*, gpus: int) -> int:
    """The preference for the engine on a machine with so many GPUs; `auto` takes the highest."""
    return 0 if gpus else 2


def gains(*, depthwise: bool, gpus: int) -> bool:
    """True if reduced precision is faster; it was for every network that was measured."""
    return True


def policy(precision: str) -> str:
    """The dtype policy of the backbone: float32, as OpenVINO reduces the precision itself."""
    return "float32"


def build(
    *, backbone: keras.Model, precision: str, kept: Path | None
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images, uint8 (N, S, S, 3) RGB, to features, float32 (N, D).

    The backbone is converted at the first call, which takes some seconds.

    Args:
        backbone: From float32 (B, S, S, 3) to (B, D).
        precision: "float32" or "mixed_bfloat16".
        kept: Path without a suffix for the converted backbone, which the next start reads; None
            keeps nothing.
    """
    requests = None

    def encode(images: np.ndarray) -> np.ndarray:
        nonlocal requests
        if requests is None:
            requests = _requests(backbone, precision, kept, images.shape[1:])
        rows: list[np.ndarray] = [np.empty(0)] * len(images)
        for number, image in enumerate(images):
            requests.start_async({0: image[None]}, (rows, number))
        requests.wait_all()
        return np.stack(rows) if rows else np.empty((0, backbone.output_shape[-1]), np.float32)

    return encode


def _keep_row(request, place: tuple[list[np.ndarray], int]) -> None:
    rows, number = place
    rows[number] = request.get_output_tensor(0).data[0].copy()


def _requests(backbone: keras.Model, precision: str, kept: Path | None, shape: tuple[int, ...]):
    """A queue that encodes one image in each of its requests, which run at the same time."""
    import openvino

    core = _core()
    model = _ConvertedModel(kept).read(core) if kept is not None else None
    if model is None:
        model = openvino.convert_model(_as_function(backbone))
        if kept is not None:
            _ConvertedModel(kept).write(model)
    model.reshape([1, *shape])
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "mixed_bfloat16" else "f32",
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    requests = openvino.AsyncInferQueue(core.compile_model(model, "CPU", settings))
    requests.set_callback(_keep_row)
    return requests


@functools.cache
def _core():
    """The core of the process, which is never deleted.

    A core installs a stack for signal handlers and removes it when it is deleted. With several
    cores that are deleted in another order, the next signal (Ctrl-C too) would be a segmentation
    fault.
    """
    import openvino

    core = openvino.Core()
    # Read, not mapped: a mapped file that changes ends the process.
    core.set_property({"ENABLE_MMAP": False})
    return core


def _as_function(backbone: keras.Model):
    signature = tf.TensorSpec((None, *backbone.input_shape[1:]), tf.uint8)

    @tf.function(input_signature=[signature])
    def encode(images: tf.Tensor) -> tf.Tensor:
        return backbone(tf.cast(images, tf.float32), training=False)

    return encode.get_concrete_function()


class _ConvertedModel:
    """A converted backbone on disk: the two files of OpenVINO, and a file of their digests."""

    def __init__(self, stem: Path) -> None:
        version = importlib.metadata.version("openvino")
        self._path = stem.with_name(f"{stem.name}-openvino-{version}.xml")
        self._digests_path = self._path.with_suffix(".json")

    def read(self, core):
        """The model; None if it does not exist or is damaged."""
        try:
            digests = json.loads(self._digests_path.read_text(encoding="utf-8"))
            actual = {path.name: files.sha256_of_file(path) for path in self._files()}
            return core.read_model(self._path) if actual == digests else None
        except (OSError, ValueError, RuntimeError):
            return None

    def write(self, model) -> None:
        """Writes a model; it is complete once the file of digests exists."""
        import openvino

        files.ensure_writable(self._path.parent)
        files.sweep_dead(self._path.parent)
        temporary = self._path.with_name(f"{files.temporary_mark()}-{self._path.name}")
        parts = (temporary, temporary.with_suffix(".bin"))
        try:
            openvino.save_model(model, temporary, compress_to_fp16=False)
            digests = {
                path.name: files.sha256_of_file(part)
                for path, part in zip(self._files(), parts, strict=True)
            }
            for path, part in zip(self._files(), parts, strict=True):
                files.replace(part, path)
        except (OSError, RuntimeError) as error:
            reason = error if isinstance(error, OSError) else OSError(None, str(error))
            raise files.write_error(self._path, reason) from error
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        files.write_json(self._digests_path, digests)

    def _files(self) -> tuple[Path, Path]:
        return self._path, self._path.with_suffix(".bin")
