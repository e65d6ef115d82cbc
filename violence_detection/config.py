"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

from dataclasses import dataclass

from violence_detection import files
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
    "LabelConfig",
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
    frames: bool = option(
        True, "Show frames of the worst mistakes in the report: pictures of people."
    )
    blur_faces: bool = option(
        False,
        "Show what moves in them in coarse blocks, and cover the faces that are found. Somebody "
        "who stands still, and whose face is not found, can be recognised: --no-frames is sure.",
    )
    pictures: bool = option(
        True,
        "Look at the videos, where they are still there, for errors by brightness and resolution "
        "and for the baselines that see; it decodes each once, and keeps what it saw.",
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
class LabelConfig(Config):
    """Settings of `label`."""

    start_s: float | None = option(
        None, "Where the part begins that was judged, in seconds.", low=0.0
    )
    end_s: float | None = option(None, "Where it ends.", above=0.0)
    by: str | None = option(None, "Who judged; default: the login name.")
    group: str | None = option(
        None,
        "Recording that the video was cut from; default: that of the other parts of its file.",
    )
    new_class: bool = option(False, "Allow a label that the run does not know.")
    dataset_path: str | None = option(
        None, "Folder of the dataset; default: where the run says.", path=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("by", "group"):
            value = getattr(self, name)
            if value is not None and (not value.strip() or not files.is_utf8(value)):
                raise ConfigError(
                    f"`{name}` must be a name in UTF-8. Received: {name}={value!r}"
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
