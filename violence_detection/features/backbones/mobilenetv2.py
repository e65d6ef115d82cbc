"""MobileNetV2 (Sandler et al., 2018), alpha 1.0: its input is scaled to [-1, 1]."""

import keras
from keras.applications import mobilenet_v2

from violence_detection.features.backbones._applications import build_encoder

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5"
WEIGHTS_SIZES = (96, 128, 160, 192, 224)  # of the files of Keras; other sizes use that of 224


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        mobilenet_v2.MobileNetV2,
        mobilenet_v2.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
