"""DenseNet121 (Huang et al., 2016): normalised by the ImageNet mean and deviation."""

import keras
from keras.applications import densenet

from violence_detection.features.backbones._applications import build_encoder

DIM = 1024
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = False
WEIGHTS_FILE = "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        densenet.DenseNet121,
        densenet.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
