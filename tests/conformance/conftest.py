"""These tests need TensorFlow, started before the modules that import it."""

from support.tensorflow_start import start_tensorflow

start_tensorflow()

import pytest  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def backbones_are_small():
    """Not here: the backbones themselves are tested."""
