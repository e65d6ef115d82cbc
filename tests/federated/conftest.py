"""These tests need TensorFlow, started before the modules that import it."""

from support.tensorflow_start import start_tensorflow

start_tensorflow()

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from support.features import draw_features  # noqa: E402


@pytest.fixture(scope="session")
def site_dirs(tmp_path_factory) -> list[Path]:
    """Features of three sites; not to be written to."""
    folder = tmp_path_factory.mktemp("sites")
    counts = ((16, 8, 8), (24, 8, 4), (10, 6, 4))
    return [
        draw_features(folder / f"site{number}" / "space", counts=count, seed=number)
        for number, count in enumerate(counts, 1)
    ]
