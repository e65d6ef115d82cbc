"""Settings of stage one: `extract-features`, its part of `train`, and `check`."""

from dataclasses import dataclass

from violence_detection import registry, units
from violence_detection.datasets.config import AnnotationConfig, SplitConfig
from violence_detection.errors import ConfigError
from violence_detection.settings import CommandConfig, Config, nested, option, same_as


@dataclass(frozen=True)
class ExtractConfig(CommandConfig):
    """Settings of `extract-features`; `train` takes most of them too."""

    split: SplitConfig = nested(SplitConfig)
    redraw_splits: bool = option(
        False, "Draw the split again instead of keeping splits.csv.", group="Split"
    )
    cache_dir: str = option(
        "feature_cache",
        "Folder of the feature cache.",
        group="Data",
        path="DIRECTORY",
        may_change_on_resume=True,
    )
    dataset_name: str | None = option(
        None,
        "Name of the dataset in the cache; default: the folder's name and a digest of its path.",
        group="Data",
    )
    backbone: str = option(
        "efficientnetb0",
        "Network that encodes a frame.",
        group="Feature extraction",
        registry="backbones",
    )
    weights: str = option(
        "imagenet",
        "Weights of the backbone: `imagenet` (downloaded once), `random` (drawn with --seed), or "
        "a weights file.",
        group="Feature extraction",
        metavar="imagenet|random|FILE",
        may_change_on_resume=True,
    )
    stream: str = option(
        "motion(focus=true)",
        "Input of the backbone; several streams are joined by +. With (focus=true) a stream is "
        "cropped to the region of motion.",
        group="Feature extraction",
        registry="streams",
    )
    clip_s: float | None = option(
        None,
        "Cut videos of twice this many seconds or more into clips of that length, each of the "
        "recording of its file; for hours of footage. Default: each video is one clip.",
        group="Data",
        low=0.5,
        high=60.0,
    )
    frames_fps: float | None = same_as(AnnotationConfig, "frames_fps")
    frames: int = option(
        20, "Frames sampled from a video (T).", group="Feature extraction", low=1, high=1024
    )
    segments: int = option(
        1,
        "Divide each video into this many equal parts, and sample --frames of each: for long "
        "videos of which only the whole is labelled, for example 32.",
        group="Feature extraction",
        low=1,
        high=1024,
    )
    frame_size: int | None = option(
        None,
        "Height and width in pixels of the backbone's input; default: the backbone's own.",
        group="Feature extraction",
        low=32,
        high=1024,
    )
    engine: str = option(
        "tensorflow",
        "Engine that runs the backbone; `auto` takes the fastest that is installed.",
        group="Feature extraction",
        registry="engines",
        words=("auto",),
    )
    workers: int | None = option(
        None,
        "Processes that decode videos; default: the number of cores.",
        group="Devices",
        low=1,
        high=256,
        may_change_on_resume=True,
    )
    video_timeout_s: float = option(
        600.0,
        "Seconds that the decoding of a video may take; a video that takes longer counts as "
        "unreadable.",
        group="Advanced",
        above=0.0,
        high=1e6,
    )
    max_failures: float = option(
        0.2,
        "Stop if more than this fraction of a class is unreadable; 1 never stops.",
        group="Advanced",
        low=0.0,
        high=1.0,
        may_change_on_resume=True,
    )
    retry_failed: bool = option(
        False,
        "Retry videos that were unreadable in an earlier extraction.",
        group="Advanced",
        may_change_on_resume=True,
    )
    group_pattern: str | None = option(
        None,
        "Regular expression on a video's path; its first group (or match) names the recording.",
        group="Data",
        metavar="REGEX",
    )
    batch_size: int = option(
        32, "Frames encoded at a time.", group="Feature extraction", low=1, high=4096
    )
    mixed_precision: bool = option(
        False,
        "Encode in float16 (GPU) or bfloat16 (a CPU that supports it).",
        group="Feature extraction",
    )
    views: int = option(
        0,
        "Additional views of each video, for augmentation: mirrored, slightly cropped, brighter "
        "or darker.",
        group="Feature extraction",
        low=0,
        high=99,
    )
    view_kinds: str | None = option(
        None,
        "Corruptions, separated by commas, in which these views show the video instead: view 1 in "
        "the first, and so on, over and over. For example `blur,downscale,noise`. Parts: "
        f"{', '.join(registry.available('corruptions'))}.",
        group="Feature extraction",
    )
    executor: str = option(
        "local",
        "Run on this machine, or on a Ray cluster whose nodes share the folders.",
        group="Advanced",
        choices=("local", "ray"),
    )
    address: str | None = option(
        None,
        "Address of the Ray cluster; default: start Ray on this machine.",
        group="Advanced",
    )
    machines: int | None = option(
        None,
        "Number of backbones that Ray runs; default: one on each machine of the cluster.",
        group="Advanced",
        low=1,
        high=10_000,
    )
    shard: str | None = option(
        None,
        "Extract part I of N of the videos (`I/N`); other processes extract the other parts into "
        "the same cache.",
        group="Advanced",
        metavar="I/N",
    )
    verify: bool = option(
        False, "Read every video and array again and compare their digests.", group="Advanced"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        if self.dataset_name is not None and not units.is_name(self.dataset_name):
            raise ConfigError(
                f"`dataset_name` must be the name of a folder. Received: {self.dataset_name!r}"
            )
        if self.view_kinds is not None:
            if not self.views:
                raise ConfigError("`view_kinds` must come with views. Received: views=0")
            kinds = [
                registry.check("corruptions", "downscale" if spec == "low" else spec)
                for spec in registry.split_list(self.view_kinds)
            ]
            self._set("view_kinds", ",".join(kinds))
        for name in ("address", "machines"):
            if self.executor != "ray" and getattr(self, name) is not None:
                raise ConfigError(
                    f"`{name}` must come with executor=ray. Received: executor={self.executor}"
                )


@dataclass(frozen=True)
class CheckConfig(CommandConfig):
    """Settings of `check`."""

    frames: int = same_as(
        ExtractConfig, "frames", "Frames that extraction will sample from a video (T)."
    )
    group_pattern: str | None = same_as(ExtractConfig, "group_pattern")
    frames_fps: float | None = same_as(ExtractConfig, "frames_fps")
    near_bits: float = option(
        4.0,
        "Two videos are near-duplicates if the perceptual hashes of their frames differ in at "
        "most this many of 64 bits on average.",
        group="Analysis",
        low=0.0,
        high=32.0,
    )
    normal_class: str | None = option(
        None, "Name of the normal class, as `train --normal-class` will be given it.", group="Data"
    )
    workers: int | None = same_as(
        ExtractConfig,
        "workers",
        "Videos checked at the same time; default: the number of cores.",
    )
    video_timeout_s: float = same_as(
        ExtractConfig, "video_timeout_s", "Seconds that the check of a video may take."
    )
    report: str | None = option(
        None,
        "HTML page of the dataset: frames of each class and recording, the files by class, "
        "near-duplicates, the split that would be drawn. The frames can show people.",
        group="Output",
        path="FILE",
    )
    blur_faces: bool = option(
        False,
        "With --report: pixelate moving regions of the frames, and cover detected faces. A person "
        "who stands still and whose face is not detected stays recognisable.",
        group="Output",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blur_faces and not self.report:
            raise ConfigError("`blur_faces` must come with report. Received: no report")


@dataclass(frozen=True)
class ConvertWeightsConfig(CommandConfig):
    """Settings of `convert-weights`."""

    output: str | None = option(
        None,
        "Weights file to write; default: <BACKBONE>.weights.h5 in the current folder.",
        group="Output",
        path="FILE",
    )


def resolve_weights(config: Config) -> None:
    """Makes a path in `weights` absolute, while the config is made.

    Raises:
        ConfigError: If `weights` is empty.
    """
    if config.weights == "":
        raise ConfigError("`weights` must be imagenet, random or a file. Received: nothing")
    if config.weights not in (None, "imagenet", "random"):
        object.__setattr__(config, "weights", units.absolute_path(config.weights))
