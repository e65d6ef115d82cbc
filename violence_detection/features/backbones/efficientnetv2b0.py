"""EfficientNetV2B0 (Tan and Le, 2021); its input is [0, 255], it rescales inside."""

import keras
from keras.applications import efficientnet_v2

from violence_detection.features.backbones._applications import build_encoder

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = True
WEIGHTS_FILE = "efficientnetv2-b0_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        efficientnet_v2.EfficientNetV2B0,
        None,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
