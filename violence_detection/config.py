"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

from dataclasses import dataclass

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
    "ExportConfig",
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


@dataclass(frozen=True)
class ExportConfig(Config):
    """Settings of `export`."""

    format: str = option("saved_model", "What is written.", shelf="formats")
    scope: str = option(
        "end-to-end",
        "What is in it: everything from uint8 frames to a probability, or the classifier alone, "
        "on features.",
        choices=("end-to-end", "classifier"),
    )
    output: str | None = option(
        None, "Folder for exports; default: `export` in the run's.", path=True
    )
    precision: str = option(
        "float32",
        "Of the weights and, with int8, of what is computed; tflite alone has others than "
        "float32.",
        choices=("float32", "float16", "int8"),
    )
    prune: float = option(
        0.0,
        "Share of the weights of every layer, the smallest, that becomes 0.",
        low=0.0,
        high=0.95,
    )
    cluster: int | None = option(
        None, "Values that the weights of a layer may have.", low=2, high=256
    )
    height: int | None = option(
        None,
        "Of the frames that will be given; default: the validation videos' commonest, brought "
        "to a width of 640 at most.",
        low=16,
        high=4320,
    )
    width: int | None = option(None, "The same for the width.", low=16, high=7680)
    fps: float | None = option(
        None,
        "Frames per second that will be given, where a stream looks at more than the sampled "
        "ones; default: the validation videos' commonest.",
        above=0.0,
        high=240.0,
    )
    clips: int = option(
        200, "Validation videos to check the file on, at most.", low=1, high=100_000
    )
    videos: str | None = option(
        None,
        "Folder of the videos, where it is not where it was at extraction.",
        path=True,
    )
    features: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features; default: the one that the run was trained on.",
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "Weights file of the backbone, where the run's own path is not here.",
    )
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings behind the interval of what int8, --prune and --cluster "
        "cost.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        if (self.height is None) != (self.width is None):
            raise ConfigError(
                "`height` and `width` must be given together. Received: "
                f"height={self.height}, width={self.width}"
            )
        for name in ("height", "fps"):
            if self.scope == "classifier" and getattr(self, name) is not None:
                raise ConfigError(
                    f"`{name}` must come with scope=end-to-end: a classifier takes features. "
                    f"Received: scope={self.scope}"
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
