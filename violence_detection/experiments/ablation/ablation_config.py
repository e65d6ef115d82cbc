"""Settings of `ablate`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.settings import CommandConfig, nested, option, same_as
from violence_detection.training.config import TrainConfig

# The options of a training that are switched, in the order of the table; the last ones change the
# time and not the model.
OPTIONS = (
    *("focal", "alpha", "class-weights", "balance", "label-smoothing", "schedule"),
    *("statistics", "change", "recording-weights", "views"),
    *("mixed-precision", "xla", "replicas"),
)


@dataclass(frozen=True)
class AblateConfig(CommandConfig):
    """Settings of `ablate`; those of `train` are the baseline."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=(
            *("extract", "split", "dataset_path", "hosts", "rank", "run", "resume", "members"),
            *("ensemble", "checkpoint_epochs", "recall_bar", "observation", "calibrate_by"),
            *("calibration_folds", "init_from", "virtual_devices"),
            *("one_class", "class_threshold", "distillation"),
        ),
    )
    run: str = option(
        "ablation",
        "Name of the folder in --checkpoint-dir.",
        group="Output",
        may_change_on_resume=True,
    )
    options: str = option(
        "all",
        f"Options to switch, joined by commas: {', '.join(OPTIONS)}; or all.",
        group="Study",
        metavar="NAME,...",
        may_change_on_resume=True,
    )
    cumulative: bool = option(
        True,
        "Also start with all of them off, and switch one after the other on.",
        group="Study",
        may_change_on_resume=True,
    )
    thin: float | None = option(
        None,
        "Leave out recordings of the normal class until it has this fraction of the videos, for "
        "example 0.22.",
        group="Data",
        above=0.0,
        high=0.99,
    )
    folds: int = same_as(CrossValidateConfig, "folds")
    repeats: int = same_as(CrossValidateConfig, "repeats")
    validation_fraction: float = same_as(CrossValidateConfig, "validation_fraction")
    jobs: int | None = same_as(CrossValidateConfig, "jobs")

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.option_names if name not in OPTIONS]
        if unknown:
            raise ConfigError(
                f"`options` must be among {', '.join(OPTIONS)}. Received: {unknown[0]}"
            )
        if self.train.selection.monitor == "none":
            if "validation_fraction" in self.given and self.validation_fraction:
                raise ConfigError(
                    "`validation_fraction` must not be given with monitor none. Received: "
                    f"{self.validation_fraction}"
                )
            self._set("validation_fraction", 0.0)
        elif not self.validation_fraction:
            raise ConfigError(
                "`validation_fraction` must be > 0, or monitor none. Received: 0.0 with "
                f"monitor={self.train.selection.monitor}"
            )

    @property
    def option_names(self) -> tuple[str, ...]:
        """The options to switch, in the order of the table."""
        if self.options == "all":
            return OPTIONS
        return tuple(name.strip() for name in self.options.split(","))
