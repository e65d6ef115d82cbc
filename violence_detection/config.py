"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

from dataclasses import dataclass

from violence_detection import points
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
    group_pattern: str | None = same_as(
        FeatureConfig,
        "group_pattern",
        "Regular expression on a video's path, whose first group (or match) names the recording, "
        "in place of what the features say.",
    )
    group_near_duplicates: bool = option(
        False,
        "Take recordings of which videos look alike for one.",
    )
    near_bits: float = same_as(
        CheckConfig,
        "near_bits",
        "Videos look alike whose frames' hashes differ by this many of 64 bits on average.",
    )
    pictures: bool = option(
        True,
        "Look at the videos, where they are still there, for near-duplicates on both sides; it "
        "decodes each once.",
    )
    operating_point: str | None = option(
        None,
        "Choose the threshold anew on the run's validation videos: balanced_accuracy, best_f1, "
        "recall=SHARE, false_positive_rate=SHARE, or false_alarms_per_hour=NUMBER with "
        "--normal-footage; what they cannot support is refused. Default: the run's threshold.",
        canonical=points.canonical,
    )
    set_threshold: bool = option(
        False,
        "Keep the threshold of --operating-point in the run: predict and all that comes after "
        "take it.",
    )
    normal_footage: str | None = option(
        None,
        "Folder of long videos in which nothing happens; alarms per hour are counted in them, "
        "with the sliding window of predict.",
        path=True,
    )
    weights: str | None = option(
        None,
        "With --normal-footage: weights file of the backbone, where the run's own path is not "
        "here.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        if self.group_near_duplicates and not self.pictures:
            raise ConfigError(
                "`group_near_duplicates` must come with pictures. Received: pictures=False"
            )
        asked = self.operating_point or ""
        if self.set_threshold and not asked:
            raise ConfigError(
                "`set_threshold` must come with operating_point. Received: none"
            )
        if asked and self.split == "validation":
            raise ConfigError(
                "`operating_point` must not be chosen on the videos that are judged. Received: "
                "split=validation"
            )
        if asked.startswith(points.PER_HOUR) and self.normal_footage is None:
            raise ConfigError(
                f"`operating_point` {asked} must come with normal_footage. Received: none"
            )
        if self.weights is not None and self.normal_footage is None:
            raise ConfigError(
                "`weights` must come with normal_footage: nothing else is encoded. Received: "
                f"weights={self.weights}"
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
    pictures: bool = same_as(
        EvaluateConfig,
        "pictures",
        "Look at the videos, where they are still there, for near-duplicates on both sides.",
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
