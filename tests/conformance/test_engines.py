"""Every engine gives the features of the backbone, and names the extra that it needs."""

import gc
import os
import signal

import numpy as np
import pytest
from support.backbones import small_backbones
from support.folders import SHARED

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features.backbone_weights import load_backbone
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import devices

WEIGHTS = SHARED / "weights" / "mobilenet_v2_1.0_224_imagenet_notop.weights.h5"
NAMES = registry.available("engines")
each_engine = pytest.mark.parametrize("name", NAMES)
SIZE = 64


@pytest.fixture(autouse=True)
def _skip_missing_engines(request):
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name and registry.module("engines", name).missing():
        pytest.skip(f"needs {registry.module('engines', name).missing()}")


def random_backbone():
    """A backbone with random weights."""
    return load_backbone(
        "mobilenet", weights="random", frame_size=SIZE, precision="float32", seed=1
    )[0]


@pytest.fixture(scope="module")
def backbone():
    """Four layers of the kinds that a MobileNet has."""
    with small_backbones():
        return random_backbone()


def draw_images(rng, count: int, size: int = SIZE) -> np.ndarray:
    """Coarse patterns, whose features differ more than those of noise."""
    coarse = rng.integers(0, 256, (count, size // 8, size // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / norms


def build(name: str, backbone, *, kept=None, precision="float32"):
    return registry.load("engines", name, backbone=backbone, precision=precision, kept=kept)


def assert_features_are_those_of(name, backbone, images) -> None:
    features = build(name, backbone)(images)
    expected = np.array(backbone(images.astype(np.float32), training=False))
    assert (features.shape, features.dtype) == ((len(images), 1024), np.float32)
    assert cosines(features, expected).min() >= 0.999


@pytest.mark.slow
@each_engine
def test_features_are_those_of_the_backbone(name, backbone, rng):
    assert_features_are_those_of(name, backbone, draw_images(rng, 5))


@pytest.mark.slow
@each_engine
def test_an_engine_of_single_images_gives_each_its_features_whatever_comes_with_it(
    name, backbone, rng
):
    if not registry.module("engines", name).SINGLE_IMAGES:
        pytest.skip("its batches have one size")
    encode, images = build(name, backbone), draw_images(rng, 9)
    together = encode(images)
    alone = np.concatenate([encode(images[number : number + 1]) for number in (8, 3, 0)])
    np.testing.assert_array_equal(together[[8, 3, 0]], alone)
    assert encode(images[:0]).shape == (0, together.shape[1])


@pytest.mark.slow
@each_engine
@pytest.mark.parametrize("count", [1, 5])
def test_features_are_those_of_a_whole_mobilenet(name, rng, count):
    assert_features_are_those_of(name, random_backbone(), draw_images(rng, count))


@pytest.mark.slow
@each_engine
def test_each_image_is_encoded_alone_and_results_are_not_overwritten(name, backbone, rng):
    encode, images = build(name, backbone), draw_images(rng, 4)
    first = encode(images)
    kept = first.copy()
    second = encode(images[::-1].copy())
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(second[::-1], first, atol=1e-4)


@pytest.mark.slow
@each_engine
def test_a_kept_backbone_gives_the_same_features_and_a_damaged_file_is_replaced(
    name, backbone, rng, tmp_path
):
    images = draw_images(rng, 2)
    first = build(name, backbone, kept=tmp_path / "deep" / "mobilenet")(images)
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in written if ".partial-" in path.name]
    again = build(name, backbone, kept=tmp_path / "deep" / "mobilenet")
    np.testing.assert_array_equal(again(images), first)
    for path in written:  # a byte in each file in turn
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(content)
        rebuilt = build(name, backbone, kept=tmp_path / "deep" / "mobilenet")
        np.testing.assert_array_equal(rebuilt(images), first)


@pytest.mark.slow
@each_engine
def test_a_signal_is_handled_after_engines_were_deleted(name, backbone, rng):
    """Several OpenVINO cores would leave a freed stack for signal handlers."""
    got, images = [], draw_images(rng, 1)
    first, second = build(name, backbone), build(name, backbone)
    first(images)
    second(images)
    del first
    gc.collect()
    del second
    gc.collect()
    before = signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    assert got == [1]


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs ../shared")
@pytest.mark.parametrize(
    ("precision", "least"),
    [
        ("float32", 0.999),
        pytest.param("mixed_bfloat16", 0.99, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize(
    "name",  # the engine that the others are compared with agrees with itself
    [pytest.param(name, marks=[pytest.mark.thorough] * (name == "tensorflow")) for name in NAMES],
)
def test_engines_agree_on_real_weights(name, rng, precision, least):
    if precision != "float32" and not devices.cpu_has_bfloat16():
        pytest.skip("needs a CPU with bfloat16")
    asked = {
        "backbone": "mobilenetv2",
        "weights": str(WEIGHTS),
        "stream": "rgb",
        "frames": 4,
        "frame_size": None,
        "batch_size": 8,
        "seed": 0,
    }
    images = draw_images(rng, 8, 224)
    exact = FeatureExtractor.build(**asked, engine="tensorflow", precision="float32")
    reduced = FeatureExtractor.build(**asked, engine=name, precision=precision)
    assert cosines(exact.encode(images), reduced.encode(images)).min() >= least
    same = (name, precision) == ("tensorflow", "float32")
    assert (exact.space.fingerprint == reduced.space.fingerprint) == same


# -- the choice


@each_engine
def test_an_installed_engine_misses_nothing(name):
    part = registry.module("engines", name)
    assert part.missing() == ""
    assert part.ON_GPU in (True, False)
    assert part.policy("float32") == "float32"


@pytest.mark.slow
def test_a_space_whose_engine_is_not_installed_runs_on_tensorflow(monkeypatch, caplog):
    asked = {"backbone": "mobilenet", "weights": "random", "stream": "rgb", "frames": 2}
    asked |= {"frame_size": 32, "precision": "float32", "batch_size": 2, "seed": 1}
    if registry.module("engines", "openvino").missing():
        pytest.skip("needs the extra `openvino`")
    space = FeatureExtractor.build(**asked, engine="openvino").space
    monkeypatch.setattr(registry.module("engines", "openvino"), "missing", lambda: "the extra")
    again = FeatureExtractor.from_space(space, weights="random", batch_size=2, seed=1)
    assert (again.space.engine, again.space.precision) == ("tensorflow", "float32")


def test_auto_is_an_engine_and_a_name_is_checked():
    assert ExtractConfig(engine="auto").engine == "auto"
    with pytest.raises(ConfigError, match="The engine must be one of .*Received: cuda"):
        ExtractConfig(engine="cuda")
