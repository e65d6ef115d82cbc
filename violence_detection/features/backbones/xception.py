"""Xception (Chollet, 2016): its input is scaled to [-1, 1]."""

import keras
from keras.applications import xception

from violence_detection.features.backbones._applications import build_encoder

DIM = 2048
FRAME_SIZE = 299
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        xception.Xception,
        xception.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
