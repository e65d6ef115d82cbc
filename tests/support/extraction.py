"""Extractions with a small backbone that is built once."""

import functools
from pathlib import Path

from violence_detection.features.extractor import FeatureExtractor

SMALL = {"backbone": "mobilenetv2", "weights": "random", "frame_size": 32, "frames": 4}


_BUILT_ONCE = functools.cache(FeatureExtractor.build)


def build_once(*, engine_dir, **settings) -> FeatureExtractor:
    return _BUILT_ONCE(**settings)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of the arrays and of the manifest."""
    files = [*folder.rglob("*.npy"), folder / "manifest.csv"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
