"""Networks of keras.applications as encoders of frames: the work of all backbones."""

import contextlib
import os
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import h5py
import keras
import numpy as np

from violence_detection.errors import ConfigError, WeightsError

_ENDING = ".weights.h5"


def build_encoder(
    application: Callable[..., keras.Model],
    preprocess: Callable | None,
    *,
    frame_size: int,
    weights: str | None,
    layer: str = "pool",
) -> keras.Model:
    """A frozen network from frames to features, with its own preprocessing inside.

    Args:
        application: Function of keras.applications.
        preprocess: Its `preprocess_input`; None if the network rescales inside.
        frame_size: S.
        weights: None (drawn from Keras' global seed), "imagenet", or a weights file.
        layer: "pool" for global average pooling without the top, else the name of a layer
            of the network with its top.

    Returns:
        A model from float32 (B, S, S, 3) RGB in [0, 255] to float32 (B, D).

    Raises:
        ConfigError: If the network cannot be built for `frame_size`.
        WeightsError: If the weights cannot be loaded or do not fit.
    """
    if layer != "pool" and frame_size != 224:
        raise ConfigError(
            f"`frame_size` must be 224 for a layer behind the pooling. Received: {frame_size}"
        )
    shape = (frame_size, frame_size, 3)
    top = {"include_top": False, "pooling": "avg"} if layer == "pool" else {"include_top": True}
    try:
        network = application(weights=None, input_shape=shape, **top)
    except ValueError as error:
        raise ConfigError(
            f"`frame_size` must suit {application.__name__}. Received: {frame_size} "
            f"({_brief(error)})"
        ) from error
    if weights == "imagenet":
        network = _with_imagenet(application, shape, top)
    elif weights is not None:
        _load(network, Path(weights))
    network.trainable = False
    frames = keras.Input(shape, dtype="float32", name="frames")
    images = preprocess(frames) if preprocess else frames
    outputs = network.output if layer == "pool" else network.get_layer(layer).output
    encode = keras.Model(network.input, outputs)
    features = keras.layers.Activation("linear", dtype="float32", name="features")
    return keras.Model(frames, features(encode(images)))


def imagenet_file(part: ModuleType, frame_size: int) -> Path:
    """The path of a backbone's ImageNet weights in the cache of Keras; it may not exist.

    Args:
        part: The backbone's module.
        frame_size: S.
    """
    size = frame_size if frame_size in getattr(part, "WEIGHTS_SIZES", ()) else 224
    home = Path(os.environ.get("KERAS_HOME") or Path("~", ".keras")).expanduser()
    if not os.access(home, os.W_OK):  # as keras.utils.get_file does
        home = Path("/tmp/.keras")
    return home / "models" / part.WEIGHTS_FILE.format(size=size)


def calibrate(model: keras.Model, *, seed: int) -> keras.Model:
    """A network with random weights, its features shifted and scaled to a usable range.

    Without this, the features of a MobileNet with random weights are around 1e-20, nearly equal,
    and become 0 in float16. Here each feature has mean 0, and all together have deviation 1, over
    noise images drawn from `seed`. There is one scale for all features: a scale for each would
    amplify features without information.
    """
    size = model.input_shape[1]
    coarse = np.random.default_rng(seed).uniform(0, 255, (8, 8, 8, 3)).astype("float32")
    images = keras.ops.image.resize(coarse, (size, size), interpolation="bilinear")
    features = np.array(model(images, training=False), np.float64)
    centre = features.mean(0)
    scale = (features - centre).std()
    shifted = keras.layers.Rescaling(
        (1 / scale).astype(np.float32),
        (-centre / scale).astype(np.float32),
        dtype="float32",
    )
    return keras.Model(model.input, shifted(model.output))


def _with_imagenet(application: Callable[..., keras.Model], shape: tuple, top: dict) -> keras.Model:
    name = application.__name__
    try:
        with warnings.catch_warnings():  # MobileNet's, that they were trained at 224
            warnings.simplefilter("ignore")
            return application(weights="imagenet", input_shape=shape, **top)
    except Exception as error:  # a download may raise anything: no network, a refused host
        raise WeightsError(
            f"The ImageNet weights of {name} must be downloadable once, or given as a file. "
            f"Received: {_brief(error).rstrip('.')}. Fetch them where there is a network with "
            f"keras.applications.{name}(include_top={top['include_top']}), copy the file from "
            "~/.keras/models and give it with --weights PATH."
        ) from error


def _load(network: keras.Model, path: Path) -> None:
    """Loads a weights file, and checks that it set every kernel."""
    if not path.is_file():
        reason = "a folder" if path.is_dir() else "it does not exist"
        raise WeightsError(
            f"--weights must be imagenet, random or a file. Received: {path} ({reason})"
        )
    kernels = [variable for variable in network.variables if len(variable.shape) >= 2]
    drawn = [np.array(kernel) for kernel in kernels]
    try:
        # Files of older versions of Keras give hundreds of lines; the check below covers them.
        with warnings.catch_warnings(), _named_by_content(path) as named:
            warnings.simplefilter("ignore")
            network.load_weights(named)
    except Exception as error:  # h5py and Keras raise anything from KeyError to OSError
        raise _does_not_fit(network, path, _brief(error)) from error
    for kernel, before in zip(kernels, drawn, strict=True):
        if np.array_equal(np.array(kernel), before):
            raise _does_not_fit(network, path, f"it has no values for {kernel.path}")
    if not all(np.isfinite(np.array(variable)).all() for variable in network.variables):
        raise WeightsError(f"Weights must be finite. Received: {path} (it holds NaN or infinity)")


@contextlib.contextmanager
def _named_by_content(path: Path) -> Iterator[Path]:
    """The path of a weights file under a name that Keras reads it by.

    Keras reads `.weights.h5` as its present format and every other `.h5` as the older one, which
    names its layers in an attribute.
    """
    if path.name.endswith(_ENDING) or not h5py.is_hdf5(path):
        yield path
        return
    with h5py.File(path) as file:
        is_older = "layer_names" in file.attrs or "model_weights" in file
    if is_older:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"renamed{_ENDING}")
        link.symlink_to(path.resolve())
        yield link


def _does_not_fit(network: keras.Model, path: Path, reason: str) -> WeightsError:
    return WeightsError(f"--weights must be a file of {network.name}. Received: {path} ({reason})")


def _brief(error: Exception) -> str:
    """The text of an error on a single line of at most 250 characters."""
    text = str(error).strip() or type(error).__name__
    return textwrap.shorten(text, 250, placeholder=" …")
