"""These tests need TensorFlow, started before the modules that import it."""

import pytest
from support.tensorflow_start import start_tensorflow

start_tensorflow()


@pytest.fixture(autouse=True, scope="module")
def backbones_are_small():
    """In place of the fixture of all tests: files are converted in processes of their own, which
    build the MobileNets of Keras."""
