"""Networks that encode a frame. A part has DIM, FRAME_SIZE, LAYER and `build`."""
