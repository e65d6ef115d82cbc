"""EfficientNetB0 (Tan and Le, 2019). It rescales inside: [0, 255] goes in."""

import keras
from keras.applications import efficientnet

from violence_detection.backbones._applications import build_encoder

DIM = 1280
FRAME_SIZE = 224
LAYER = "pool"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        efficientnet.EfficientNetB0,
        None,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
