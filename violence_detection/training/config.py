"""Settings of stage two."""

from dataclasses import dataclass

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features.config import ExtractConfig, FeatureConfig
from violence_detection.metrics import operating_points
from violence_detection.settings import option, same_as
from violence_detection.system import cluster_spec


@dataclass(frozen=True)
class TrainConfig(FeatureConfig):
    """Settings of `train`."""

    dataset_path: str | None = option(
        None, "Folder of videos; what is missing is extracted first.", path=True
    )
    features: str | None = option(None, "Folder that extract-features left.", path=True)
    normal_class: str | None = option(None, "Name of the class in which nothing happens.")
    workers: str | None = option(
        None,
        "Machines that train together, `host:port,host:port,...`, the chief first; default: "
        "those of TF_CONFIG, or of a SLURM step. Or a number: stage one's videos decoded at the "
        "same time.",
    )
    rank: int | None = option(None, "Which of --workers this machine is; 0 is the chief.", low=0)
    extract_batch_size: int = same_as(
        ExtractConfig,
        "batch_size",
        "Stage one, with --dataset-path: frames encoded at a time.",
    )
    extract_mixed_precision: bool = same_as(
        ExtractConfig,
        "mixed_precision",
        "Stage one, with --dataset-path: encode in reduced precision.",
    )
    checkpoint_dir: str = option("checkpoints", "Where runs are kept.", path=True)
    run: str | None = option(None, "Name of the run's folder; default: a fresh one.")
    resume: bool = option(
        False,
        "Go on with --run (default: the newest run); one that is finished prints its result.",
    )
    init_from: str | None = option(
        None,
        "Run whose classifier's weights the training begins with; of the same features and head.",
        path=True,
    )
    seeds: int = option(
        1,
        "Members to train, with the seeds --seed, --seed + 1, ...; kept is the one with the "
        "lowest validation loss.",
        low=1,
        high=100,
    )
    ensemble: bool = option(
        False,
        "With --seeds: keep all members as one model, which gives the mean of their probabilities.",
    )
    epochs: int = option(60, "Passes over the training videos.", low=1, high=100_000)
    batch_size: int = option(32, "Videos in a step, over all devices.", low=1, high=65_536)
    gradient_accumulation: int = option(
        1,
        "Work each step's videos through in so many pieces and add up their gradients: the same "
        "step in less memory.",
        low=1,
        high=1024,
    )
    learning_rate: float = option(2e-4, "Highest learning rate.", above=0.0, high=10.0)
    schedule: str = option(
        "warmup_cosine",
        "How the learning rate goes over the training.",
        choices=("warmup_cosine", "one_cycle", "constant"),
    )
    warmup_epochs: float | None = option(
        None,
        "Epochs spent warming up; default: 5, or a fifth of --epochs if that is less; of "
        "one_cycle, three tenths.",
        low=0.0,
    )
    weight_decay: float = option(0.01, "AdamW's decay, not on biases and norms.", low=0.0, high=1.0)
    clip_norm: float = option(
        1.0, "Largest global norm of the gradients; 0 does not clip.", low=0.0
    )
    sam_rho: float = option(
        0.0,
        "Sharpness-aware minimisation: the distance uphill at which the gradient is taken, for "
        "example 0.05; every step costs two. 0 is off.",
        low=0.0,
        high=10.0,
    )
    ema_decay: float = option(
        0.0,
        "Validate and keep an exponential average of the weights with this decay, for example "
        "0.99; 0 is off.",
        low=0.0,
        high=0.99999,
    )
    swa_fraction: float = option(
        0.0,
        "Keep the mean of the weights over this last share of the epochs, for example 0.25; "
        "nothing stops earlier then. 0 is off.",
        low=0.0,
        high=1.0,
    )
    head: str = option("bilstm_attention", "Classifier on the features.", shelf="heads")
    loss: str = option("focal(alpha=auto, gamma=2.0)", "Loss on the logits.", shelf="losses")
    use_focal_loss: bool | None = option(
        None, "Short for --loss focal; --no-use-focal-loss for crossentropy."
    )
    label_smoothing: float = option(
        0.0, "Share of a label's weight spread over the classes.", low=0.0, high=0.5
    )
    use_class_weights: bool = option(
        True, "Weigh classes by the inverse of their share of what is drawn."
    )
    sampling: str = option(
        "natural",
        "Which videos an epoch draws: each once; or as many, of each class in proportion to the "
        "square root of its videos; or the same number of each class.",
        choices=("natural", "sqrt", "balanced"),
    )
    recording_weights: str = option(
        "sqrt",
        "How much each video of a recording of n weighs within its class: as any other; in "
        "proportion to 1/sqrt(n), so that a long recording counts for more, but not n times; or to "
        "1/n, so that recordings of one class count alike.",
        choices=("natural", "sqrt", "balanced"),
        formerly="natural",
    )
    augment: str = option(
        "none",
        "How the features of a training batch are changed, anew each time; several are joined by "
        "+ and done in that order. `none` leaves them as they are.",
        shelf="augmentations",
        words=("none",),
    )
    mixed_precision: bool = option(False, "Train in float16 (GPU) or bfloat16 (a CPU that has it).")
    xla: bool = option(False, "Compile the forward and backward pass with XLA.")
    virtual_devices: int | None = option(
        None,
        "Split the CPU into this many devices and train over them, to try it out.",
        low=1,
        high=8,
    )
    deterministic: bool = option(False, "The same bits at every run; slower.")
    monitor: str = option(
        "val_loss",
        "What decides which epoch is kept: the last one whose val_loss is not clearly worse than "
        "the best, by two standard errors over recordings; the highest val_auc or val_accuracy; or "
        "nothing: with `none`, as with --swa-fraction, all epochs are run and the last is kept.",
        choices=("val_loss", "val_auc", "val_accuracy", "none"),
    )
    early_stopping_patience: int = option(
        15,
        "Epochs without a better one before training stops; 0 never stops, as with "
        "--swa-fraction and --monitor none.",
        low=0,
    )
    checkpoint_epochs: int = option(
        10, "Keep checkpoint_epoch_*.keras every so many epochs; 0 keeps none.", low=0
    )
    operating_point: str | None = option(
        None,
        "What the threshold is to reach on validation: balanced_accuracy or best_f1 (the best), "
        "recall=SHARE or false_positive_rate=SHARE; what the videos cannot support is refused. "
        "Default: balanced_accuracy or, where validation is too small, a threshold of 0.5.",
        canonical=operating_points.canonical,
    )
    recall_bar: float = option(
        0.5,
        "Warn of a class of which a smaller share is found on validation; 0 never warns.",
        low=0.0,
        high=1.0,
    )
    profile: str | None = option(
        None,
        "Leave a trace of these steps, `FIRST,LAST` (for example 10,20), for TensorBoard's "
        "profile plugin.",
        span=1000,
    )

    def __post_init__(self) -> None:
        if type(self.workers) is int:
            object.__setattr__(self, "workers", str(self.workers))
        super().__post_init__()
        self._check_workers()
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            raise ConfigError(
                "`warmup_epochs` must be < epochs. Received: "
                f"warmup_epochs={self.warmup_epochs}, epochs={self.epochs}"
            )
        if self.ema_decay and self.swa_fraction:
            raise ConfigError(
                "One of `ema_decay` and `swa_fraction` must be 0: either average is the one that "
                f"is kept. Received: ema_decay={self.ema_decay}, swa_fraction={self.swa_fraction}"
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

    def _check_operating_point(self) -> None:
        if (self.operating_point or "").startswith(operating_points.FALSE_ALARMS_PER_HOUR):
            raise ConfigError(
                "`operating_point` of alarms per hour must be chosen by evaluate with "
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
                "`monitor` must be left out with swa_fraction: the mean of the last epochs is what "
                f"is kept. Received: monitor={self.monitor}, swa_fraction={self.swa_fraction}"
            )

    def _resolve_patience(self) -> None:
        """Make it 0 where all epochs are run."""
        if not self.swa_fraction and self.monitor != "none":
            return
        if "early_stopping_patience" in self.given and self.early_stopping_patience:
            raise ConfigError(
                "`early_stopping_patience` must be 0 where all epochs are run. Received: "
                f"early_stopping_patience={self.early_stopping_patience} with monitor="
                f"{self.monitor}, swa_fraction={self.swa_fraction}"
            )
        object.__setattr__(self, "early_stopping_patience", 0)

    @property
    def decoders(self) -> int | None:
        """The number in `workers`: that of stage one."""
        number = self.workers is not None and self.workers.lstrip("-").isdecimal()
        return int(self.workers) if number else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines in `workers`; none if it names none."""
        if self.workers is None or self.decoders is not None:
            return ()
        return cluster_spec.parse_addresses(self.workers)

    def _check_workers(self) -> None:
        decoders = next(s for s in FeatureConfig.settings() if s.name == "workers")
        decoders.checked(self.decoders)
        machines = self.hosts
        if bool(machines) != (self.rank is not None):
            raise ConfigError(
                "`rank` must come with the machines in `workers`, and they with it. Received: "
                f"workers={self.workers}, rank={self.rank}"
            )
        if machines and self.rank >= len(machines):
            raise ConfigError(
                f"`rank` must be < {len(machines)}, the number of machines in `workers`. "
                f"Received: rank={self.rank}"
            )

    def _resolve_smoothing(self) -> None:
        """Put a `label_smoothing` in `loss` into the setting of that name."""
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
        rule = next(s for s in self.settings() if s.name == "label_smoothing")
        object.__setattr__(self, "label_smoothing", rule.checked(smoothing))
        object.__setattr__(self, "given", self.given | {"label_smoothing"})
        object.__setattr__(self, "loss", str(first._replace(arguments=arguments)))

    def _resolve_loss(self, wanted: str) -> None:
        """Put what the shorthand says into `loss`, which alone counts from here on."""
        if registry.parse(self.loss)[0].name != wanted:
            if "loss" in self.given:
                flag = "--use-focal-loss" if self.use_focal_loss else "--no-use-focal-loss"
                raise ConfigError(f"{flag} and --loss must agree. Received: --loss {self.loss}")
            object.__setattr__(self, "loss", wanted)
        object.__setattr__(self, "use_focal_loss", None)
        object.__setattr__(self, "given", self.given - {"use_focal_loss"} | {"loss"})
