"""Settings of stage two."""

import re
from dataclasses import dataclass
from typing import Any

from violence_detection import registry
from violence_detection.datasets.config import SplitConfig
from violence_detection.errors import ConfigError
from violence_detection.features.config import ExtractConfig
from violence_detection.metrics import operating_points
from violence_detection.settings import CommandConfig, nested, option
from violence_detection.system import cluster_spec

_MOST_PROFILED_STEPS = 1000


def check_profile(text: str) -> str:
    """Checks `FIRST,LAST`, the steps of a profile.

    Raises:
        ConfigError: If the text is not two such numbers.
    """
    numbers = re.fullmatch(r"(\d{1,9}),(\d{1,9})", text, re.ASCII)
    first, last = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if not 1 <= first < last <= first + _MOST_PROFILED_STEPS:
        raise ConfigError(
            "`profile` must be FIRST,LAST with 1 <= FIRST < LAST <= FIRST + "
            f"{_MOST_PROFILED_STEPS}. Received: profile={text}"
        )
    return text


@dataclass(frozen=True)
class TrainConfig(CommandConfig):
    """Settings of `train`: the split, stage one for --dataset-path, and stage two."""

    dataset_path: str | None = option(
        None,
        "Folder of videos; missing features are extracted first.",
        group="Data",
        path="DIRECTORY",
        free=True,
    )
    features: str | None = option(
        None, "Folder of features from extract-features.", group="Data", path="DIRECTORY", free=True
    )
    normal_class: str | None = option(None, "Name of the normal class.", group="Data")
    split: SplitConfig = nested(SplitConfig)
    extract: ExtractConfig = nested(
        ExtractConfig,
        shared=("seed", "split"),
        # train derives `views` from --augment; the others are for an extraction of its own
        without=("views", "executor", "address", "machines", "shard", "verify"),
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
        free=True,
    )
    rank: int | None = option(
        None,
        "Number of this machine in --hosts; 0 is the chief.",
        group="Devices",
        low=0,
        free=True,
    )
    checkpoint_dir: str = option(
        "checkpoints", "Folder of the runs.", group="Output", path="DIRECTORY", free=True
    )
    run: str | None = option(
        None, "Name of the run's folder; default: a new name.", group="Output", free=True
    )
    resume: bool = option(
        False,
        "Resume --run (default: the newest run); a finished run prints its result again.",
        group="Output",
        free=True,
    )
    init_from: str | None = option(
        None,
        "Run whose classifier gives the initial weights; it must have the same feature space and "
        "head.",
        group="Model",
        path="DIRECTORY",
    )
    seeds: int = option(
        1,
        "Members to train, with the seeds --seed, --seed + 1, ...; the member with the lowest "
        "validation loss is kept.",
        group="Averaging",
        low=1,
        high=100,
    )
    ensemble: bool = option(
        False,
        "With --seeds: keep all members as one model, which returns the mean of their "
        "probabilities.",
        group="Averaging",
    )
    epochs: int = option(
        60,
        "Passes over the training videos.",
        group="Optimisation",
        low=1,
        high=100_000,
        tunable=True,
    )
    batch_size: int = option(
        32,
        "Videos in a step, over all devices.",
        group="Optimisation",
        low=1,
        high=65_536,
        tunable=True,
    )
    gradient_accumulation: int = option(
        1,
        "Split the videos of a step into this many parts and add up their gradients: the same "
        "step with less memory.",
        group="Optimisation",
        low=1,
        high=1024,
        tunable=True,
    )
    learning_rate: float = option(
        2e-4, "Highest learning rate.", group="Optimisation", above=0.0, high=10.0, tunable=True
    )
    schedule: str = option(
        "warmup_cosine",
        "Course of the learning rate over the training.",
        group="Optimisation",
        choices=("warmup_cosine", "one_cycle", "constant"),
        tunable=True,
    )
    warmup_epochs: float | None = option(
        None,
        "Epochs of warm-up; default: 5, or a fifth of --epochs if that is less; with one_cycle, "
        "three tenths of --epochs.",
        group="Optimisation",
        low=0.0,
        tunable=True,
    )
    weight_decay: float = option(
        0.01,
        "AdamW's decay, not on biases and norms.",
        group="Optimisation",
        low=0.0,
        high=1.0,
        tunable=True,
    )
    clip_norm: float = option(
        1.0,
        "Largest global norm of the gradients; 0 does not clip.",
        group="Optimisation",
        low=0.0,
        tunable=True,
    )
    sam_rho: float = option(
        0.0,
        "Sharpness-aware minimisation: the distance uphill at which the gradient is taken, for "
        "example 0.05; a step takes twice as long. 0 is off.",
        group="Optimisation",
        low=0.0,
        high=10.0,
        tunable=True,
    )
    ema_decay: float = option(
        0.0,
        "Validate and keep an exponential average of the weights with this decay, for example "
        "0.99; 0 is off.",
        group="Averaging",
        low=0.0,
        high=0.99999,
        tunable=True,
    )
    swa_fraction: float = option(
        0.0,
        "Keep the mean of the weights over this last fraction of the epochs, for example 0.25; "
        "the training then runs all epochs. 0 is off.",
        group="Averaging",
        low=0.0,
        high=1.0,
        tunable=True,
    )
    head: str = option(
        "bilstm_attention",
        "Classifier on the features.",
        group="Model",
        registry="heads",
        tunable=True,
    )
    loss: str = option(
        "focal(alpha=auto, gamma=2.0)",
        "Loss on the logits.",
        group="Model",
        registry="losses",
        tunable=True,
    )
    use_focal_loss: bool | None = option(
        None, "Short for --loss focal; --no-use-focal-loss for crossentropy.", group="Model"
    )
    label_smoothing: float = option(
        0.0,
        "Fraction of a label's weight that is spread over the classes.",
        group="Model",
        low=0.0,
        high=0.5,
        tunable=True,
    )
    use_class_weights: bool = option(
        True,
        "Weight each class by the inverse of its fraction of the sampled videos.",
        group="Imbalance",
        tunable=True,
    )
    sampling: str = option(
        "natural",
        "Videos that an epoch draws: `natural`, each video once; `sqrt`, as many, each class in "
        "proportion to the square root of its number of videos; `balanced`, equally many of each "
        "class.",
        group="Imbalance",
        choices=("natural", "sqrt", "balanced"),
        tunable=True,
    )
    recording_weights: str = option(
        "sqrt",
        "Weight of a video within its class, where its recording has n videos: `natural`, equal "
        "for all; `sqrt`, in proportion to 1/sqrt(n), so that a long recording counts for more, "
        "but not n times; `balanced`, 1/n, so that the recordings of a class count equally.",
        group="Imbalance",
        choices=("natural", "sqrt", "balanced"),
        tunable=True,
    )
    augment: str = option(
        "none",
        "Random change of the features of a training batch; several are joined by + and applied "
        "in that order. `none` leaves them unchanged.",
        group="Optimisation",
        registry="augmentations",
        words=("none",),
        tunable=True,
    )
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
    monitor: str = option(
        "val_loss",
        "Criterion for the epoch that is kept: the last epoch whose val_loss is not worse than "
        "the best by two standard errors over recordings; the highest val_auc or val_accuracy; "
        "or, with `none` as with --swa-fraction, the last of all epochs.",
        group="Optimisation",
        choices=("val_loss", "val_auc", "val_accuracy", "none"),
    )
    early_stopping_patience: int = option(
        15,
        "Epochs without improvement before training stops; 0 never stops, as with "
        "--swa-fraction and --monitor none.",
        group="Optimisation",
        low=0,
        tunable=True,
    )
    checkpoint_epochs: int = option(
        10,
        "Epochs from one checkpoint_epoch_*.keras to the next; 0 keeps none.",
        group="Output",
        low=0,
    )
    operating_point: str | None = option(
        None,
        "Goal of the threshold on the validation videos: balanced_accuracy or best_f1 (the "
        "highest), recall=FRACTION or false_positive_rate=FRACTION. A goal that the videos cannot "
        "support is refused. Default: balanced_accuracy, or a threshold of 0.5 if there are too "
        "few validation videos.",
        group="Decision",
        canonical=operating_points.canonical,
    )
    recall_bar: float = option(
        0.5,
        "Warn if the validation recall of a class is lower; 0 never warns.",
        group="Decision",
        low=0.0,
        high=1.0,
    )
    profile: str | None = option(
        None,
        "Record a trace of these steps, for example 10,20, for TensorBoard's profile plugin.",
        group="Advanced",
        canonical=check_profile,
        metavar="FIRST,LAST",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_hosts()
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            raise ConfigError(
                "`warmup_epochs` must be < epochs. Received: "
                f"warmup_epochs={self.warmup_epochs}, epochs={self.epochs}"
            )
        if self.ema_decay and self.swa_fraction:
            raise ConfigError(
                "One of `ema_decay` and `swa_fraction` must be 0: a run keeps one average. "
                f"Received: ema_decay={self.ema_decay}, swa_fraction={self.swa_fraction}"
            )
        if self.gradient_accumulation > self.batch_size:
            raise ConfigError(
                "`gradient_accumulation` must be <= batch_size. Received: gradient_accumulation="
                f"{self.gradient_accumulation}, batch_size={self.batch_size}"
            )
        self._check_operating_point()
        self._check_members()
        self._check_monitor()
        self._resolve_patience()
        self._resolve_smoothing()
        if self.use_focal_loss is not None:
            self._resolve_loss("focal" if self.use_focal_loss else "crossentropy")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses in `hosts`; empty for a training on one machine."""
        return cluster_spec.parse_addresses(self.hosts) if self.hosts is not None else ()

    @property
    def own_split(self) -> SplitConfig | None:
        """The split that the run draws for itself; None for that of the dataset."""
        return self.split if self.features is not None and self.split.given else None

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step of `profile`."""
        if self.profile is None:
            return None
        first, _, last = self.profile.partition(",")
        return int(first), int(last)

    @classmethod
    def _upgraded(cls, recorded: dict[str, Any]) -> dict[str, Any]:
        recorded = super()._upgraded(recorded)
        recorded.setdefault("recording_weights", "natural")  # before the setting existed
        # `workers` was text: a number of processes, or the addresses of machines.
        workers = recorded.get("workers")
        if isinstance(workers, str) and workers.lstrip("-").isdecimal():
            recorded["workers"] = int(workers)
        elif isinstance(workers, str):
            recorded |= {"workers": None, "hosts": workers}
        return recorded

    def _check_operating_point(self) -> None:
        if (self.operating_point or "").startswith(operating_points.FALSE_ALARMS_PER_HOUR):
            raise ConfigError(
                "`operating_point` with false alarms per hour must be chosen by evaluate "
                f"--normal-footage. Received: {self.operating_point}"
            )

    def _check_members(self) -> None:
        if self.ensemble and self.seeds == 1:
            raise ConfigError("`ensemble` must come with seeds >= 2. Received: seeds=1")
        if self.seed + self.seeds > 2**31:
            raise ConfigError(
                f"`seed` + `seeds` must be <= 2147483648. Received: {self.seed} + {self.seeds}"
            )

    def _check_monitor(self) -> None:
        if self.swa_fraction and "monitor" in self.given and self.monitor != "none":
            raise ConfigError(
                "`monitor` must not be given with swa_fraction: the mean of the last epochs is "
                f"kept. Received: monitor={self.monitor}, swa_fraction={self.swa_fraction}"
            )

    def _resolve_patience(self) -> None:
        """Sets the patience to 0 if the training runs all epochs."""
        if not self.swa_fraction and self.monitor != "none":
            return
        if "early_stopping_patience" in self.given and self.early_stopping_patience:
            raise ConfigError(
                "`early_stopping_patience` must be 0 if the training runs all epochs. Received: "
                f"early_stopping_patience={self.early_stopping_patience} with monitor="
                f"{self.monitor}, swa_fraction={self.swa_fraction}"
            )
        self._set("early_stopping_patience", 0)

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

    def _resolve_smoothing(self) -> None:
        """Moves a `label_smoothing` of the spec in `loss` into the setting of that name."""
        first, *more = registry.parse(self.loss)
        if more or "label_smoothing" not in first.arguments:
            return
        arguments = dict(first.arguments)
        smoothing = arguments.pop("label_smoothing")
        if "label_smoothing" in self.given and smoothing != self.label_smoothing:
            raise ConfigError(
                "--label-smoothing and --loss must agree. Received: "
                f"--label-smoothing {self.label_smoothing} and --loss {self.loss}"
            )
        setting = next(s for s in self.settings() if s.name == "label_smoothing")
        self._set("label_smoothing", setting.check(smoothing))
        self._set("given", self.given | {"label_smoothing"})
        self._set("loss", str(first._replace(arguments=arguments)))

    def _resolve_loss(self, wanted: str) -> None:
        """Moves `use_focal_loss` into `loss`, the only setting that later code reads."""
        if registry.parse(self.loss)[0].name != wanted:
            if "loss" in self.given:
                flag = "--use-focal-loss" if self.use_focal_loss else "--no-use-focal-loss"
                raise ConfigError(f"{flag} and --loss must agree. Received: --loss {self.loss}")
            self._set("loss", wanted)
        self._set("use_focal_loss", None)
        self._set("given", self.given - {"use_focal_loss"} | {"loss"})
