"""ResNet50 (He et al., 2015): BGR, the ImageNet mean is subtracted."""

import keras
from keras.applications import resnet

from violence_detection.features.backbones._applications import build_encoder

DIM = 2048
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = False
WEIGHTS_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        resnet.ResNet50,
        resnet.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
