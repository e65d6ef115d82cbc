"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.feature_config import (
    CheckConfig,
    ExtractConfig,
    FeatureConfig,
)
from violence_detection.predict_config import PredictConfig
from violence_detection.settings import Config, option, same_as
from violence_detection.train_config import TrainConfig

__all__ = [
    "CheckConfig",
    "CompareConfig",
    "DemoConfig",
    "EvaluateConfig",
    "ExtractConfig",
    "FeatureConfig",
    "PredictConfig",
    "TrainConfig",
]


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of `evaluate`."""

    split: str = option(
        "test", "Which part of the videos.", choices=("train", "validation", "test")
    )
    features: str | None = option(
        None,
        "Folder of features; default: the one that the run was trained on.",
        path=True,
    )
    bootstrap: int = option(
        2000, "Resamples of the recordings behind each interval.", low=100, high=100_000
    )


@dataclass(frozen=True)
class CompareConfig(Config):
    """Settings of `compare`."""

    split: str = same_as(EvaluateConfig, "split", "Which part of the videos.")
    features_a: str | None = option(
        None,
        "Folder of features for RUN_A; default: the one that it was trained on.",
        path=True,
    )
    features_b: str | None = option(None, "The same for RUN_B.", path=True)
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings behind each interval.",
    )


@dataclass(frozen=True)
class DemoConfig(Config):
    """Settings of `demo`."""

    output: str = option(
        "demo_output", "Folder for the clips, the features and the run.", path=True
    )
    clips: int = option(320, "Clips to draw, half of each kind.", low=40, high=5000)
    epochs: int = option(40, "Passes over the training clips, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clips % 2:
            raise ConfigError(f"`clips` must be even. Received: clips={self.clips}")
