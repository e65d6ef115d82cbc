"""These tests need TensorFlow, started before the modules that import it."""

import pytest
from support.processes import InThisProcess
from support.tensorflow_start import start_tensorflow

start_tensorflow()


@pytest.fixture(autouse=True, scope="module")
def converted_in_this_process():
    """`test_conversion.py` and the first tests of `test_export.py` have processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("violence_detection.export.export.DedicatedProcess", InThisProcess)
        patch.setattr("violence_detection.export.conversion._MAX_TIMED_S", 0.1)
        yield
