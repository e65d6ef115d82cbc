"""These tests need TensorFlow, started before the modules that import it."""

from support.tensorflow_start import start_tensorflow

start_tensorflow()
