"""Every setting once: its default, range and help. Flags, checks and JSON come from here."""

from dataclasses import dataclass
from pathlib import Path

from violence_detection import files, hosts, parts
from violence_detection.errors import ConfigError
from violence_detection.settings import Config, option, same_as


@dataclass(frozen=True)
class FeatureConfig(Config):
    """What stage one and everything that calls it share."""

    cache_dir: str = option("feature_cache", "Where features are kept.", path=True)
    dataset_name: str | None = option(
        None,
        "Name of the dataset in the cache; default: the folder's name and a digest of its path.",
    )
    backbone: str = option(
        "efficientnetb0", "Network that encodes a frame.", shelf="backbones"
    )
    weights: str = option(
        "imagenet",
        "`imagenet` (downloaded once), `random` (drawn from --seed), or a weights file.",
    )
    stream: str = option(
        "motion(focus=true)",
        "What the backbone sees of a clip; several are joined by +, with (focus=true) each is cut "
        "to where the motion is.",
        shelf="streams",
    )
    frames: int = option(20, "Frames sampled from a video (T).", low=1, high=1024)
    frame_size: int | None = option(
        None,
        "Side in pixels of what the backbone sees; default: the backbone's own.",
        low=32,
        high=1024,
    )
    engine: str = option(
        "tensorflow",
        "What runs the backbone; `auto` takes the fastest that is here.",
        shelf="engines",
        words=("auto",),
    )
    workers: int | None = option(
        None,
        "Videos decoded at the same time; default: the number of cores.",
        low=1,
        high=256,
    )
    video_timeout: float = option(
        600.0,
        "Seconds that the decoding of a video may take; one that takes longer counts as "
        "unreadable.",
        above=0.0,
        high=1e6,
    )
    max_failures: float = option(
        0.2,
        "Stop when more than this share of a class cannot be read; 1 never stops.",
        low=0.0,
        high=1.0,
    )
    retry_failed: bool = option(
        False, "Try videos again that could not be read before."
    )
    group_pattern: str | None = option(
        None,
        "Regular expression on a video's path; its first group (or match) names the recording.",
    )
    validation_fraction: float = option(
        0.15,
        "Share of the videos for validation, where no split is given.",
        low=0.0,
        high=0.9,
    )
    test_fraction: float = option(
        0.15,
        "Share of the videos for the test, where no split is given.",
        low=0.0,
        high=0.9,
    )
    split_seed: int = option(42, "Seed of the drawn split.", low=0, high=2**31 - 1)
    redraw_splits: bool = option(
        False, "Draw the split again instead of keeping splits.csv."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _resolve_weights(self)
        if self.validation_fraction + self.test_fraction >= 1:
            raise ConfigError(
                "`validation_fraction` + `test_fraction` must be < 1. Received: "
                f"{self.validation_fraction} + {self.test_fraction}"
            )
        if self.dataset_name is not None and not files.is_name(self.dataset_name):
            raise ConfigError(
                f"`dataset_name` must be the name of a folder. Received: {self.dataset_name!r}"
            )


@dataclass(frozen=True)
class ExtractConfig(FeatureConfig):
    """Settings of `extract-features`."""

    batch_size: int = option(32, "Frames encoded at a time.", low=1, high=4096)
    mixed_precision: bool = option(
        False, "Encode in float16 (GPU) or bfloat16 (a CPU that has it)."
    )
    views: int = option(
        0,
        "Further views to keep of each video, for augmentation: mirrored, slightly cropped, "
        "brighter or darker.",
        low=0,
        high=99,
    )
    executor: str = option(
        "local",
        "Where the work is done: on this machine, or on a Ray cluster that shares the folders.",
        choices=("local", "ray"),
    )
    address: str | None = option(
        None, "Of the Ray cluster; default: one is started on this machine."
    )
    machines: int | None = option(
        None,
        "How often Ray runs the backbone; default: once on each machine of the cluster.",
        low=1,
        high=10_000,
    )
    shard: str | None = option(
        None,
        "Do part I of N of the videos (`I/N`), beside others that do the rest, on one cache.",
    )
    verify: bool = option(
        False, "Read every video and array again and compare digests."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("address", "machines"):
            if self.executor != "ray" and getattr(self, name) is not None:
                raise ConfigError(
                    f"`{name}` must come with executor=ray. Received: executor={self.executor}"
                )


@dataclass(frozen=True)
class TrainConfig(FeatureConfig):
    """Settings of `train`."""

    dataset_path: str | None = option(
        None, "Folder of videos; what is missing is extracted first.", path=True
    )
    features: str | None = option(None, "Folder that extract-features left.", path=True)
    normal_class: str | None = option(
        None, "Name of the class in which nothing happens."
    )
    workers: str | None = option(
        None,
        "Machines that train together, `host:port,host:port,...`, the chief first; default: "
        "those of TF_CONFIG, or of a SLURM step. Or a number: stage one's videos decoded at the "
        "same time.",
    )
    rank: int | None = option(
        None, "Which of --workers this machine is; 0 is the chief.", low=0
    )
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
    epochs: int = option(60, "Passes over the training videos.", low=1, high=100_000)
    batch_size: int = option(
        32, "Videos in a step, over all devices.", low=1, high=65_536
    )
    gradient_accumulation: int = option(
        1,
        "Work each step's videos through in so many pieces and add up their gradients: the same "
        "step in less memory.",
        low=1,
        high=1024,
    )
    learning_rate: float = option(5e-4, "Highest learning rate.", above=0.0, high=10.0)
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
    weight_decay: float = option(
        0.01, "AdamW's decay, not on biases and norms.", low=0.0, high=1.0
    )
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
    loss: str = option(
        "focal(alpha=auto, gamma=2.0)", "Loss on the logits.", shelf="losses"
    )
    use_focal_loss: bool | None = option(
        None, "Short for --loss focal; --no-use-focal-loss for crossentropy."
    )
    label_smoothing: float = option(
        0.05, "Share of a label's weight spread over the classes.", low=0.0, high=0.5
    )
    use_class_weights: bool = option(
        True, "Weigh classes by the inverse of their share."
    )
    mixed_precision: bool = option(
        False, "Train in float16 (GPU) or bfloat16 (a CPU that has it)."
    )
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
        "the best, by two standard errors over recordings; or the highest val_auc or val_accuracy.",
        choices=("val_loss", "val_auc", "val_accuracy"),
    )
    early_stopping_patience: int = option(
        15,
        "Epochs without a better one before training stops; 0 never stops.",
        low=0,
    )
    checkpoint_epochs: int = option(
        10, "Keep checkpoint_epoch_*.keras every so many epochs; 0 keeps none.", low=0
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
        self._resolve_smoothing()
        if self.use_focal_loss is not None:
            self._resolve_loss("focal" if self.use_focal_loss else "crossentropy")

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
        return hosts.parse(self.workers)

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
        first, *more = parts.parse(self.loss)
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
        if parts.parse(self.loss)[0].name != wanted:
            if "loss" in self.given:
                flag = (
                    "--use-focal-loss" if self.use_focal_loss else "--no-use-focal-loss"
                )
                raise ConfigError(
                    f"{flag} and --loss must agree. Received: --loss {self.loss}"
                )
            object.__setattr__(self, "loss", wanted)
        object.__setattr__(self, "use_focal_loss", None)
        object.__setattr__(self, "given", self.given - {"use_focal_loss"} | {"loss"})


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of `evaluate`."""

    split: str = option(
        "test", "Which part of the videos.", choices=("train", "validation", "test")
    )
    features: str | None = option(
        None,
        "Folder of features; default: the one that the run was trained on.",
        path=True,
    )
    bootstrap: int = option(
        2000, "Resamples of the recordings behind each interval.", low=100, high=100_000
    )


@dataclass(frozen=True)
class PredictConfig(Config):
    """Settings of `predict`."""

    weights: str | None = option(
        None, "Weights file of the backbone, where the run's own path is not here."
    )
    stride_s: float | None = option(
        None, "Seconds from one window to the next; default: half a window.", low=0.04
    )
    focus_s: float | None = option(
        None,
        "Seconds for which a focused stream looks at one place of a long video, so that windows "
        "share pictures; default: the place is found anew for each window.",
        low=0.1,
    )
    batch_size: int = same_as(ExtractConfig, "batch_size", "Frames encoded at a time.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _resolve_weights(self)


@dataclass(frozen=True)
class CheckConfig(Config):
    """Settings of `check`."""

    frames: int = same_as(
        FeatureConfig, "frames", "Frames that extraction will sample from a video (T)."
    )
    group_pattern: str | None = same_as(
        FeatureConfig,
        "group_pattern",
        "Regular expression on a video's path; its first group (or match) names the recording.",
    )
    near_bits: float = option(
        4.0,
        "Videos look alike whose frames' hashes differ by this many of 64 bits on average.",
        low=0.0,
        high=32.0,
    )
    workers: int | None = same_as(
        FeatureConfig,
        "workers",
        "Videos looked at at the same time; default: the number of cores.",
    )
    video_timeout: float = same_as(
        FeatureConfig,
        "video_timeout",
        "Seconds that looking at a video may take.",
    )


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


def _resolve_weights(config: FeatureConfig | PredictConfig) -> None:
    """Make a path in `weights` absolute."""
    if config.weights == "":
        raise ConfigError(
            "`weights` must be imagenet, random or a file. Received: nothing"
        )
    if config.weights not in (None, "imagenet", "random"):
        object.__setattr__(config, "weights", str(Path(config.weights).absolute()))
