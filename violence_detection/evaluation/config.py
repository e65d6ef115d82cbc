"""Settings of `evaluate`, `compare`, `label`, `robustness`, `export` and `demo`."""

from dataclasses import dataclass

from violence_detection import units
from violence_detection.errors import ConfigError
from violence_detection.features.config import CheckConfig, FeatureConfig, resolve_weights
from violence_detection.metrics import operating_points
from violence_detection.settings import Config, option, same_as


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
        "Look at the videos, where they are still there, for near-duplicates on both sides, for "
        "errors by brightness and resolution, and for the baselines that see; it decodes each "
        "once, and keeps what it saw.",
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
    operating_point: str | None = option(
        None,
        "Choose the threshold anew on the run's validation videos: balanced_accuracy, best_f1, "
        "recall=SHARE, false_positive_rate=SHARE, or false_alarms_per_hour=NUMBER with "
        "--normal-footage; what they cannot support is refused. Default: the run's threshold.",
        canonical=operating_points.canonical,
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
        if self.blur_faces and not self.frames:
            raise ConfigError("`blur_faces` must come with frames. Received: frames=False")
        resolve_weights(self)
        if self.group_near_duplicates and not self.pictures:
            raise ConfigError(
                "`group_near_duplicates` must come with pictures. Received: pictures=False"
            )
        asked = self.operating_point or ""
        if self.set_threshold and not asked:
            raise ConfigError("`set_threshold` must come with operating_point. Received: none")
        if asked and self.split == "validation":
            raise ConfigError(
                "`operating_point` must not be chosen on the videos that are judged. Received: "
                "split=validation"
            )
        if asked.startswith(operating_points.FALSE_ALARMS_PER_HOUR) and self.normal_footage is None:
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
            if value is not None and (not value.strip() or not units.is_utf8(value)):
                raise ConfigError(f"`{name}` must be a name in UTF-8. Received: {name}={value!r}")
