"""InceptionV3 (Szegedy et al., 2015): its input is scaled to [-1, 1]."""

import keras
from keras.applications import inception_v3

from violence_detection.features.backbones._applications import build_encoder

DIM = 2048
FRAME_SIZE = 299
LAYER = "pool"
DEPTHWISE = False
WEIGHTS_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        inception_v3.InceptionV3,
        inception_v3.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
