"""The progress of a training: validation scores, callbacks, TensorBoard, and trackers."""
