"""A feature cache with random features, as extraction writes a cache."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files

CLASSES = ("normal", "violent")
_VALIDATION = 64  # videos; the others are for training


def start(folder: Path, *, frames: int, dim: int) -> FeatureCache:
    """A cache with the settings of its features, and no features yet."""
    cache = FeatureCache(folder)
    space = FeatureSpace(
        backbone="efficientnetb0",
        layer="pool",
        stream="rgb",
        frames=frames,
        frame_size=224,
        resize="area",
        dim=dim,
        weights_digest="0" * 64,
        engine="tensorflow",
        precision="float32",
    )
    folder.mkdir(parents=True)
    files.write_json(
        cache.extraction_path,
        {
            "complete": True,
            "dataset": {"name": "drawn", "dir": "/drawn"},
            "grouping": "table",
            "classes": list(CLASSES),
            "fingerprint": space.fingerprint,
            "feature_space": space.as_dict(),
            "weights": {"source": "random", "digest": space.weights_digest, "seed": 0},
        },
    )
    return cache


def entry(number: int, *, label: int, split: str) -> ManifestEntry:
    """A row of the manifest, without an array; each recording has four videos."""
    key = f"{number:06d}.mp4"
    return ManifestEntry(
        path=key,
        label=CLASSES[label],
        group=str(number // 4),
        split=split,
        digest=hashlib.sha256(key.encode()).hexdigest(),
        array_digest="",
        duration_s=2.0,
    )


def fill(folder: Path, features: np.ndarray, labels: np.ndarray) -> FeatureCache:
    """A cache of features, float16 (N, T, D), and labels, (N,) of 0 and 1."""
    cache = start(folder, frames=features.shape[1], dim=features.shape[2])
    entries = []
    for number, (array, label) in enumerate(zip(features, labels, strict=True)):
        split = "validation" if number < _VALIDATION else "train"
        row = entry(number, label=label, split=split)
        (digest,) = cache.write_arrays(row.path, array[None])
        entries.append(dataclasses.replace(row, array_digest=digest))
    cache.write_manifest(entries)
    return cache
