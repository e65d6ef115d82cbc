"""VGG19 up to its second dense layer, 4096 features, as in most violence-detection papers."""

import keras
from keras.applications import vgg19

from violence_detection.features.backbones._applications import build_encoder

DIM = 4096
FRAME_SIZE = 224
LAYER = "fc2"
DEPTHWISE = False
WEIGHTS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        vgg19.VGG19,
        vgg19.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
