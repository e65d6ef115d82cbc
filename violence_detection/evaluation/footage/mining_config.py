"""Settings of `mine`."""

from dataclasses import dataclass

from violence_detection.evaluation.config import EvaluateConfig, LabelConfig
from violence_detection.features.config import ExtractConfig
from violence_detection.inference.config import PredictorConfig
from violence_detection.settings import CommandConfig, option, same_as


@dataclass(frozen=True)
class MineConfig(CommandConfig):
    """Settings of `mine`."""

    predictions: str | None = option(
        None,
        "Table of `predict --csv`, whose windows are taken in place of predicting VIDEOs.",
        group="Data",
        path="FILE",
    )
    group_pattern: str | None = same_as(
        ExtractConfig,
        "group_pattern",
        "Regular expression on a video's path; its first group (or match) names the recording, "
        "such as the camera; default: each video is a recording of its own.",
    )
    frames_fps: float | None = same_as(ExtractConfig, "frames_fps")
    dataset_path: str | None = same_as(LabelConfig, "dataset_path")
    weights: str | None = same_as(PredictorConfig, "weights")
    threshold: float | None = same_as(
        PredictorConfig,
        "threshold",
        "Lowest probability of a window that is listed; default: the run's threshold.",
    )
    count: int = option(20, "Windows to list, at most.", group="Decision", low=1, high=500)
    per_recording: int = option(
        5,
        "Windows of a recording, at most: others like them teach little.",
        group="Decision",
        low=1,
    )
    apart_s: float = option(
        30.0,
        "Least seconds between two windows of a video: nearer ones show the same.",
        group="Decision",
        low=0.0,
    )
    show_frames: bool = same_as(
        EvaluateConfig,
        "show_frames",
        "Show frames of each window on the page. The frames can show people.",
    )
    blur_faces: bool = same_as(EvaluateConfig, "blur_faces")
    output: str | None = option(
        None,
        "Folder of the table and the page; default: `mined` in the run.",
        group="Output",
        path="DIRECTORY",
    )
