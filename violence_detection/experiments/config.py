"""What `cross-validate` and `cross-dataset` are asked for: their settings, and those of `train`
that every training of theirs has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import units
from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.config import ExtractConfig
from violence_detection.settings import Config, option, same_as
from violence_detection.training.config import TrainConfig

# Of `train`, without a meaning here: stage one's, what a run that is kept would have, and what
# would choose the test videos otherwise.
_LEFT_OUT = {setting.name for setting in ExtractConfig.settings()} - {
    "seed",
    "batch_size",
    "mixed_precision",
    "validation_fraction",
    "group_pattern",
} | set(
    "dataset_path extract_batch_size extract_mixed_precision run resume checkpoint_epochs workers "
    "rank profile recall_bar".split()
)


@dataclass(frozen=True)
class CrossValidateConfig(TrainConfig):
    """Settings of `cross-validate`."""

    name: str = option("cross_validation", "Name of the folder, in --checkpoint-dir.")
    jobs: int | None = option(
        None,
        "Folds learned at the same time, in a process each; default: as many as there are cores "
        "and memory for (1.5 GB each), with a GPU one. It changes no number.",
        low=1,
        high=256,
    )
    folds: int = option(5, "Parts that the videos are divided into.", low=2, high=100)
    repeats: int = option(
        1, "Draw the folds so many times, with --seed, --seed + 1, ...", low=1, high=100
    )
    grouped: bool = option(
        True,
        "Keep all videos of a recording in one fold; or draw each by itself, which papers do and "
        "which gives numbers that are too good.",
        off="random",
    )
    both: bool = option(False, "Do both, grouped and random, and show them side by side.")
    group_pattern: str | None = same_as(EvaluateConfig, "group_pattern")
    group_near_duplicates: bool = same_as(EvaluateConfig, "group_near_duplicates")
    near_bits: float = same_as(EvaluateConfig, "near_bits")
    pictures: bool = option(
        True,
        "Look at the videos, where they are still there, for near-duplicates and for the baselines "
        "of their mean picture and motion; it decodes each once.",
    )
    validation_fraction: float = same_as(
        ExtractConfig,
        "validation_fraction",
        "Share of the folds that are learned from, whole recordings, that decides epoch and "
        "threshold; not with --monitor none.",
    )
    test_fraction: float = 0.0  # no setting: each fold is the test once

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name(self.name)
        if self.group_near_duplicates and not self.pictures:
            raise ConfigError(
                "`group_near_duplicates` must come with pictures. Received: pictures=False"
            )
        if self.both and "grouped" in self.given and not self.grouped:
            raise ConfigError(
                "--both must come without --random: it has random folds anyway. Received: both"
            )
        if self.seed + self.repeats + self.seeds > 2**31:
            raise ConfigError(
                "`seed` + `repeats` + `seeds` must be <= 2147483648. Received: "
                f"{self.seed} + {self.repeats} + {self.seeds}"
            )
        self._check_validation()

    def _check_validation(self) -> None:
        """Whether there is what epoch, threshold and member are chosen on."""
        if self.monitor != "none":
            if not self.validation_fraction:
                raise ConfigError(
                    "`validation_fraction` must be > 0, or monitor none: something must decide "
                    f"which epoch is kept. Received: 0.0 with monitor={self.monitor}"
                )
            return
        if "validation_fraction" in self.given and self.validation_fraction:
            raise ConfigError(
                "`validation_fraction` must not be given with monitor none, which learns from "
                f"all of the other folds. Received: {self.validation_fraction}"
            )
        if self.operating_point is not None:
            raise ConfigError(
                "`operating_point` must not be given with monitor none: there are no videos to "
                f"choose it on. Received: {self.operating_point}"
            )
        if self.seeds > 1 and not self.ensemble:
            raise ConfigError(
                "`seeds` must come with ensemble where monitor is none: there are no videos to "
                f"choose a member by. Received: seeds={self.seeds}"
            )
        object.__setattr__(self, "validation_fraction", 0.0)

    @classmethod
    def settings(cls):
        """The settings, without those of `train` that mean nothing here."""
        return (one for one in super().settings() if one.name not in _LEFT_OUT)

    @property
    def protocols(self) -> tuple[bool, ...]:
        """Grouped (True) or random (False) folds, or both."""
        return (True, False) if self.both else (self.grouped,)

    def of_fold(self, repeat: int, folder: Path) -> TrainConfig:
        """What one fold is trained with, in a run in `folder`."""
        return _training(self, folder, seed=self.seed + repeat, group_pattern=None)


@dataclass(frozen=True)
class CrossDatasetConfig(TrainConfig):
    """Settings of `cross-dataset`."""

    name: str = option("cross_dataset", "Name of the folder, in --checkpoint-dir.")
    bootstrap: int = option(
        2000, "Resamples of the recordings behind each interval.", low=100, high=100_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name(self.name)

    @classmethod
    def settings(cls):
        """The settings, without those of `train` that mean nothing here."""
        left_out = _LEFT_OUT | {"features"}
        return (one for one in super().settings() if one.name not in left_out)

    def of_dataset(self, features: Path, folder: Path, *, resume: bool) -> TrainConfig:
        """What the training on one dataset is, in a run in `folder`."""
        return _training(self, folder, features=str(features), resume=resume)


def _check_name(name: str) -> None:
    if not units.is_name(name):
        raise ConfigError(f"`name` must be the name of a folder. Received: {name!r}")


def _training(config: TrainConfig, folder: Path, **changed: Any) -> TrainConfig:
    """The settings of a training in a run in `folder`, with those that are `changed`."""
    own = {setting.name for setting in TrainConfig.settings()}
    base = {name: value for name, value in config.as_dict().items() if name in own}
    base |= {
        "checkpoint_dir": str(folder.parent),
        "run": folder.name,
        "checkpoint_epochs": 0,
    }
    return TrainConfig(**base | changed, given=config.given & own)


@dataclass(frozen=True)
class DemoConfig(Config):
    """Settings of `demo`."""

    output: str = option(
        "demo_output", "Folder for the clips, the features and the run.", path=True
    )
    clips: int = option(320, "Clips to draw, half of each kind.", low=40, high=5000)
    epochs: int = option(40, "Passes over the training clips, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clips % 2:
            raise ConfigError(f"`clips` must be even. Received: clips={self.clips}")


# Of `train`, without a meaning here: stage one's, and what a run that is kept would have.
_LEFT_OUT_OF_TRIALS = {setting.name for setting in ExtractConfig.settings()} - {
    "seed",
    "batch_size",
    "mixed_precision",
    "validation_fraction",
    "test_fraction",
    "split_seed",
} | set(
    "dataset_path extract_batch_size extract_mixed_precision run checkpoint_epochs "
    "ensemble use_focal_loss workers rank profile recall_bar operating_point".split()
)


@dataclass(frozen=True)
class TuneConfig(TrainConfig):
    """Settings of `tune`: its own, and those of `train` that every trial has."""

    resume: bool = option(False, "Go on with the study --name.")
    seeds: int = same_as(
        TrainConfig, "seeds", "Train each trial with so many seeds, and take the mean."
    )
    monitor: str = option(
        "val_loss",
        "What is to be best: val_loss (the cross-entropy of the kept epoch, whatever --loss a "
        "trial learns with), val_auc or val_accuracy. It also decides which epoch is kept, as in "
        "train, but with --swa-fraction.",
        choices=("val_loss", "val_auc", "val_accuracy"),
    )
    name: str = option("tune", "Name of the study's folder, in --checkpoint-dir.")
    trials: int = option(30, "Trials in all, pruned ones too.", low=1, high=100_000)
    space: str | None = option(
        None,
        'JSON file of what to try: {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}, '
        '"head": ["linear", "bilstm_attention"], "head.dropout": [0.3, 0.5]}; default: rate, '
        "decay, batch, smoothing, and what --loss and --head take of gamma, sizes and dropouts, "
        "each unless it is given.",
        path=True,
    )
    folds: int | None = option(
        None,
        "Judge a trial by the mean over so many folds of the training and validation videos, "
        "by recording; default: by the validation videos.",
        low=2,
        high=100,
    )
    timeout: float | None = option(None, "Seconds after which no further trial begins.", above=0.0)
    prune: bool = option(
        True, "End a trial that is worse than the median of those before it, by epoch."
    )
    keep_runs: bool = option(False, "Keep the runs of all trials in the study's folder.")

    def _check_monitor(self) -> None:
        """It judges the trials, also where it chooses no epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not units.is_name(self.name):
            raise ConfigError(f"`name` must be the name of a folder. Received: {self.name!r}")

    @classmethod
    def settings(cls):
        """The settings, without those of `train` that mean nothing here."""
        return (one for one in super().settings() if one.name not in _LEFT_OUT_OF_TRIALS)

    def base(self) -> dict[str, Any]:
        """The settings of `train` that every trial has."""
        own = {setting.name for setting in TrainConfig.settings()}
        return {name: value for name, value in self.as_dict().items() if name in own}
