"""Short trainings on drawn features and videos."""

import csv
from pathlib import Path

import numpy as np

from violence_detection.features.config import ExtractConfig
from violence_detection.training.config import TrainConfig

CLASSES = ["normal", "violent"]


def train_quickly(
    features: Path, checkpoint_dir: Path, *, force=False, callbacks=(), **settings
) -> dict:
    """Trains the linear head for a few epochs; returns the JSON object of the command."""
    from violence_detection.training.train import train_classifier

    quick = {"head": "linear", "epochs": 3, "batch_size": 8, "checkpoint_epochs": 0}
    quick["calibrate_by"] = "validation"  # by default folds may be trained, too
    places = {"features": str(features), "checkpoint_dir": str(checkpoint_dir)}
    asked = {"run": "run", **quick, **places, **settings}
    config = TrainConfig.from_flags(asked)
    return train_classifier(config, force=force, callbacks=callbacks).to_json()


def train_on_videos(videos: Path, folder: Path, *, epochs: int = 1, **extraction) -> Path:
    """Extract small features of videos into a folder and train on them; the run."""
    from violence_detection.features.extraction.extract import extract_features

    small = {"frames": 4, "frame_size": 32, "batch_size": 8, "weights": "random"}
    asked = {"cache_dir": str(folder / "cache"), **small, **extraction}
    found = extract_features(videos, ExtractConfig(**asked))
    return Path(train_quickly(found.features, folder / "runs", epochs=epochs)["run"])


def history_columns(run: Path, *names: str) -> np.ndarray:
    """Columns of the history, float64 (epochs, columns)."""
    return np.array([[float(row[name]) for name in names] for row in read_history(run)])


def read_history(run: Path) -> list[dict[str, str]]:
    """Rows of the history without how long they took."""
    with open(run / "training_history.csv") as file:
        return [{**row, "videos_per_s": ""} for row in csv.DictReader(file)]
