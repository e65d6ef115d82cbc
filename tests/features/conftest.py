"""These tests need TensorFlow, started before the modules that import it."""

from support.tensorflow_start import start_tensorflow

start_tensorflow()

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from support.extraction import SMALL, build_once  # noqa: E402

from violence_detection.features.config import ExtractConfig  # noqa: E402
from violence_detection.features.extraction.extract import extract_features  # noqa: E402
from violence_detection.features.extraction.extraction_result import ExtractionResult  # noqa: E402
from violence_detection.features.extractor import FeatureExtractor  # noqa: E402
from violence_detection.system.processes import ProcessPool  # noqa: E402


@pytest.fixture
def extract(tmp_path, dataset_dir, monkeypatch):
    """Extracts the twelve clips with a small random backbone; keywords are settings."""
    monkeypatch.setattr(FeatureExtractor, "build", build_once)

    def run(root: Path = dataset_dir, *, force: bool = False, **settings) -> ExtractionResult:
        flags = {"cache_dir": str(tmp_path / "cache"), **SMALL, **settings}
        return extract_features(root, ExtractConfig.from_flags(flags), force=force)

    return run


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the videos that were decoded."""
    names, call = [], ProcessPool.__call__

    def noting(self, read, path, *part, **limits):
        names.append(f"{path.parent.name}/{path.name}")
        return call(self, read, path, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", noting)
    return names
