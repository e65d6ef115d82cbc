"""Engines that run a backbone.

A part must define:
    ON_GPU: True if it can run on a GPU.
    SINGLE_IMAGES: True if it encodes every image by itself, so that batches need no fixed size.
    missing() -> str: The extra to install; empty if nothing is missing.
    preference(*, gpus: int) -> int: The preference for the engine on a machine with so many GPUs;
        `auto` takes the highest of those installed.
    gains(*, depthwise: bool, gpus: int) -> bool: True if reduced precision is faster.
    policy(precision: str) -> str: The dtype policy under which the backbone is built.
    build(*, backbone: keras.Model, precision: str, kept: Path | None) -> Callable: A function
        from images, uint8 (N, S, S, 3) RGB, to features, float32 (N, D).
"""
