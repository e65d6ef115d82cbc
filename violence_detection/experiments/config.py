"""Settings of `cross-validate`, `cross-dataset`, `tune` and `demo`.

A command that trains many times holds the settings of a training in its field `train`, without
those that mean nothing for a training inside a study.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import units
from violence_detection.datasets.config import BY_CAMERA, BY_RECORDING, BY_TIME, ONE_RECORDING
from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.settings import CommandConfig, nested, option, same_as
from violence_detection.training.config import TrainConfig


@dataclass(frozen=True)
class CrossValidateConfig(CommandConfig):
    """Settings of `cross-validate`."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=(
            *("extract", "split", "dataset_path", "hosts", "rank", "run", "resume"),
            *("checkpoint_epochs", "recall_bar", "observation", "calibrate_by"),
            *("class_threshold", "distillation"),
        ),
        changes={
            "calibration_folds": {
                "help": "Number of folds within the training part of each fold, for "
                "--calibrate-by folds."
            },
            "one_class": {
                "help": "Learn from the normal videos of the other folds alone, by this detector, "
                "and judge all videos of the fold; the baselines learn from both kinds."
            },
        },
    )
    run: str = option(
        "cross_validation",
        "Name of the folder in --checkpoint-dir.",
        group="Output",
        may_change_on_resume=True,
    )
    jobs: int | None = option(
        None,
        "Folds trained at the same time, each in its own process; default: as many as the cores "
        "and the memory allow (1.5 GB each), 1 with a GPU. It does not change the results.",
        group="Devices",
        low=1,
        high=256,
        may_change_on_resume=True,
    )
    folds: int = option(5, "Number of folds.", group="Study", low=2, high=100)
    repeats: int = option(
        1,
        "Draws of the folds, with the seeds --seed, --seed + 1, ...",
        group="Study",
        low=1,
        high=100,
    )
    grouped: bool = option(
        True,
        "Keep all videos of a recording in one fold. --random assigns each video by itself, as "
        "papers do; its results are optimistic.",
        group="Study",
        off="random",
    )
    both: bool = option(False, "Run grouped and random folds, and compare them.", group="Study")
    by: str = option(
        BY_RECORDING,
        "What a fold holds out: recordings, drawn at random; time: consecutive folds, each "
        "predicted by a model that is trained on earlier recordings only; camera: whole cameras. "
        "time and camera are columns of videos.csv (recorded_at, camera), or found in the paths "
        "by a pattern.",
        group="Study",
        choices=(BY_RECORDING, BY_TIME, BY_CAMERA),
    )
    leave_one_recording_out: bool = option(
        False,
        "As many folds as recordings, each with one of them. A recording may have one class, and "
        "then no AUC: see accuracy and AUC of all folds together.",
        group="Study",
    )
    camera_pattern: str | None = same_as(EvaluateConfig, "camera_pattern")
    time_pattern: str | None = same_as(EvaluateConfig, "time_pattern")
    group_pattern: str | None = same_as(EvaluateConfig, "group_pattern")
    group_near_duplicates: bool = same_as(EvaluateConfig, "group_near_duplicates")
    near_bits: float = same_as(EvaluateConfig, "near_bits")
    read_videos: bool = option(
        True,
        "Read the videos, where they still exist, to find near-duplicates and to compute the "
        "baselines of mean image and motion; each video is decoded once.",
        group="Analysis",
    )
    show_frames: bool = same_as(EvaluateConfig, "show_frames", may_change_on_resume=True)
    blur_faces: bool = same_as(EvaluateConfig, "blur_faces", may_change_on_resume=True)
    validation_fraction: float = option(
        0.15,
        "Fraction of the training folds, by whole recordings, that decides epoch and threshold: "
        "drawn at random, and by time the latest; not with --monitor none.",
        group="Split",
        low=0.0,
        high=0.9,
    )
    calibrate_by: str = option(
        "validation",
        "Predictions that temperature and threshold of each fold's model are chosen on: "
        "`validation`, or `folds` within the training part of the fold, as in train; these take "
        "--calibration-folds + 1 times as many trainings.",
        group="Decision",
        choices=("validation", "folds"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_run(self.run)
        if self.group_near_duplicates and not self.read_videos:
            raise ConfigError(
                "`group_near_duplicates` must come with read_videos. Received: read_videos=False"
            )
        if self.blur_faces and not self.show_frames:
            raise ConfigError(
                "`blur_faces` must come with show_frames. Received: show_frames=False"
            )
        if self.both and "grouped" in self.given and not self.grouped:
            raise ConfigError(
                "--both must come without --random: it has random folds anyway. Received: both"
            )
        self._check_hold_out()
        if self.seed + self.repeats + self.train.members > 2**31:
            raise ConfigError(
                "`seed` + `repeats` + `members` must be <= 2147483648. Received: "
                f"{self.seed} + {self.repeats} + {self.train.members}"
            )
        self._check_validation()

    def _check_hold_out(self) -> None:
        """Checks that the ways to hold out are not in conflict.

        Raises:
            ConfigError: If they are.
        """
        if self.hold_out == BY_RECORDING:
            return
        asked = "leave_one_recording_out" if self.leave_one_recording_out else f"by={self.by}"
        if self.leave_one_recording_out and self.by != BY_RECORDING:
            raise ConfigError(
                "`leave_one_recording_out` must come without by: each fold is one recording. "
                f"Received: by={self.by}"
            )
        if self.both or not self.grouped:
            raise ConfigError(
                f"`{asked.partition('=')[0]}` must come without --both and --random: recordings "
                f"are never divided. Received: {asked} with {'both' if self.both else 'random'}"
            )
        if self.leave_one_recording_out and "folds" in self.given:
            raise ConfigError(
                "`folds` must not be given with leave_one_recording_out: there are as many as "
                f"recordings. Received: folds={self.folds}"
            )

    def _check_validation(self) -> None:
        """Checks that epoch, threshold and member can be chosen; with monitor none there are no
        validation videos.

        Raises:
            ConfigError: If they cannot.
        """
        if self.train.selection.monitor != "none":
            if not self.validation_fraction:
                raise ConfigError(
                    "`validation_fraction` must be > 0, or monitor none: something must decide "
                    "which epoch is kept. Received: 0.0 with "
                    f"monitor={self.train.selection.monitor}"
                )
            return
        if "validation_fraction" in self.given and self.validation_fraction:
            raise ConfigError(
                "`validation_fraction` must not be given with monitor none, which trains on all "
                f"of the other folds. Received: {self.validation_fraction}"
            )
        if self.train.decision.operating_point is not None and self.calibrate_by != "folds":
            raise ConfigError(
                "`operating_point` must not be given with monitor none: there are no validation "
                f"videos to choose a threshold on. Received: {self.train.decision.operating_point}"
            )
        if self.train.members > 1 and not self.train.ensemble:
            raise ConfigError(
                "`members` must come with ensemble where monitor is none: there are no validation "
                f"videos to choose a member on. Received: members={self.train.members}"
            )
        self._set("validation_fraction", 0.0)

    @property
    def protocols(self) -> tuple[bool, ...]:
        """Grouped (True) or random (False) folds, or both."""
        return (True, False) if self.both else (self.grouped,)

    @property
    def calibration_trainings(self) -> int:
        """Further trainings of each fold, to choose temperature and threshold."""
        seeds = self.train.members if self.train.ensemble else 1
        folds = self.train.decision.calibration_folds
        return folds * seeds if self.calibrate_by == "folds" else 0

    @property
    def hold_out(self) -> str:
        """The part of the dataset that a fold holds out; `datasets.config` lists the choices."""
        return ONE_RECORDING if self.leave_one_recording_out else self.by


@dataclass(frozen=True)
class CrossDatasetConfig(CommandConfig):
    """Settings of `cross-dataset`."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=(
            *("extract", "test_fraction", "split_seed", "dataset_path", "features", "hosts"),
            *("rank", "run", "resume", "checkpoint_epochs", "recall_bar", "observation"),
            *("class_threshold", "one_class", "distillation"),
        ),
    )
    run: str = option(
        "cross_dataset",
        "Name of the folder in --checkpoint-dir.",
        group="Output",
        may_change_on_resume=True,
    )
    bootstrap: int = same_as(EvaluateConfig, "bootstrap")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_run(self.run)


def _check_run(run: str) -> None:
    if not units.is_name(run):
        raise ConfigError(f"`run` must be the name of a folder. Received: {run!r}")


def settings_of_run(train: TrainConfig, run_dir: Path, **changed: Any) -> TrainConfig:
    """The settings of a training inside a study.

    Args:
        train: The settings that all trainings of the study share.
        run_dir: The run's folder.
        changed: Settings of this training alone, by flat name.
    """
    return train.with_settings(
        checkpoint_dir=str(run_dir.parent), run=run_dir.name, checkpoint_epochs=0, **changed
    )


@dataclass(frozen=True)
class TuneConfig(CommandConfig):
    """Settings of `tune`; every trial starts from those in `train`."""

    train: TrainConfig = nested(
        TrainConfig,
        shared=("seed",),
        without=(
            *("extract", "dataset_path", "hosts", "rank", "run", "resume", "checkpoint_epochs"),
            *("monitor", "ensemble", "use_focal_loss", "operating_point", "recall_bar"),
            "observation",
            *("calibrate_by", "calibration_folds", "one_class", "class_threshold", "distillation"),
        ),
        changes={
            "members": {
                "help": "Trainings of each trial, with the seeds --seed, --seed + 1, ...; their "
                "scores are averaged.",
                "group": "Study",
            }
        },
    )
    resume: bool = option(
        False, "Resume the study --run.", group="Output", may_change_on_resume=True
    )
    monitor: str = option(
        "val_loss",
        "Score of a trial: val_loss (the cross-entropy of the kept epoch, whatever --loss a trial "
        "trains with), val_auc or val_accuracy. It also decides which epoch is kept, as in train, "
        "except with --swa-fraction.",
        group="Study",
        choices=("val_loss", "val_auc", "val_accuracy"),
    )
    run: str = option(
        "tune",
        "Name of the folder in --checkpoint-dir.",
        group="Output",
        may_change_on_resume=True,
    )
    trials: int = option(
        30,
        "Trials in total, pruned trials included.",
        group="Study",
        low=1,
        high=100_000,
        may_change_on_resume=True,
    )
    space: str | None = option(
        None,
        'JSON or YAML file with the search space: {"learning_rate": {"low": 1e-4, "high": 1e-2, '
        '"log": true}, "head": ["linear", "bilstm_attention"], "head.dropout": [0.3, 0.5]}; '
        "default: learning rate, weight decay, batch size, label smoothing, the gamma of --loss, "
        "and the sizes and dropouts of --head, except those that are given.",
        group="Study",
        path="FILE",
        may_change_on_resume=True,  # the study records its content
    )
    folds: int | None = option(
        None,
        "Score a trial by the mean over this many folds of the training and validation videos, "
        "by recording; default: by the validation videos.",
        group="Study",
        low=2,
        high=100,
    )
    timeout_s: float | None = option(
        None,
        "Seconds after which no further trial begins.",
        group="Study",
        above=0.0,
        may_change_on_resume=True,
    )
    prune_trials: bool = option(
        True,
        "End a trial whose score is worse than the median of earlier trials at the same epoch.",
        group="Study",
    )
    keep_runs: bool = option(
        False,
        "Keep the runs of all trials in the study's folder.",
        group="Output",
        may_change_on_resume=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_run(self.run)

    def base(self) -> dict[str, Any]:
        """The settings of `train` that every trial starts from, by name."""
        names = {setting.name for setting in TrainConfig.settings()} - {"run"}
        return {name: value for name, value in self.as_dict().items() if name in names}


@dataclass(frozen=True)
class DemoConfig(CommandConfig):
    """Settings of `demo`."""

    output: str = option(
        "demo_output",
        "Folder for the clips, the features and the run.",
        group="Output",
        path="DIRECTORY",
    )
    clips: int = option(320, "Clips to draw, half of each class.", group="Data", low=40, high=5000)
    epochs: int = option(
        40, "Largest number of passes over the training clips.", group="Optimisation", low=1
    )
    live: bool = option(
        False,
        "Then watch three drawn cameras with the run, and show the review page.",
        group="Windows",
    )
    for_s: float | None = option(
        None,
        "End the watch of --live after this many seconds; default: go on until Ctrl-C in a "
        "terminal, else 60.",
        group="Windows",
        flag="for",
        metavar="SECONDS",
        above=0.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clips % 2:
            raise ConfigError(f"`clips` must be even. Received: clips={self.clips}")
        if self.for_s is not None and not self.live:
            raise ConfigError(f"`for_s` needs `live`. Received: for_s={self.for_s:g}")
