"""EfficientNetB0 (Tan and Le, 2019); its input is [0, 255], it rescales inside."""

import keras
from keras.applications import efficientnet

from violence_detection.features.backbones._applications import build_encoder

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = "efficientnetb0_notop.h5"

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    from_file = weights not in (None, "imagenet")
    return build_encoder(
        efficientnet.EfficientNetB0,
        _as_imagenet if from_file else None,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )


def _as_imagenet(frames: keras.KerasTensor) -> keras.KerasTensor:
    """Frames as a file of ImageNet weights expects them.

    If Keras loads "imagenet" itself, it adds a division by the root of the deviation after the
    normalisation. For weights from a file this does the same before the normalisation, around
    the mean.
    """
    mean = 255 * keras.ops.array(_MEAN)
    return (frames - mean) / keras.ops.sqrt(keras.ops.array(_DEVIATION)) + mean
