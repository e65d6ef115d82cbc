"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

import re
from dataclasses import dataclass

from violence_detection import parts
from violence_detection.errors import ConfigError
from violence_detection.feature_config import (
    CheckConfig,
    ExtractConfig,
    FeatureConfig,
    resolve_weights,
)
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
    "RobustnessConfig",
    "TrainConfig",
]


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of `evaluate`."""

    split: str = option(
        "test",
        "Which part of the videos; `all` is for another dataset, which the run has not met.",
        choices=("train", "validation", "test", "all"),
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
class PredictConfig(Config):
    """Settings of `predict`."""

    weights: str | None = option(
        None, "Weights file of the backbone, where the run's own path is not here."
    )
    stride_s: float | None = option(
        None, "Seconds from one window to the next; default: half a window.", low=0.04
    )
    focus_s: float | None = option(
        None,
        "Seconds for which a focused stream looks at one place of a long video, so that windows "
        "share pictures; default: the place is found anew for each window.",
        low=0.1,
    )
    batch_size: int = same_as(ExtractConfig, "batch_size", "Frames encoded at a time.")

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)


_COMMAS = re.compile(r",(?![^()]*\))")  # but for those in brackets


@dataclass(frozen=True)
class RobustnessConfig(Config):
    """Settings of `robustness`."""

    split: str = same_as(EvaluateConfig, "split", "Which part of the videos.")
    conditions: str = option(
        "all",
        "What is done to the videos, with commas in between, for example "
        "`darken(gamma=3),drop_frames,darken+noise`; of those joined by +, each on what the one "
        f"before has left. Parts: {', '.join(parts.available('corruptions'))}.",
    )
    features: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features that names the videos; default: the one that the run was trained on.",
    )
    video_dir: str | None = option(
        None,
        "Folder of the videos; default: the one that the features were made of.",
        path=True,
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "Weights file of the backbone, where the run's own path is not here.",
    )
    batch_size: int = same_as(ExtractConfig, "batch_size", "Frames encoded at a time.")
    workers: int | None = same_as(
        ExtractConfig,
        "workers",
        "Videos altered at the same time; default: the number of cores.",
    )
    video_timeout: float = same_as(
        ExtractConfig,
        "video_timeout",
        "Seconds that it may take to alter and read a video once.",
    )
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings behind each interval.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        asked = self.listed
        twice = [spec for spec in asked if asked.count(spec) > 1]
        if twice:
            raise ConfigError(
                f"`conditions` must name each once. Received: {twice[0]} "
                f"{asked.count(twice[0])} times"
            )
        if self.conditions != "all":
            object.__setattr__(self, "conditions", ",".join(asked))

    @property
    def listed(self) -> list[str]:
        """The conditions, each a spec of corruptions.

        Raises:
            ConfigError: If one does not parse, or names what is not on the shelf.
        """
        if self.conditions == "all":
            return parts.available("corruptions")
        return [
            parts.check("corruptions", spec) for spec in _COMMAS.split(self.conditions)
        ]


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
