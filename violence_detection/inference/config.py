"""Settings of `predict`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.features.config import ExtractConfig, FeatureConfig, resolve_weights
from violence_detection.settings import Config, option, same_as


@dataclass(frozen=True)
class PredictConfig(Config):
    """How videos are looked at, what counts as violent, and what is written."""

    weights: str | None = option(
        None, "Weights file of the backbone, where the run's own path is not here."
    )
    engine: str | None = option(
        None,
        "What runs the backbone; default: the run's, else TensorFlow in float32. With another "
        "one than the run's answers differ a little.",
        shelf="engines",
        words=("auto",),
    )
    stride_s: float | None = option(
        None, "Seconds from one window to the next; default: half a window.", low=0.04
    )
    focus_s: float | None = option(
        None,
        "Seconds for which a focused stream looks at one place of a long video, so that windows "
        "share pictures; default: the place is found anew for each window.",
        low=0.1,
        high=30.0,
    )
    tta: bool = option(
        False,
        "Average over the video as it is, mirrored, and shifted; takes four times as long.",
    )
    threshold: float | None = option(
        None,
        "Probability from which on a video or a window is violent; default: the run's.",
        low=0.0,
        high=1.0,
    )
    lower_threshold: float | None = option(
        None,
        "Probability from which on windows beside a violent one belong to its segment; default: "
        "three quarters of the threshold.",
        low=0.0,
        high=1.0,
    )
    close_gaps_s: float = option(
        0.0, "Segments with no more than this between them are one.", low=0.0
    )
    min_duration_s: float = option(
        0.0, "Shorter segments are left out, after gaps are closed.", low=0.0
    )
    max_duration_s: float | None = option(
        None,
        "Seconds of each video that are looked at; default: all. A stream or camera needs it.",
        above=0.0,
    )
    csv: str | None = option(None, "File for a table with a row for each window.", path=True)
    subtitles: str | None = option(
        None,
        "Folder for subtitles of each video, as WebVTT and SRT, for players.",
        path=True,
    )
    timeline: str | None = option(
        None,
        "Picture of the probability over time: a .png file, or a folder for one of each video.",
        path=True,
    )
    annotate: str | None = option(
        None,
        "The video with probability, segments and attention drawn below it: an .mp4 file, or a "
        "folder for one of each video.",
        path=True,
    )
    batch_size: int = same_as(ExtractConfig, "batch_size", "Frames encoded at a time.")
    workers: int | None = same_as(
        FeatureConfig,
        "workers",
        "Videos decoded at the same time; default: the number of cores.",
    )
    video_timeout: float = same_as(
        FeatureConfig,
        "video_timeout",
        "Seconds that the next windows of a video may take to decode; then it counts as "
        "unreadable.",
    )
    open_timeout_s: float = option(
        10.0,
        "Seconds after which a stream that does not open, or is silent, is given up.",
        above=0.0,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        both = self.threshold is not None and self.lower_threshold is not None
        if both and self.lower_threshold > self.threshold:
            raise ConfigError(
                "`lower_threshold` must be <= `threshold`. Received: "
                f"{self.lower_threshold} > {self.threshold}"
            )
