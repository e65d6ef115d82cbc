"""FLOPs of a Keras network for one image."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def count_flops(network: "keras.Model") -> int:
    """FLOPs of one image in convolutions and dense layers; a multiply-add is two.

    Cheap operations are left out: biases, activations, normalisation and pooling.

    Args:
        network: Built for one image size, with each of its layers used once.
    """
    return sum(2 * _multiply_adds(layer) for layer in _layers(network))


def _layers(network: "keras.Model") -> Iterator["keras.Layer"]:
    for layer in network.layers:
        # A model inside a model has `layers` of its own.
        yield from _layers(layer) if hasattr(layer, "layers") else (layer,)


def _multiply_adds(layer: "keras.Layer") -> int:
    from keras import layers

    # (h, w, C, multiplier): each number is used once for each position of the output. In the
    # kernel of a convolution, (h, w, C_in, C_out), C_in is already divided by the groups.
    if isinstance(layer, layers.SeparableConv2D):
        kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
    elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        kernels = [layer.kernel]
    else:
        return 0
    positions = math.prod(layer.output.shape[1:-1])  # all but batch and channels
    return positions * sum(math.prod(kernel.shape) for kernel in kernels)
