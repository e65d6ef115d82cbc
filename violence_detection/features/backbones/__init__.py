"""Networks that encode a frame. A part has DIM, FRAME_SIZE, LAYER, DEPTHWISE
(whether it has depthwise convolutions), WEIGHTS_FILE (the name of its ImageNet weights in the cache
of Keras; with WEIGHTS_SIZES it has one for each of several frame sizes) and `build`."""
