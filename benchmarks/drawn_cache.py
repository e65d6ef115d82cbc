"""A feature cache of drawn clips, as extraction leaves one."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from violence_detection import files
from violence_detection.cache import Entry, FeatureCache, FeatureSpace

VALIDATION = 64  # videos; the others are for training


def fill(folder: Path, features: np.ndarray, labels: np.ndarray) -> Path:
    """Write a cache of features, float16 (N, T, D), and labels, (N,) of 0 and 1."""
    cache, entries = FeatureCache(folder), []
    for number, (array, label) in enumerate(zip(features, labels, strict=True)):
        key = f"{number:06d}.mp4"
        entries.append(
            Entry(
                path=key,
                label=("no", "yes")[label],
                group=str(number // 4),
                split="validation" if number < VALIDATION else "train",
                digest=hashlib.sha256(key.encode()).hexdigest(),
                array_digest=cache.write_arrays(key, array[None])[0],
                duration_s=2.0,
            )
        )
    cache.write_manifest(entries)
    frames, dim = features.shape[1:]
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
    files.write_json(
        cache.extraction_path,
        {
            "complete": True,
            "dataset": {"name": "drawn", "dir": "/drawn"},
            "grouping": "table",
            "classes": ["no", "yes"],
            "fingerprint": space.fingerprint,
            "feature_space": dataclasses.asdict(space),
            "weights": {"source": "random", "digest": space.weights_digest, "seed": 0},
        },
    )
    return folder


def entries(cache: FeatureCache) -> list[Entry]:
    from violence_detection import dataset

    return dataset.usable_entries(cache)
