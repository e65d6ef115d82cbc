"""Every setting once: its default, range and help. Flags, checks and JSON come from here, and from
the settings of both stages, which have files of their own."""

import re
from dataclasses import dataclass

from violence_detection import files, parts, points
from violence_detection.errors import ConfigError
from violence_detection.feature_config import (
    CheckConfig,
    ExtractConfig,
    FeatureConfig,
    resolve_weights,
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
    "LabelConfig",
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
