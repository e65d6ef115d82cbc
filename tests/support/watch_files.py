"""Cameras files, and run folders that hold records without a model."""

import json
from dataclasses import asdict
from pathlib import Path

from violence_detection.features.feature_space import FeatureSpace

_SPACE = FeatureSpace(
    backbone="mobilenetv2",
    layer="pool",
    stream="rgb",
    frames=4,
    frame_size=32,
    resize="area",
    dim=8,
    weights_digest="0" * 64,
    engine="tensorflow",
    precision="float32",
)


def write_run_record(folder: Path, *, threshold: float = 0.62) -> Path:
    """The folder of a run that can be looked at, but not loaded."""
    folder.mkdir(parents=True)
    config = {
        "format_version": 1,
        "classes": ["normal", "violent"],
        "normal_class": "normal",
        "dataset": {"name": "drawn", "dir": "/nowhere"},
        "features": "/nowhere/space",
        "fingerprint": _SPACE.fingerprint,
        "feature_space": asdict(_SPACE),
        "weights": {"source": "random", "seed": 0},
        "window_s": 2.0,
    }
    (folder / "training_config.json").write_text(json.dumps(config))
    (folder / "training_results.json").write_text(json.dumps({"threshold": threshold}))
    (folder / "best_model.keras").touch()
    return folder


def write_cameras_file(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    """A cameras file with the keys that every file must have, and a text after them; `run` is a
    folder beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run").exists():
        write_run_record(folder / "run")
    path = folder / "cameras.yaml"
    path.write_text(f"version: 1\nrun: run\ndata: data\n{text}")
    path.chmod(mode)
    return path
