"""Numbers from labels and scores; no files and no TensorFlow."""
