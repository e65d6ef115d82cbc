"""Settings of `predict`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.features.config import ExtractConfig, resolve_weights
from violence_detection.models import class_thresholds
from violence_detection.settings import CommandConfig, option, same_as

_MAX_CONFIRM = 100  # windows


def check_start_time(text: str) -> str:
    """`auto`, or a date and time in ISO 8601.

    Raises:
        ConfigError: If it is neither.
    """
    if text != "auto":
        try:
            has_time = len(text.strip()) > 10
            return datetime.fromisoformat(text.strip() if has_time else "").isoformat()
        except ValueError as error:
            raise ConfigError(
                "`start_time` must be `auto`, or a date and time such as 2024-05-31T22:15:00. "
                f"Received: {text}"
            ) from error
    return text


def parse_confirmation(text: str) -> tuple[int, int]:
    """n and m of `n/m`: n of the last m windows must reach the threshold.

    Raises:
        ConfigError: If it is not of that form, or n and m are not 1 <= n <= m <= 100.
    """
    windows, _, of = text.strip().partition("/")
    digits = windows.isascii() and windows.isdecimal() and of.isascii() and of.isdecimal()
    if not digits or not 1 <= int(windows[:4]) <= int(of[:4]) <= _MAX_CONFIRM:
        raise ConfigError(
            f"`confirm` must be two numbers such as 2/3, the first at most the second, the second "
            f"at most {_MAX_CONFIRM}. Received: {text}"
        )
    return int(windows), int(of)


def _canonical_confirmation(text: str) -> str:
    windows, of = parse_confirmation(text)
    return f"{windows}/{of}"


CAMERA_HOLD_MB = 64  # for the frames of a camera that windows share


@dataclass(frozen=True)
class PredictorConfig(CommandConfig):
    """Settings of a `Predictor`: how videos are read and decided on."""

    weights: str | None = option(
        None,
        "Weights file of the backbone, if the path in the run does not exist here.",
        group="Feature extraction",
        metavar="FILE",
    )
    engine: str | None = option(
        None,
        "Engine that runs the backbone; default: the run's, else TensorFlow in float32. The "
        "predictions of another engine differ slightly.",
        group="Feature extraction",
        registry="engines",
        words=("auto",),
    )
    stride_s: float | None = option(
        None,
        "Seconds from one window to the next; a window is as long as the run's training clips. "
        "Default: half a window.",
        group="Windows",
        low=0.04,
    )
    focus_s: float | None = option(
        None,
        "Reuse one motion crop for this many seconds (faster); default: a new crop for each "
        "window.",
        group="Windows",
        low=0.1,
        high=30.0,
    )
    tta: bool = option(
        False,
        "Average the predictions for the original, mirrored and shifted video; decodes once and "
        "encodes four times as much.",
        group="Windows",
    )
    threshold: float | None = option(
        None,
        "Lowest probability of a violent video or window; default: the run's threshold.",
        group="Decision",
        low=0.0,
        high=1.0,
    )
    class_threshold: str | None = option(
        None,
        "With more than two classes: thresholds of single classes of violence, on their own "
        "probability; default: those of the run.",
        group="Decision",
        canonical=class_thresholds.canonical,
        metavar="NAME=P,...",
    )
    lower_threshold: float | None = option(
        None,
        "Lowest probability of windows that extend a violent segment; default: three quarters of "
        "the threshold.",
        group="Decision",
        low=0.0,
        high=1.0,
    )
    confirm: str = option(
        "1/1",
        "Keep a segment only if N of M successive windows reach the threshold, such as 2/3; at "
        "1/1 a single window suffices.",
        group="Decision",
        canonical=_canonical_confirmation,
        metavar="N/M",
    )
    close_gaps_s: float = option(
        0.0,
        "Join segments whose gap in seconds is not longer than this.",
        group="Decision",
        low=0.0,
    )
    min_duration_s: float = option(
        0.0,
        "Leave out segments that are shorter in seconds, after gaps are closed.",
        group="Decision",
        low=0.0,
    )
    max_duration_s: float | None = option(
        None,
        "Seconds of each video to read; default: all. Required for a stream or a camera.",
        group="Windows",
        above=0.0,
    )
    frames_fps: float | None = same_as(ExtractConfig, "frames_fps")
    batch_size: int = same_as(ExtractConfig, "batch_size")
    workers: int | None = same_as(ExtractConfig, "workers")
    video_timeout_s: float = same_as(
        ExtractConfig,
        "video_timeout_s",
        "Seconds that the decoding of a video's next windows may take; a video that takes longer "
        "counts as unreadable.",
    )
    open_timeout_s: float = option(
        10.0,
        "Seconds after which a stream that does not open, or sends nothing, counts as unreadable.",
        group="Advanced",
        above=0.0,
        high=3600.0,
    )
    hold_mb: int = option(
        400,
        "Memory in megabytes for the frames of a video that windows share; larger frames are "
        f"reduced to it. `watch` and `evaluate --normal-footage` take {CAMERA_HOLD_MB}.",
        group="Advanced",
        low=8,
        high=4096,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        thresholds_given = self.threshold is not None and self.lower_threshold is not None
        if thresholds_given and self.lower_threshold > self.threshold:
            raise ConfigError(
                "`lower_threshold` must be <= `threshold`. Received: "
                f"{self.lower_threshold} > {self.threshold}"
            )


@dataclass(frozen=True)
class PredictConfig(PredictorConfig):
    """Settings of `predict`: those of its predictor, and of the files that it writes."""

    start_time: str | None = option(
        None,
        "Date and time at which the video starts, as in 2024-05-31T22:15:00, for the times of "
        "segments by the clock; `auto` takes it from each file's name, or from the creation time "
        "in the file; a stream or a camera starts when it is opened.",
        group="Output",
        canonical=check_start_time,
        metavar="auto|TIME",
    )
    csv: str | None = option(
        None, "File for a table with a row for each window.", group="Output", path="FILE"
    )
    label_next: str | None = option(
        None,
        "File for a table of up to 50 windows to label next: those nearest to the threshold, and "
        "those most unlike the training clips.",
        group="Output",
        path="FILE",
    )
    subtitles: str | None = option(
        None,
        "Folder for subtitles of each video, as WebVTT and SRT, for video players.",
        group="Output",
        path="DIRECTORY",
    )
    timeline: str | None = option(
        None,
        "Figure of the probability over time: a .png file, or a folder for several videos.",
        group="Output",
        path="PATH",
    )
    annotate: str | None = option(
        None,
        "Copy of the video with probability, segments and attention drawn below it: an .mp4 file, "
        "or a folder for several videos.",
        group="Output",
        path="PATH",
    )
    explain: str | None = option(
        None,
        "Figure of what the prediction rests on: score and novelty over time, frames and attention "
        "of the highest window, and the nearest training clips: a .png file, or a folder for "
        "several videos.",
        group="Output",
        path="PATH",
    )

    def predictor_settings(self) -> dict[str, Any]:
        """The settings of the predictor, by name."""
        names = [setting.name for setting in PredictorConfig.settings()]
        return {name: value for name, value in self.as_dict().items() if name in names}
