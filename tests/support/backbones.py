"""Small networks in place of the MobileNets, built and traced in a tenth of the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest


@contextmanager
def small_backbones() -> Iterator[None]:
    """Within it, `mobilenet` and `mobilenetv2` have four layers; their input, output, sizes and
    errors are those of Keras. Random weights only."""
    from keras.applications import mobilenet, mobilenet_v2

    with pytest.MonkeyPatch.context() as patch:
        _shrink(patch, mobilenet, "MobileNet", 1024)
        _shrink(patch, mobilenet_v2, "MobileNetV2", 1280)
        yield


def _shrink(patch: pytest.MonkeyPatch, module: ModuleType, name: str, dim: int) -> None:
    import keras

    whole = getattr(module, name)

    def small(*, input_shape: tuple, weights: str | None = None, **top) -> keras.Model:
        if weights or min(input_shape[:2]) < 32 or top != {"include_top": False, "pooling": "avg"}:
            return whole(input_shape=input_shape, weights=weights, **top)
        frames = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 3, strides=4, use_bias=False, name="conv")(frames)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(name="norm")(x))
        x = keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="depthwise")(x)
        x = keras.layers.Conv2D(dim, 1, activation="relu", name="pointwise")(x)
        return keras.Model(frames, keras.layers.GlobalAveragePooling2D()(x), name=name.lower())

    small.__name__, small.whole = name, whole
    patch.setattr(module, name, small)


@contextmanager
def whole_backbones() -> Iterator[None]:
    """Within it, the MobileNets are those of Keras, also within `small_backbones`."""
    from keras.applications import mobilenet, mobilenet_v2

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((mobilenet, "MobileNet"), (mobilenet_v2, "MobileNetV2")):
            network = getattr(module, name)
            patch.setattr(module, name, getattr(network, "whole", network))
        yield


@pytest.fixture(autouse=True, scope="module", name="backbones_are_small")
def backbones_are_whole() -> Iterator[None]:
    """For a file that imports it the MobileNets are those of Keras, as in other processes."""
    with whole_backbones():
        yield
