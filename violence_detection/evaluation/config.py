"""Settings of `evaluate`, `compare` and `label`."""

from dataclasses import dataclass

from violence_detection import units
from violence_detection.datasets.splitting.split_words import SPLITS, split_of_word
from violence_detection.errors import ConfigError
from violence_detection.features import space_lookup
from violence_detection.features.config import CheckConfig, ExtractConfig, resolve_weights
from violence_detection.inference.config import PredictConfig, PredictorConfig
from violence_detection.metrics.thresholds import operating_points
from violence_detection.settings import CommandConfig, option, same_as
from violence_detection.training.training_settings import DecisionConfig

TRAFFIC = ("videos_per_day", "prevalence", "cameras", "hours_per_day", "review_cost")


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
        "Folder of features from extract-features, or the dataset of a single feature space: its "
        "folder or its name; default: that of the run's training.",
        group="Data",
        path="DIRECTORY",
        canonical=space_lookup.resolved,
    )
    show_frames: bool = option(
        True,
        "Show frames of the worst mistakes in the report. The frames can show people.",
        group="Output",
    )
    blur_faces: bool = option(
        False,
        "Pixelate moving regions of these frames, and cover detected faces. A person who stands "
        "still and whose face is not detected stays recognisable; only --no-show-frames prevents "
        "that.",
        group="Output",
    )
    read_videos: bool = option(
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
    camera_pattern: str | None = option(
        None,
        "Regular expression on a video's path, whose first group (or match) names the camera; it "
        "replaces the column camera of videos.csv.",
        group="Analysis",
    )
    time_pattern: str | None = option(
        None,
        "Regular expression on a video's path, whose first group (or match) has the digits of "
        "year, month and day, and may have those of hour, minute and second; it replaces the "
        "column recorded_at of videos.csv.",
        group="Analysis",
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
    class_threshold: str | None = same_as(
        DecisionConfig,
        "class_threshold",
        "With more than two classes: thresholds of single classes of violence, on their own "
        "probability; default: those of the run.",
    )
    set_threshold: bool = option(
        False,
        "Save the threshold of --operating-point, and those of --class-threshold, in the run, for "
        "predict and all later commands.",
        group="Decision",
    )
    normal_footage: str | None = option(
        None,
        "Folder of long videos of normal footage; false alarms per camera-hour are measured on "
        "them, with the sliding windows of predict.",
        group="Data",
        path="DIRECTORY",
    )
    frames_fps: float | None = same_as(
        ExtractConfig,
        "frames_fps",
        "With --normal-footage: frames per second of footage that is kept as numbered JPEG or PNG "
        "pictures.",
    )
    confirm: str = same_as(
        PredictConfig,
        "confirm",
        "With --normal-footage: count an alarm only if N of M successive windows reach the "
        "threshold, such as 2/3; at 1/1 a single window suffices.",
    )
    close_gaps_s: float = same_as(
        PredictConfig,
        "close_gaps_s",
        "With --normal-footage: count alarms whose gap in seconds is not longer than this as one.",
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "With --normal-footage: weights file of the backbone, if the path in the run does not "
        "exist here.",
    )

    videos_per_day: float | None = option(
        None,
        "Videos that a site gives to the detector a day; with --prevalence, the report has false "
        "alarms and misses a day.",
        group="Analysis",
        above=0.0,
    )
    prevalence: float | None = option(
        None,
        "Fraction of these videos that is violent, such as 0.001.",
        group="Analysis",
        low=0.0,
        high=1.0,
    )
    cameras: int | None = option(
        None,
        "Cameras that the detector watches; with --normal-footage, the report has false alarms a "
        "day.",
        group="Analysis",
        low=1,
    )
    hours_per_day: float = option(
        24.0, "Hours a day that each camera is watched.", group="Analysis", above=0.0, high=24.0
    )
    review_cost: float | None = option(
        None,
        "Cost of a person's look at an alarm, in any currency; the report has the cost a day and "
        "a year.",
        group="Analysis",
        low=0.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blur_faces and not self.show_frames:
            raise ConfigError(
                "`blur_faces` must come with show_frames. Received: show_frames=False"
            )
        resolve_weights(self)
        if self.group_near_duplicates and not self.read_videos:
            raise ConfigError(
                "`group_near_duplicates` must come with read_videos. Received: read_videos=False"
            )
        point = self.operating_point or ""
        if self.set_threshold and not point and self.class_threshold is None:
            raise ConfigError(
                "`set_threshold` must come with operating_point or class_threshold, which it "
                "saves. Received: set_threshold=True alone"
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
        self._check_traffic()
        for name, plain in (("confirm", "1/1"), ("close_gaps_s", 0.0), ("frames_fps", None)):
            if getattr(self, name) != plain and self.normal_footage is None:
                raise ConfigError(
                    f"`{name}` must come with normal_footage, in which alarms are counted. "
                    f"Received: {name}={getattr(self, name)} alone"
                )
        if self.weights is not None and self.normal_footage is None:
            raise ConfigError(
                "`weights` must come with normal_footage: nothing else is encoded. Received: "
                f"weights={self.weights}"
            )

    def _check_traffic(self) -> None:
        check_video_traffic(self.videos_per_day, self.prevalence)
        if self.cameras is not None and self.normal_footage is None:
            raise ConfigError(
                "`cameras` must come with normal_footage, on which false alarms an hour are "
                f"measured. Received: cameras={self.cameras} alone"
            )
        if self.cameras is not None and self.videos_per_day is not None:
            raise ConfigError(
                "`cameras` and `videos_per_day` must not be given together. Received: "
                f"cameras={self.cameras}, videos_per_day={self.videos_per_day:g}"
            )
        if "hours_per_day" in self.given and self.cameras is None:
            raise ConfigError(
                "`hours_per_day` must come with cameras. Received: "
                f"hours_per_day={self.hours_per_day:g} alone"
            )
        if self.review_cost is not None and (self.cameras or self.videos_per_day) is None:
            raise ConfigError(
                "`review_cost` must come with videos_per_day or cameras. Received: "
                f"review_cost={self.review_cost:g} alone"
            )


def check_video_traffic(videos_per_day: float | None, prevalence: float | None) -> None:
    """Raises ConfigError if one of them is given without the other."""
    if (videos_per_day is None) != (prevalence is None):
        raise ConfigError(
            "`videos_per_day` and `prevalence` must be given together. Received: "
            f"videos_per_day={videos_per_day}, prevalence={prevalence}"
        )


@dataclass(frozen=True)
class CompareConfig(CommandConfig):
    """Settings of `compare`."""

    split: str = same_as(EvaluateConfig, "split", "Split to compare the runs on.")
    features_a: str | None = same_as(
        EvaluateConfig,
        "features",
        "Features for RUN_A, as --features of evaluate; default: those of its training.",
    )
    features_b: str | None = same_as(
        EvaluateConfig,
        "features",
        "Features for RUN_B, as --features of evaluate; default: those of its training.",
    )
    bootstrap: int = same_as(EvaluateConfig, "bootstrap")
    read_videos: bool = same_as(
        EvaluateConfig,
        "read_videos",
        "Read the videos, where they still exist, to find near-duplicates across splits.",
    )
    videos_per_day: float | None = same_as(
        EvaluateConfig,
        "videos_per_day",
        "Videos that a site gives to the detector a day; with --prevalence, the difference of two "
        "runs in false alarms and misses a day is shown.",
    )
    prevalence: float | None = same_as(EvaluateConfig, "prevalence")
    review_cost: float | None = same_as(
        EvaluateConfig,
        "review_cost",
        "Cost of a person's look at an alarm, in any currency; the difference in cost is shown.",
    )
    report: str | None = option(
        None,
        "HTML page of a comparison of cross-validations, with the difference in each fold.",
        group="Output",
        path="FILE",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_video_traffic(self.videos_per_day, self.prevalence)
        if self.review_cost is not None and self.videos_per_day is None:
            raise ConfigError(
                "`review_cost` must come with videos_per_day. Received: "
                f"review_cost={self.review_cost:g} alone"
            )


@dataclass(frozen=True)
class EventsConfig(PredictorConfig):
    """Settings of `evaluate-events`: those of its predictor, and of the intervals."""

    split: str = option(
        "all",
        "Split of the videos: that of their rows in videos.csv.",
        group="Data",
        choices=("train", "validation", "test", "all"),
    )
    bootstrap: int = same_as(EvaluateConfig, "bootstrap")


@dataclass(frozen=True)
class LabelConfig(CommandConfig):
    """Settings of `label`."""

    table: str | None = option(
        None,
        "Table of the labels of many videos, in place of VIDEO and LABEL: columns `path` and "
        "`new_label`, where needed `start_s`, `end_s`, `group`, `split`. Rows without `new_label` "
        "are left out. label_next.csv has the columns.",
        group="Data",
        path="FILE",
    )
    start_s: float | None = option(
        None, "Start of the labelled part, in seconds.", group="Data", low=0.0
    )
    end_s: float | None = option(None, "End of the labelled part.", group="Data", above=0.0)
    reviewer: str | None = option(
        None, "Name of the person who labels; default: the login name.", group="Data"
    )
    group: str | None = option(
        None,
        "Recording that the video was cut from; default: that of the other parts of its file.",
        group="Data",
    )
    split: str | None = option(
        None,
        "Split that the video is given; default: that of the other parts of its file, or none.",
        group="Data",
        choices=SPLITS,
        canonical=lambda word: split_of_word(word) or word,
    )
    excerpt: bool = option(
        False,
        "Copy the part alone of a video from another folder, its packets as they are, in place of "
        "the whole file.",
        group="Data",
    )
    new_class: bool = option(False, "Allow a label that is not a class of the run.", group="Data")
    dataset_path: str | None = option(
        None, "Folder of the dataset; default: that of the run.", group="Data", path="DIRECTORY"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.table is not None and (self.start_s, self.end_s) != (None, None):
            raise ConfigError("--start-s and --end-s must be columns of --table. Received: both")
        for name in ("reviewer", "group"):
            value = getattr(self, name)
            if value is not None and (not value.strip() or not units.is_utf8(value)):
                raise ConfigError(f"`{name}` must be a name in UTF-8. Received: {name}={value!r}")
