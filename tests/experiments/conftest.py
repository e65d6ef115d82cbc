"""These tests need TensorFlow, started before the modules that import it."""

import pytest
from support.fold_processes import folds_in_this_process
from support.tensorflow_start import start_tensorflow

start_tensorflow()


@pytest.fixture(autouse=True, scope="module")
def train_folds_in_this_process():
    """Tests that need processes of their own start a command."""
    with folds_in_this_process():
        yield
