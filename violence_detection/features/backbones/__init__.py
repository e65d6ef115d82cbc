"""Backbones: networks that encode a frame.

A part must define:
    DIM: Number of features of a frame (D), an int.
    FRAME_SIZE: Side of the images that it was trained on, in pixels (S), an int.
    LAYER: Name of the layer whose output is taken, a str.
    DEPTHWISE: True if it has depthwise convolutions.
    WEIGHTS_FILE: Name of its ImageNet weights in the cache of Keras, a str; empty if Keras has
        none.
    WEIGHTS_SIZES: Only if Keras has a file for each of several frame sizes: these sizes, a tuple
        of ints; WEIGHTS_FILE then holds `{size}`.
    build(*, frame_size: int, weights: str | None) -> keras.Model: The network from RGB images,
        float32 (B, S, S, 3) in [0, 255], to features (B, D), preprocessing included.
    PACKAGE: Only without WEIGHTS_FILE: the WeightsPackage that holds its weights.
    from_package(path: Path) -> keras.Model: Only without WEIGHTS_FILE: the network that a weights
        file is saved from, with the weights in the archive of that package.
"""
