"""Settings of stage one, and of all that calls it."""

from dataclasses import dataclass
from pathlib import Path

from violence_detection import units
from violence_detection.datasets.config import SplitConfig
from violence_detection.errors import ConfigError
from violence_detection.settings import Config, option, same_as


@dataclass(frozen=True)
class FeatureConfig(SplitConfig):
    """What stage one and everything that calls it share."""

    cache_dir: str = option("feature_cache", "Where features are kept.", path=True)
    dataset_name: str | None = option(
        None,
        "Name of the dataset in the cache; default: the folder's name and a digest of its path.",
    )
    backbone: str = option("efficientnetb0", "Network that encodes a frame.", shelf="backbones")
    weights: str = option(
        "imagenet",
        "`imagenet` (downloaded once), `random` (drawn from --seed), or a weights file.",
    )
    stream: str = option(
        "motion(focus=true)",
        "What the backbone sees of a clip; several are joined by +, with (focus=true) each is cut "
        "to where the motion is.",
        shelf="streams",
    )
    frames: int = option(20, "Frames sampled from a video (T).", low=1, high=1024)
    frame_size: int | None = option(
        None,
        "Side in pixels of what the backbone sees; default: the backbone's own.",
        low=32,
        high=1024,
    )
    engine: str = option(
        "tensorflow",
        "What runs the backbone; `auto` takes the fastest that is here.",
        shelf="engines",
        words=("auto",),
    )
    workers: int | None = option(
        None,
        "Videos decoded at the same time; default: the number of cores.",
        low=1,
        high=256,
    )
    video_timeout: float = option(
        600.0,
        "Seconds that the decoding of a video may take; one that takes longer counts as "
        "unreadable.",
        above=0.0,
        high=1e6,
    )
    max_failures: float = option(
        0.2,
        "Stop when more than this share of a class cannot be read; 1 never stops.",
        low=0.0,
        high=1.0,
    )
    retry_failed: bool = option(False, "Try videos again that could not be read before.")
    group_pattern: str | None = option(
        None,
        "Regular expression on a video's path; its first group (or match) names the recording.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        if self.dataset_name is not None and not units.is_name(self.dataset_name):
            raise ConfigError(
                f"`dataset_name` must be the name of a folder. Received: {self.dataset_name!r}"
            )


@dataclass(frozen=True)
class ExtractConfig(FeatureConfig):
    """Settings of `extract-features`."""

    batch_size: int = option(32, "Frames encoded at a time.", low=1, high=4096)
    mixed_precision: bool = option(
        False, "Encode in float16 (GPU) or bfloat16 (a CPU that has it)."
    )
    views: int = option(
        0,
        "Further views to keep of each video, for augmentation: mirrored, slightly cropped, "
        "brighter or darker.",
        low=0,
        high=99,
    )
    executor: str = option(
        "local",
        "Where the work is done: on this machine, or on a Ray cluster that shares the folders.",
        choices=("local", "ray"),
    )
    address: str | None = option(
        None, "Of the Ray cluster; default: one is started on this machine."
    )
    machines: int | None = option(
        None,
        "How often Ray runs the backbone; default: once on each machine of the cluster.",
        low=1,
        high=10_000,
    )
    shard: str | None = option(
        None,
        "Do part I of N of the videos (`I/N`), beside others that do the rest, on one cache.",
    )
    verify: bool = option(False, "Read every video and array again and compare digests.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("address", "machines"):
            if self.executor != "ray" and getattr(self, name) is not None:
                raise ConfigError(
                    f"`{name}` must come with executor=ray. Received: executor={self.executor}"
                )


@dataclass(frozen=True)
class CheckConfig(Config):
    """Settings of `check`."""

    frames: int = same_as(
        FeatureConfig, "frames", "Frames that extraction will sample from a video (T)."
    )
    group_pattern: str | None = same_as(
        FeatureConfig,
        "group_pattern",
        "Regular expression on a video's path; its first group (or match) names the recording.",
    )
    near_bits: float = option(
        4.0,
        "Videos look alike whose frames' hashes differ by this many of 64 bits on average.",
        low=0.0,
        high=32.0,
    )
    workers: int | None = same_as(
        FeatureConfig,
        "workers",
        "Videos looked at at the same time; default: the number of cores.",
    )
    video_timeout: float = same_as(
        FeatureConfig,
        "video_timeout",
        "Seconds that looking at a video may take.",
    )


def resolve_weights(config: Config) -> None:
    """Make a path in `weights` absolute."""
    if config.weights == "":
        raise ConfigError("`weights` must be imagenet, random or a file. Received: nothing")
    if config.weights not in (None, "imagenet", "random"):
        object.__setattr__(config, "weights", str(Path(config.weights).absolute()))
