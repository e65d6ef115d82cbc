"""Settings of `doctor`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.settings import CommandConfig, nested, option
from violence_detection.training.config import TrainConfig

# What a rehearsal of a training takes no notice of.
_IDLE = (
    *("hosts", "rank", "run", "resume", "observation", "checkpoint_epochs", "init_from"),
    *("one_class", "distillation"),
)


@dataclass(frozen=True)
class DoctorConfig(CommandConfig):
    """Settings of `doctor`; those of `train` are rehearsed."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=_IDLE,
        changes={
            "dataset_path": {
                "help": "Folder of videos; the features of 32 of them are extracted into a "
                "temporary folder."
            }
        },
    )
    replicas: bool = option(
        True,
        "Train a small classifier on two replicas and on one device, and compare the weights; "
        "about 10 s.",
        group="Devices",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.dataset_path is not None and self.train.features is not None:
            raise ConfigError(
                "At most one of --dataset-path and --features must be given. Received: both"
            )
