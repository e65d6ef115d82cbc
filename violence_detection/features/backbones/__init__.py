"""Networks that encode a frame. A part has DIM, FRAME_SIZE, LAYER, DEPTHWISE
(whether it has depthwise convolutions) and `build`."""
