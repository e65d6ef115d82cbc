"""Settings of `train`: data, devices, places and members; `training_settings` has the others."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection import registry
from violence_detection.datasets.config import SplitConfig
from violence_detection.errors import ConfigError, RunError
from violence_detection.features import space_lookup
from violence_detection.features.config import ExtractConfig
from violence_detection.metrics.thresholds import operating_points
from violence_detection.models.outputs._presets import PRESETS
from violence_detection.settings import CommandConfig, Config, nested, option, same_as
from violence_detection.system import cluster_spec
from violence_detection.training.observation_settings import ObservationConfig
from violence_detection.training.training_settings import (
    BatchConfig,
    DecisionConfig,
    DistillationConfig,
    ModelConfig,
    OptimisationConfig,
    SelectionConfig,
    TrainingSettings,
)

log = logging.getLogger(__name__)

# Anomaly outputs that learn from normal videos alone; `models/detectors` has other detectors.
ONE_CLASS_OUTPUTS = ("svdd", "vae", "future")


@dataclass(frozen=True)
class DeviceConfig(Config):
    """Precision and devices; the arguments of `devices.start` of the same names."""

    mixed_precision: bool = option(
        False, "Train in float16 (GPU) or bfloat16 (a CPU that supports it).", group="Devices"
    )
    xla: bool = option(False, "Compile the forward and backward pass with XLA.", group="Devices")
    virtual_devices: int | None = option(
        None,
        "Split the CPU into this many devices and train on them, to test distributed training.",
        group="Advanced",
        low=1,
        high=8,
    )
    deterministic: bool = option(
        False, "Make every training give the same bits; slower.", group="Devices"
    )


@dataclass(frozen=True)
class TrainConfig(CommandConfig):
    """Settings of `train`: the split, stage one for --dataset-path, and stage two."""

    dataset_path: str | None = option(
        None,
        "Folder of videos; missing features are extracted first.",
        group="Data",
        path="DIRECTORY",
        may_change_on_resume=True,
    )
    features: str | None = option(
        None,
        "Folder of features from extract-features, or the dataset of a single feature space: its "
        "folder or its name.",
        group="Data",
        path="DIRECTORY",
        canonical=space_lookup.resolved,
        may_change_on_resume=True,
    )
    normal_class: str | None = option(None, "Name of the normal class.", group="Data")
    one_class: str | None = option(
        None,
        "Learn from normal videos alone and find what is unusual, by this detector; videos of "
        "other classes are left out.",
        group="Model",
        registry="detectors",
        words=ONE_CLASS_OUTPUTS,
    )
    split: SplitConfig = nested(SplitConfig)
    extract: ExtractConfig = nested(
        ExtractConfig,
        shared=("seed", "split"),
        # train derives `views` from --augment; the others are for an extraction of its own
        without=("views", "view_kinds", "executor", "address", "machines", "shard", "verify"),
        renamed={
            "batch_size": "extract_batch_size",
            "mixed_precision": "extract_mixed_precision",
        },
        changes={
            "workers": {"hint": "--hosts names the machines of a training"},
            "batch_size": {"help": "Frames encoded at a time, with --dataset-path."},
            "mixed_precision": {"help": "Encode in reduced precision, with --dataset-path."},
        },
    )
    hosts: str | None = option(
        None,
        "Addresses of the machines that train together, the chief first; default: those "
        "of TF_CONFIG, or of a SLURM step.",
        group="Devices",
        metavar="HOST:PORT,...",
        may_change_on_resume=True,
    )
    rank: int | None = option(
        None,
        "Number of this machine in --hosts; 0 is the chief.",
        group="Devices",
        low=0,
        may_change_on_resume=True,
    )
    checkpoint_dir: str = option(
        "checkpoints",
        "Folder of the runs.",
        group="Output",
        path="DIRECTORY",
        may_change_on_resume=True,
    )
    run: str | None = option(
        None,
        "Name of the run's folder; default: a new name.",
        group="Output",
        may_change_on_resume=True,
    )
    resume: bool = option(
        False,
        "Resume --run (default: the newest run); a finished run prints its result again.",
        group="Output",
        may_change_on_resume=True,
    )
    init_from: str | None = option(
        None,
        "Run whose classifier gives the initial weights; it must have the same feature space and "
        "head.",
        group="Model",
        path="DIRECTORY",
    )
    members: int = option(
        1,
        "Trainings, with the seeds --seed, --seed + 1, ...; the member with the lowest "
        "validation loss is kept.",
        group="Averaging",
        low=1,
        high=100,
    )
    ensemble: bool = option(
        False,
        "With --members: keep all members as one model, which returns the mean of their "
        "probabilities.",
        group="Averaging",
    )
    optimisation: OptimisationConfig = nested(OptimisationConfig)
    model: ModelConfig = nested(ModelConfig)
    batches: BatchConfig = nested(BatchConfig)
    devices: DeviceConfig = nested(DeviceConfig)
    selection: SelectionConfig = nested(SelectionConfig)
    decision: DecisionConfig = nested(DecisionConfig)
    distillation: DistillationConfig = nested(DistillationConfig)
    observation: ObservationConfig = nested(ObservationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features is not None and "cache_dir" in self.extract.given:
            folder = space_lookup.resolved(self.features, cache_dir=self.extract.cache_dir)
            self._set("features", str(Path(folder).absolute()))
        self._check_hosts()
        self._check_members()
        self._check_monitor()
        self._check_one_class()
        self._resolve_patience()
        self._resolve_class_weights()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses in `hosts`; empty for a training on one machine."""
        return cluster_spec.parse_addresses(self.hosts) if self.hosts is not None else ()

    @property
    def own_split(self) -> SplitConfig | None:
        """The split that the run draws for itself; None for that of the dataset."""
        return self.split if self.features is not None and self.split.given else None

    @property
    def training(self) -> TrainingSettings:
        """The settings of the training, or of the first member of several seeds."""
        return TrainingSettings(
            seed=self.seed,
            optimisation=self.optimisation,
            model=self.model
            if self.one_class not in ONE_CLASS_OUTPUTS
            else dataclasses.replace(self.model, outputs=self.one_class),
            batches=self.batches,
            selection=self.selection,
            decision=self.decision,
            profiled_steps=self.observation.profiled_steps,
            resume=self.resume,
            recorded=self.as_dict(),
        )

    def resumed(self, recorded: Any, *, run: str, started: bool) -> Self:
        """The settings of a resumed run, with the names and places that these settings give.

        Args:
            recorded: The settings in the run's record, by flat name.
            run: Name of the run's folder.
            started: True if the run has drawn its split already.

        Raises:
            RunError: If the record holds no settings of a training.
            ConfigError: If another setting is given than the run was started with.
        """
        changeable, values = self.names_that_may_change(), self.as_dict()
        recorded = self.complete_record(recorded) if isinstance(recorded, dict) else {}
        if recorded.keys() != values.keys():
            raise RunError(
                "training_config.json must hold the settings of a training. Received: that of "
                f"the run {run}"
            )
        for name in sorted(self.given - changeable):
            if values[name] != recorded[name]:
                raise ConfigError(
                    f"--resume must use the settings of the run, {name}={recorded[name]}. "
                    f"Received: {name}={values[name]}"
                )
        if self.given & {"dataset_path", "features"}:
            recorded |= {"dataset_path": None, "features": None}
        recorded |= {name: values[name] for name in self.given & changeable}
        recorded |= {"resume": True, "run": run}
        given = self.given & (self.names_in("split") | changeable) | _drawn_otherwise(recorded)
        if started:
            recorded["redraw_splits"] = False
        return self.from_settings(recorded, given=given)

    def check_sources(self) -> None:
        """Checks that features have one source, and that settings of an extraction go with it.

        Raises:
            ConfigError: If not.
        """
        if (self.dataset_path is None) == (self.features is None):
            given = "both" if self.features else "neither"
            raise ConfigError(
                f"Exactly one of --dataset-path and --features must be given. Received: {given}"
            )
        if self.features is None:
            return
        is_in_cache = Path(self.features).is_relative_to(self.extract.cache_dir)
        if "cache_dir" in self.given and not is_in_cache:
            log.warning("--cache-dir has no effect: --features says where the features are.")
        for name in sorted(self.names_in("extract") & self.given - {"cache_dir"}):
            raise ConfigError(
                f"`{name}` must go with --dataset-path: the features of --features are already "
                f"extracted. Received: {name}={self.as_dict()[name]}"
            )

    def idle_names(self) -> frozenset[str]:
        """Names of the settings that have no effect with `features`."""
        names = self.names_in("extract")
        return names if self.own_split else names | self.names_in("split")

    @classmethod
    def _upgraded(cls, recorded: dict[str, Any]) -> dict[str, Any]:
        recorded = super()._upgraded(recorded)
        recorded.setdefault("recording_weights", "natural")  # before the setting existed
        recorded.setdefault("calibrate_by", "validation")
        # `workers` was text: a number of processes, or the addresses of machines.
        workers = recorded.get("workers")
        if isinstance(workers, str) and workers.lstrip("-").isdecimal():
            recorded["workers"] = int(workers)
        elif isinstance(workers, str):
            recorded |= {"workers": None, "hosts": workers}
        return recorded

    def _check_members(self) -> None:
        if self.ensemble and self.members == 1:
            raise ConfigError("`ensemble` must come with members >= 2. Received: members=1")
        parts = registry.parse(PRESETS.get(self.model.outputs, self.model.outputs))
        if self.ensemble and not {part.name for part in parts} & {"classes", "violence"}:
            raise ConfigError(
                "`ensemble` must come with the output `classes` or `violence`: other scores have "
                f"no common scale. Received: outputs={self.model.outputs}"
            )
        if self.seed + self.members > 2**31:
            raise ConfigError(
                f"`seed` + `members` must be <= 2147483648. Received: {self.seed} + {self.members}"
            )

    def _check_monitor(self) -> None:
        fraction, monitor = self.optimisation.swa_fraction, self.selection.monitor
        if fraction and "monitor" in self.given and monitor != "none":
            raise ConfigError(
                "`monitor` must not be given with swa_fraction: the mean of the last epochs is "
                f"kept. Received: monitor={monitor}, swa_fraction={fraction}"
            )

    def _check_one_class(self) -> None:
        """Checks that what is given goes with a detector that learns from normal videos alone."""
        if self.one_class is None:
            point = self.decision.operating_point or ""
            if point.startswith(operating_points.FALSE_ALARMS_PER_HOUR):
                raise ConfigError(
                    "`operating_point` with false alarms per hour must be chosen by evaluate "
                    f"--normal-footage. Received: {point}"
                )
            return
        idle = {"outputs", "output_weights", "loss", "calibrate_by", "recall_bar", "init_from"}
        idle |= {"members", "ensemble", "hosts"}
        if self.one_class not in ONE_CLASS_OUTPUTS:  # fitted in one step
            idle |= {"head", "epochs", "batch_size", "learning_rate", "monitor", "augment"}
        for name in sorted(idle & self.given):
            raise ConfigError(
                f"`{name}` must not be given with one_class={self.one_class}, which does not use "
                f"it. Received: {name}={self.as_dict()[name]}"
            )

    def _resolve_patience(self) -> None:
        """Sets the patience to 0 if the training runs all epochs."""
        fraction, monitor = self.optimisation.swa_fraction, self.selection.monitor
        patience = self.selection.early_stopping_patience
        if not fraction and monitor != "none":
            return
        if "early_stopping_patience" in self.given and patience:
            raise ConfigError(
                "`early_stopping_patience` must be 0 if the training runs all epochs. Received: "
                f"early_stopping_patience={patience} with monitor={monitor}, "
                f"swa_fraction={fraction}"
            )
        self._set("selection", dataclasses.replace(self.selection, early_stopping_patience=0))

    def _resolve_class_weights(self) -> None:
        """Switches class weights off for a loss whose own weights stand for them."""
        if registry.parse(self.model.loss)[0].arguments.get("alpha") != "inverse_sqrt":
            return
        if "use_class_weights" in self.given and self.batches.use_class_weights:
            raise ConfigError(
                "`alpha=inverse_sqrt` must come without --use-class-weights: either weighs the "
                f"classes. Received: loss={self.model.loss}"
            )
        self._set("batches", dataclasses.replace(self.batches, use_class_weights=False))

    def _check_hosts(self) -> None:
        count = len(self.addresses)
        if bool(count) != (self.rank is not None):
            raise ConfigError(
                "`hosts` and `rank` must be given together. Received: "
                f"hosts={self.hosts}, rank={self.rank}"
            )
        if count and self.rank >= count:
            raise ConfigError(
                f"`rank` must be < {count}, the number of machines in `hosts`. "
                f"Received: rank={self.rank}"
            )


def _drawn_otherwise(recorded: Mapping[str, Any]) -> frozenset[str]:
    """The split settings with which a run on --features drew a split of its own."""
    if recorded.get("features") is None:
        return frozenset()
    return frozenset(
        setting.name
        for setting in TrainConfig.settings()
        if setting.name in TrainConfig.names_in("split")
        and recorded.get(setting.name, setting.default) != setting.default
    )


@dataclass(frozen=True)
class EnsembleConfig(CommandConfig):
    """Settings of `ensemble`."""

    checkpoint_dir: str = same_as(TrainConfig, "checkpoint_dir")
    run: str | None = same_as(TrainConfig, "run")
    operating_point: str | None = same_as(
        DecisionConfig,
        "operating_point",
        "Goal of the threshold on the runs' validation videos: balanced_accuracy or best_f1 (the "
        "highest), recall=FRACTION or false_positive_rate=FRACTION. Default: balanced_accuracy, or "
        "a threshold of 0.5 if there are too few videos.",
    )
