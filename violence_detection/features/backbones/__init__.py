"""Backbones: networks that encode a frame; a part has constants and `build`.

DIM (D), FRAME_SIZE (its own S), LAYER (the output), DEPTHWISE (whether it has depthwise
convolutions), WEIGHTS_FILE (the name of its ImageNet weights in the cache of Keras), and, if Keras
has a file for each of several frame sizes, WEIGHTS_SIZES.
"""
