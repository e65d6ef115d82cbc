"""Settings of the split into train, validation and test."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.settings import Config, option


@dataclass(frozen=True)
class SplitConfig(Config):
    """Settings with which a split is drawn."""

    validation_fraction: float = option(
        0.15,
        "Share of the videos for validation, where no split is given; with train --features, "
        "for that run alone.",
        low=0.0,
        high=0.9,
    )
    test_fraction: float = option(
        0.15,
        "Share of the videos for the test, where no split is given; with train --features, for "
        "that run alone.",
        low=0.0,
        high=0.9,
    )
    split_seed: int = option(42, "Seed of the drawn split.", low=0, high=2**31 - 1)
    redraw_splits: bool = option(False, "Draw the split again instead of keeping splits.csv.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_fraction + self.test_fraction >= 1:
            raise ConfigError(
                "`validation_fraction` + `test_fraction` must be < 1. Received: "
                f"{self.validation_fraction} + {self.test_fraction}"
            )
