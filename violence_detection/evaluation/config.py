"""Settings of `evaluate`, `compare` and `label`."""

from dataclasses import dataclass

from violence_detection import units
from violence_detection.datasets.split_words import split_of_word
from violence_detection.errors import ConfigError
from violence_detection.features.config import CheckConfig, ExtractConfig, resolve_weights
from violence_detection.inference.config import PredictConfig
from violence_detection.metrics import operating_points
from violence_detection.settings import CommandConfig, option, same_as


@dataclass(frozen=True)
class EvaluateConfig(CommandConfig):
    """Settings of `evaluate`."""

    split: str = option(
        "test",
        "Split to evaluate; `all` is for a dataset that the run was not trained on.",
        group="Data",
        choices=("train", "validation", "test", "all"),
        canonical=lambda word: split_of_word(word) or word,
    )
    features: str | None = option(
        None,
        "Folder of features; default: that of the run's training.",
        group="Data",
        path="DIRECTORY",
    )
    frames: bool = option(
        True,
        "Show frames of the worst mistakes in the report. The frames can show people.",
        group="Output",
    )
    blur_faces: bool = option(
        False,
        "Pixelate moving regions of these frames, and cover detected faces. A person who stands "
        "still and whose face is not detected stays recognisable; only --no-frames prevents that.",
        group="Output",
    )
    pictures: bool = option(
        True,
        "Read the videos, where they still exist, to find near-duplicates across splits, errors "
        "by brightness and resolution, and the baselines that use pixels. Each video is decoded "
        "once; its summary is kept.",
        group="Analysis",
    )
    bootstrap: int = option(
        2000,
        "Resamples of the recordings for each interval.",
        group="Analysis",
        low=100,
        high=100_000,
    )
    group_pattern: str | None = same_as(
        ExtractConfig,
        "group_pattern",
        "Regular expression on a video's path, whose first group (or match) names the recording; "
        "it replaces the recordings in the features.",
    )
    group_near_duplicates: bool = option(
        False, "Treat recordings with near-duplicate videos as one recording.", group="Analysis"
    )
    near_bits: float = same_as(CheckConfig, "near_bits")
    operating_point: str | None = option(
        None,
        "Choose the threshold again on the run's validation videos: balanced_accuracy, best_f1, "
        "recall=FRACTION, false_positive_rate=FRACTION, or false_alarms_per_hour=NUMBER with "
        "--normal-footage. A goal that the videos cannot support is refused. Default: the run's "
        "threshold.",
        group="Decision",
        canonical=operating_points.canonical,
    )
    set_threshold: bool = option(
        False,
        "Save the threshold of --operating-point in the run, for predict and all later commands.",
        group="Decision",
    )
    normal_footage: str | None = option(
        None,
        "Folder of long videos of normal footage; false alarms per camera-hour are measured on "
        "them, with the sliding windows of predict.",
        group="Data",
        path="DIRECTORY",
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "With --normal-footage: weights file of the backbone, if the path in the run does not "
        "exist here.",
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
        point = self.operating_point or ""
        if self.set_threshold and not point:
            raise ConfigError(
                "`set_threshold` must come with operating_point, whose threshold it saves. Received: "
                "set_threshold=True alone"
            )
        if point and self.split == "validation":
            raise ConfigError(
                "`operating_point` must not be chosen on the videos that are evaluated. Received: "
                "split=validation"
            )
        if point.startswith(operating_points.FALSE_ALARMS_PER_HOUR) and self.normal_footage is None:
            raise ConfigError(
                "`operating_point` false_alarms_per_hour must come with normal_footage, in which "
                f"the alarms are counted. Received: operating_point={point} alone"
            )
        if self.weights is not None and self.normal_footage is None:
            raise ConfigError(
                "`weights` must come with normal_footage: nothing else is encoded. Received: "
                f"weights={self.weights}"
            )


@dataclass(frozen=True)
class CompareConfig(CommandConfig):
    """Settings of `compare`."""

    split: str = same_as(EvaluateConfig, "split", "Split to compare the runs on.")
    features_a: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features for RUN_A; default: that of its training.",
    )
    features_b: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features for RUN_B; default: that of its training.",
    )
    bootstrap: int = same_as(EvaluateConfig, "bootstrap")
    pictures: bool = same_as(
        EvaluateConfig,
        "pictures",
        "Read the videos, where they still exist, to find near-duplicates across splits.",
    )


@dataclass(frozen=True)
class LabelConfig(CommandConfig):
    """Settings of `label`."""

    start_s: float | None = option(
        None, "Start of the labelled part, in seconds.", group="Data", low=0.0
    )
    end_s: float | None = option(None, "End of the labelled part.", group="Data", above=0.0)
    by: str | None = option(
        None, "Name of the person who labels; default: the login name.", group="Data"
    )
    group: str | None = option(
        None,
        "Recording that the video was cut from; default: that of the other parts of its file.",
        group="Data",
    )
    new_class: bool = option(False, "Allow a label that is not a class of the run.", group="Data")
    dataset_path: str | None = option(
        None, "Folder of the dataset; default: that of the run.", group="Data", path="DIRECTORY"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("by", "group"):
            value = getattr(self, name)
            if value is not None and (not value.strip() or not units.is_utf8(value)):
                raise ConfigError(f"`{name}` must be a name in UTF-8. Received: {name}={value!r}")
