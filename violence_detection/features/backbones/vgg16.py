"""VGG16 (Simonyan and Zisserman, 2014), average-pooled: BGR, the ImageNet mean is subtracted."""

import keras
from keras.applications import vgg16

from violence_detection.features.backbones._applications import build_encoder

DIM = 512
FRAME_SIZE = 224
LAYER = "pool"
DEPTHWISE = False
WEIGHTS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build(*, frame_size: int, weights: str | None) -> keras.Model:
    return build_encoder(
        vgg16.VGG16,
        vgg16.preprocess_input,
        frame_size=frame_size,
        weights=weights,
        layer=LAYER,
    )
