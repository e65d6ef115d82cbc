"""The backbones in plain PyTorch, as a comparison for the speed of encoding.

A peer works as an engine does: from images, uint8 (N, S, S, 3) RGB, to features, float32 (N, D),
with its preprocessing inside. Layers are those of keras.applications, one for one; only a
convolution with stride pads on both sides, as is usual in PyTorch, which moves its grid by a pixel
and costs the same. The weights are random: they do not change the speed.

Must not be imported in a process with TensorFlow: both load an LLVM, and the second one ends the
process.
"""

import functools
import shutil
from collections.abc import Callable

import machine
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_BGR_MEAN = (103.939, 116.779, 123.68)


class Peer(nn.Module):
    """A network with preprocessing before it and average pooling after it."""

    def __init__(self, layers: nn.Module, preprocess: Callable) -> None:
        super().__init__()
        self.layers = layers
        self._preprocess = preprocess

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        dtype = next(self.layers.parameters()).dtype
        # Viewed as (N, 3, S, S) the images are in the channels_last layout already.
        images = self._preprocess(images.permute(0, 3, 1, 2).to(dtype))
        return self.layers(images).mean((2, 3)).float()


def build(backbone: str) -> Peer:
    """The peer of a backbone, in float32."""
    preprocess = _scaled if backbone.startswith("mobilenet") else _bgr_without_mean
    peer = Peer(_LAYERS[backbone](), preprocess).eval().requires_grad_(False)
    return peer.to(memory_format=torch.channels_last)


def encoder(backbone: str, *, precision: str, mode: str) -> Callable:
    """A function from images to features, as that of an engine.

    Args:
        backbone: One of `available`.
        precision: "float32" or "bfloat16".
        mode: One of `modes`.
    """
    network = build(backbone).to(getattr(torch, precision))
    if mode != "eager":
        # Freezing packs the weights for the CPU and folds batch normalisation in.
        network = torch.compile(network, options={"freezing": mode == "frozen"})

    def encode(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return encode


def available() -> list[str]:
    """Backbones that have a peer."""
    return sorted(_LAYERS)


def modes() -> list[str]:
    """Modes of a peer: eager; with a C++ compiler also torch.compile, without and with frozen
    weights."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    return ["eager"] + (["compiled", "frozen"] if compiler else [])


def size_of(backbone: str, *, frame_size: int) -> dict[str, int]:
    """Numbers that must equal those of the Keras network: weights and statistics, FLOPs of an image
    (convolutions; a multiply-add is two), and features."""
    peer = build(backbone)
    numbers = {
        name: tensor.numel()
        for name, tensor in peer.layers.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    image = torch.zeros((1, frame_size, frame_size, 3), dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        features = peer(image)
    return {
        "params": sum(numbers.values()),
        "flops": counter.get_total_flops(),
        "dim": features.shape[1],
    }


@functools.cache
def _warm_encoder(backbone: str, precision: str, mode: str, shape: tuple) -> Callable:
    encode = encoder(backbone, precision=precision, mode=mode)
    encode(np.zeros(shape, np.uint8))  # the first call compiles
    return encode


def images_per_s(
    backbone: str, *, precision: str, mode: str, images: np.ndarray, seconds: float
) -> float:
    """Images encoded a second, over as many batches as fill `seconds`."""
    encode = _warm_encoder(backbone, precision, mode, images.shape)
    batches_per_s = machine.calls_per_s(lambda: encode(images), seconds=seconds)
    return len(images) * batches_per_s


def matrix_flops_per_s(precision: str) -> float:
    """FLOP/s of PyTorch's matrix product, in "float32" or "bfloat16"."""
    matrix = torch.from_numpy(machine.random_matrix()).to(getattr(torch, precision))
    return machine.matrix_flops_per_s(lambda: matrix @ matrix)


def _scaled(images: torch.Tensor) -> torch.Tensor:
    return images / 127.5 - 1


def _bgr_without_mean(images: torch.Tensor) -> torch.Tensor:
    return images.flip(1) - images.new_tensor(_BGR_MEAN)[:, None, None]


def _vgg(convolutions: tuple[int, ...]) -> nn.Sequential:
    """VGG with these numbers of convolutions in its five blocks."""
    layers: list[nn.Module] = []
    channels = 3
    for count, width in zip(convolutions, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _convolution(
    channels: int, width: int, size: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without bias and its batch normalisation, as in the MobileNets."""
    pad = size // 2
    return [
        nn.Conv2d(channels, width, size, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(width, eps=1e-3),
    ]


def _mobilenet() -> nn.Sequential:
    layers = [*_convolution(3, 32, 3, stride=2), nn.ReLU6(True)]
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    blocks += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    channels = 32
    for width, stride in blocks:
        layers += _convolution(channels, channels, 3, stride=stride, groups=channels)
        layers += [nn.ReLU6(True), *_convolution(channels, width, 1), nn.ReLU6(True)]
        channels = width
    return nn.Sequential(*layers)


class _InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, convolve each channel, narrow."""

    def __init__(self, channels: int, width: int, *, stride: int, widen: int) -> None:
        super().__init__()
        wide = channels * widen
        layers: list[nn.Module] = []
        if widen > 1:
            layers += [*_convolution(channels, wide, 1), nn.ReLU6(True)]
        layers += _convolution(wide, wide, 3, stride=stride, groups=wide)
        layers += [nn.ReLU6(True), *_convolution(wide, width, 1)]
        self.layers = nn.Sequential(*layers)
        self._adds = stride == 1 and channels == width

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.layers(inputs)
        return inputs + outputs if self._adds else outputs


def _mobilenetv2() -> nn.Sequential:
    layers = [*_convolution(3, 32, 3, stride=2), nn.ReLU6(True)]
    layers.append(_InvertedResidual(32, 16, stride=1, widen=1))
    channels = 16
    stages = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
    for width, count, stride in stages:
        for number in range(count):
            step = stride if number == 0 else 1
            layers.append(_InvertedResidual(channels, width, stride=step, widen=6))
            channels = width
    return nn.Sequential(*layers, *_convolution(320, 1280, 1), nn.ReLU6(True))


def _normalised(channels: int, width: int, size: int, stride: int) -> list[nn.Module]:
    """A convolution with bias and its batch normalisation, as in Keras' ResNet50."""
    return [
        nn.Conv2d(channels, width, size, stride, size // 2),
        nn.BatchNorm2d(width, eps=1.001e-5),
    ]


class _Bottleneck(nn.Module):
    """ResNet's block; the stride is in the first convolution, as in He et al."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_normalised(channels, width, 1, stride),
            nn.ReLU(True),
            *_normalised(width, width, 3, 1),
            nn.ReLU(True),
            *_normalised(width, 4 * width, 1, 1),
        )
        self.shortcut = nn.Sequential()
        if channels != 4 * width:
            self.shortcut = nn.Sequential(*_normalised(channels, 4 * width, 1, stride))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(inputs) + self.layers(inputs))


def _resnet50() -> nn.Sequential:
    layers = [*_normalised(3, 64, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(count):
            stride = 2 if number == 0 and width > 64 else 1
            layers.append(_Bottleneck(channels, width, stride))
            channels = 4 * width
    return nn.Sequential(*layers)


_LAYERS = {
    "vgg16": lambda: _vgg((2, 2, 3, 3, 3)),
    "vgg19": lambda: _vgg((2, 2, 4, 4, 4)),
    "mobilenet": _mobilenet,
    "mobilenetv2": _mobilenetv2,
    "resnet50": _resnet50,
}
