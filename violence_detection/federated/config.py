"""Settings of `federate` and its commands `init`, `update` and `aggregate`."""

import dataclasses
from dataclasses import dataclass

from violence_detection import registry, units
from violence_detection.errors import ConfigError
from violence_detection.settings import CommandConfig, Config, nested, option, same_as
from violence_detection.training.config import DeviceConfig, TrainConfig
from violence_detection.training.training_settings import (
    BatchConfig,
    DecisionConfig,
    ModelConfig,
    OptimisationConfig,
)

FEDAVG, FEDPROX = "fedavg", "fedprox"


@dataclass(frozen=True)
class FederationConfig(Config):
    """Settings that all sites of a federation share; the coordinator sends them with the model.

    Averages of the weights over time, and sampling by class, are settings of a single training
    and not of these.
    """

    rounds: int = option(
        20,
        "Number of rounds; after each, the weights of all sites are averaged.",
        group="Optimisation",
        low=1,
        high=10_000,
    )
    local_epochs: int = option(
        5,
        "Passes of each site over its training videos, in each round.",
        group="Optimisation",
        low=1,
        high=1000,
    )
    algorithm: str = option(
        FEDAVG,
        "fedavg: the mean of the sites' weights, by training videos. fedprox: the same, where "
        "each site is held near the weights of the round's start, which helps where sites differ.",
        group="Optimisation",
        choices=(FEDAVG, FEDPROX),
    )
    proximal: float = option(
        0.01,
        "Strength of fedprox, mu of mu/2 |w - w_start|^2.",
        group="Optimisation",
        above=0.0,
        high=1000.0,
    )
    optimizer: str = option(
        "adamw",
        "Optimizer of a site: adamw, as train has it, or plain sgd, which keeps no state.",
        group="Optimisation",
        choices=("adamw", "sgd"),
    )
    normal_class: str | None = same_as(TrainConfig, "normal_class")
    optimisation: OptimisationConfig = nested(
        OptimisationConfig,
        without=("epochs", "ema_decay", "swa_fraction"),
        changes={
            "schedule": {"help": "Course of the learning rate over all rounds."},
            "warmup_epochs": {
                "help": "Epochs of warm-up; default: 5, or a fifth of all local epochs if that is "
                "less; with one_cycle, three tenths of them."
            },
            "batch_size": {"help": "Videos in a step of a site."},
        },
    )
    # Other outputs have constants that are taken from the training videos themselves.
    model: ModelConfig = nested(ModelConfig, without=("outputs", "output_weights"))
    batches: BatchConfig = nested(BatchConfig, without=("sampling",))
    decision: DecisionConfig = nested(
        DecisionConfig, without=("calibrate_by", "calibration_folds", "recall_bar")
    )

    def __post_init__(self) -> None:
        # The schedule of a site is over the epochs of all rounds.
        epochs = {"epochs": self.rounds * self.local_epochs}
        self._set("optimisation", self.optimisation.with_settings(**epochs))
        if registry.parse(self.model.loss)[0].arguments.get("alpha") == "inverse_sqrt":
            # The loss weighs the classes by itself, as in train.
            self._set("batches", dataclasses.replace(self.batches, use_class_weights=False))
        super().__post_init__()
        if "proximal" in self.given and self.algorithm != FEDPROX:
            raise ConfigError(
                f"`proximal` must come with algorithm fedprox. Received: algorithm={self.algorithm}"
            )


@dataclass(frozen=True)
class InitConfig(CommandConfig):
    """Settings of `federate init`."""

    federation: FederationConfig = nested(FederationConfig)
    checkpoint_dir: str = same_as(TrainConfig, "checkpoint_dir")
    run: str | None = same_as(TrainConfig, "run")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_run_name(self.run)


@dataclass(frozen=True)
class SimulateConfig(InitConfig):
    """Settings of `federate --clients`: all sites on this machine."""

    devices: DeviceConfig = nested(DeviceConfig, without=("virtual_devices",))
    site_names: str | None = option(
        None,
        "Names of the sites for the record and the model card, in the order of --clients; "
        "default: none, sites have numbers.",
        group="Output",
        metavar="NAME,...",
    )

    @property
    def listed_names(self) -> tuple[str, ...]:
        """The names in `site_names`, stripped; empty without."""
        return tuple(name.strip() for name in (self.site_names or "").split(",") if name.strip())


@dataclass(frozen=True)
class UpdateConfig(CommandConfig):
    """Settings of `federate update`."""

    features: str = same_as(TrainConfig, "features")
    source: str | None = option(
        None,
        "File that the coordinator sent: federation.json in round 0, then global.keras.",
        group="Data",
        path="FILE",
        flag="from",
    )
    target: str | None = option(
        None,
        "File to write and to send back.",
        group="Output",
        path="FILE",
        flag="to",
    )
    site_dir: str = option(
        "federated_site",
        "Folder of what stays at this site: the state of its optimizer and its own record.",
        group="Output",
        path="DIRECTORY",
    )
    site_name: str | None = option(
        None,
        "Name of this site in the record of the federation; default: none.",
        group="Output",
    )
    devices: DeviceConfig = nested(DeviceConfig, without=("virtual_devices",))

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value in (
            ("--features", self.features),
            ("--from", self.source),
            ("--to", self.target),
        ):
            if value is None:
                raise ConfigError(f"{flag} must be given. Received: nothing")
        if self.site_name is not None and not is_site_name(self.site_name):
            raise ConfigError(
                f"`site_name` must have 1 to 60 printable characters. Received: {self.site_name!r}"
            )


@dataclass(frozen=True)
class AggregateConfig(CommandConfig):
    """Settings of `federate aggregate`."""

    checkpoint_dir: str = same_as(TrainConfig, "checkpoint_dir")
    run: str | None = same_as(TrainConfig, "run")
    min_sites: int = option(
        1,
        "Do not close a round with updates of fewer sites.",
        group="Data",
        low=1,
        high=10_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_run_name(self.run)
        if self.run is None:
            raise ConfigError("--run must name the run of `federate init`. Received: nothing")


def check_run_name(run: str | None) -> None:
    """Checks the name of a run.

    Raises:
        ConfigError: If it is not the name of a folder.
    """
    if run is not None and not units.is_name(run):
        raise ConfigError(f"`run` must be the name of a folder. Received: {run!r}")


def is_site_name(name: str) -> bool:
    """True if a text can be the name of a site: short, and nothing that a terminal obeys."""
    return 0 < len(name) <= 60 and name.isprintable() and not name.isspace()
