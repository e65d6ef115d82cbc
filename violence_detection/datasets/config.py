"""Settings of splits, folds and annotations."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.settings import CommandConfig, Config, option

# What a fold of a cross-validation holds out: recordings at random, the future, whole cameras, or
# one recording at a time.
BY_RECORDING, BY_TIME, BY_CAMERA = "recording", "time", "camera"
ONE_RECORDING = "one_recording"


@dataclass(frozen=True)
class SplitConfig(Config):
    """Settings of the random draw of a split."""

    validation_fraction: float = option(
        0.15,
        "Fraction of the videos for validation, if the dataset gives no split. With train "
        "--features, the split is drawn for that run alone.",
        group="Split",
        low=0.0,
        high=0.9,
    )
    test_fraction: float = option(
        0.15,
        "Fraction of the videos for the test, if the dataset gives no split. With train "
        "--features, the split is drawn for that run alone.",
        group="Split",
        low=0.0,
        high=0.9,
    )
    split_seed: int = option(
        42, "Seed of the draw of the split.", group="Split", low=0, high=2**31 - 1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_fraction + self.test_fraction >= 1:
            raise ConfigError(
                "`validation_fraction` + `test_fraction` must be < 1. Received: "
                f"{self.validation_fraction} + {self.test_fraction}"
            )


@dataclass(frozen=True)
class AnnotationConfig(CommandConfig):
    """Settings of `import-annotations`."""

    normal_class: str | None = option(
        None,
        "Name of the class between events; default: the normal class of the folder or of the "
        "annotations, else normal.",
        group="Data",
    )
    frames_fps: float | None = option(
        None,
        "Frames per second of videos that are kept as numbered JPEG or PNG pictures "
        "(`v1/0001.jpg`, or `v1_0001.png`); required for them.",
        group="Data",
        above=0.0,
        high=1000.0,
    )
    new_class: bool = option(
        False, "Allow labels that the folder's videos do not have so far.", group="Data"
    )
    split: str | None = option(
        None,
        "Split of all annotated videos; UCF-Crime annotates its test videos.",
        group="Split",
        choices=("train", "validation", "test"),
    )
