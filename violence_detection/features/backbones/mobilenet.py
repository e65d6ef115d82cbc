"""MobileNet (Howard et al., 2017), alpha 1.0: its input is scaled to [-1, 1]."""

import keras
from keras.applications import mobilenet

from violence_detection.features.backbones._applications import build_encoder

DIM = 1024
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = "mobilenet_1_0_{size}_tf_no_top.h5"
WEIGHTS_SIZES = (128, 160, 192, 224)  # of the files of Keras; other sizes use that of 224


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        mobilenet.MobileNet,
        mobilenet.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
