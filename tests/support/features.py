"""Feature caches written without a video."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files

SPACE = FeatureSpace(
    backbone="mobilenetv2",
    layer="pool",
    stream="rgb",
    frames=20,
    frame_size=224,
    resize="area",
    dim=1280,
    weights_digest="0" * 64,
    engine="tensorflow",
    precision="float32",
)


def draw_features(
    folder: Path,
    *,
    counts=(16, 8, 8),
    labels=("normal", "violent"),
    shape=(6, 8),
    shift=1.0,
    seed=0,
    **settings,
) -> Path:
    """A small feature cache, written without a video: random clips, class k shifted by k.

    Args:
        counts: Videos in train, validation and test; two of a recording in a row.
        settings: Of extraction.json, over what is there.
    """
    cache, rng, entries = FeatureCache(folder), np.random.default_rng(seed), []
    for split, count in zip(SPLITS, counts, strict=True):
        for number in range(count):
            kind = number % len(labels)
            key = f"{labels[kind]}/{split}_{number}.mp4"
            features = rng.normal(shift * kind, 1, shape).astype(np.float16)
            entry = ManifestEntry(
                path=key,
                label=labels[kind],
                group=f"{labels[kind]} {split} {number // (2 * len(labels))}",
                split=split,
                digest=hashlib.sha256(features.tobytes()).hexdigest(),
                array_digest=cache.write_arrays(key, features[None])[0],
                duration_s=2.0,
            )
            entries.append(entry)
    cache.write_manifest(entries)
    files.write_json(cache.extraction_path, _extraction(shape, labels) | settings)
    return cache.dir


def _extraction(shape, labels) -> dict:
    space = replace(SPACE, frames=shape[0], frame_size=32, dim=shape[1])
    return {
        "complete": True,
        "dataset": {"name": "drawn", "dir": "/drawn"},
        "grouping": "table",
        "classes": list(labels),
        "fingerprint": space.fingerprint,
        "feature_space": space.as_dict(),
        "weights": {"source": "random", "digest": space.weights_digest, "seed": 42},
    }
