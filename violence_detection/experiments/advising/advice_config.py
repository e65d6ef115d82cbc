"""Settings of `advise`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.settings import CommandConfig, nested, option, same_as
from violence_detection.training.config import TrainConfig


@dataclass(frozen=True)
class AdviseConfig(CommandConfig):
    """Settings of `advise`; settings of `train` that are given hold, and are not advised."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=("hosts", "rank", "run", "resume", "observation", "one_class", "distillation"),
        changes={
            "dataset_path": {
                "help": "Folder of videos. Without features, neither speed nor memory are known."
            }
        },
    )
    output: str | None = option(
        None,
        "File for the settings, which train --config takes.",
        group="Output",
        path="FILE",
        may_change_on_resume=True,
    )
    probe: bool = option(
        True,
        "Measure the speed and the memory on 20 steps.",
        group="Study",
        may_change_on_resume=True,
    )
    learning_curve: bool = option(
        False,
        "Train on 25, 50, 75 and 100% of the recordings, and say what twice the recordings would "
        "bring; takes 4 times as long as cross-validate. Started again, it resumes.",
        group="Study",
        may_change_on_resume=True,
    )
    folds: int = option(
        5, "Folds of the learning curve, by recording.", group="Study", low=2, high=100
    )
    repeats: int = option(
        1,
        "Draws of the folds and of the recordings that are left out.",
        group="Study",
        low=1,
        high=100,
    )
    jobs: int | None = same_as(CrossValidateConfig, "jobs")
    run: str = option(
        "learning_curve",
        "Name of the folder of the learning curve, in --checkpoint-dir.",
        group="Output",
        may_change_on_resume=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.train.dataset_path is None) == (self.train.features is None):
            given = "both" if self.train.features else "neither"
            raise ConfigError(
                f"Exactly one of --dataset-path and --features must be given. Received: {given}"
            )
        if self.learning_curve and self.train.features is None:
            raise ConfigError(
                "`learning_curve` must come with features: extract-features makes them. "
                f"Received: dataset_path={self.train.dataset_path}"
            )
