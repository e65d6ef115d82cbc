"""The settings of one training, apart from its videos, devices and places.

An option of the optimiser is a field of `OptimisationConfig`, which `step_builder.build_step`
reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.features import space_lookup
from violence_detection.metrics.thresholds import operating_points
from violence_detection.models import class_thresholds
from violence_detection.models.outputs._presets import PRESETS
from violence_detection.settings import Config, option


@dataclass(frozen=True)
class OptimisationConfig(Config):
    """Length of a training, its steps, and the average of its weights; see `step_builder`."""

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
        "AdamW's decay, not on biases and norms. Weights shrink by this times the sum of rates, "
        "about 0.05 over 240 videos and 60 epochs: under 1 it hardly acts there.",
        group="Optimisation",
        low=0.0,
        high=1000.0,
        tunable=True,
    )
    global_clipnorm: float = option(
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

    def __post_init__(self) -> None:
        super().__post_init__()
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


@dataclass(frozen=True)
class ModelConfig(Config):
    """Head, outputs and loss of a classifier; see `models/heads/`, `models/outputs/` and
    `models/losses/`."""

    head: str = option(
        "bilstm_attention",
        "Classifier on the features.",
        group="Model",
        registry="heads",
        tunable=True,
    )
    outputs: str = option(
        "classes",
        "Questions that the classifier answers, joined by +, each with its weight in the loss: "
        "'classes(weight=0.7)+svdd(weight=0.2)+violence(weight=0.1)'. `fusion` is these, "
        "`multitask` is future, classes, mil and vae, with deeper layers for classes.",
        group="Model",
        registry="outputs",
        words=tuple(PRESETS),
        tunable=True,
    )
    output_weights: str = option(
        "fixed",
        "Weights of the outputs: `fixed`; or `dynamic`, each divided by the running mean of its "
        "loss, with the same sum.",
        group="Model",
        choices=("fixed", "dynamic"),
        tunable=True,
    )
    loss: str = option(
        "focal(alpha=auto, gamma=2.0)",
        "Loss on the logits of the classes.",
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._resolve_smoothing()
        if self.use_focal_loss is not None:
            self._resolve_loss("focal" if self.use_focal_loss else "crossentropy")

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


@dataclass(frozen=True)
class BatchConfig(Config):
    """The videos that an epoch draws, their weights and their changes; see `training_data`."""

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


@dataclass(frozen=True)
class SelectionConfig(Config):
    """The epoch whose model is kept, the end of the training, and further checkpoints; see
    `epoch_selection`."""

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


@dataclass(frozen=True)
class DecisionConfig(Config):
    """The choice of the run's threshold, and the recall below which a training warns.

    `TrainingJob.score_run` chooses the threshold, by `threshold_selection.choose_operating_point`.
    """

    operating_point: str | None = option(
        None,
        "Goal of the threshold on the videos of --calibrate-by: balanced_accuracy or best_f1 (the "
        "highest), recall=FRACTION or false_positive_rate=FRACTION; with --one-class "
        "false_positive_rate=FRACTION or false_alarms_per_hour=NUMBER. A goal that the videos "
        "cannot support is refused. Default: balanced_accuracy, or a threshold of 0.5 if there are "
        "too few videos.",
        group="Decision",
        canonical=operating_points.canonical,
    )
    calibrate_by: str = option(
        "auto",
        "Predictions that temperature and threshold are chosen on: `validation`, those of the "
        "validation videos; `folds`, those of all training and validation videos, each by a "
        "further training without its recording; `auto`, validation where it has 20 videos of 5 "
        "recordings of a class, else folds where both together have.",
        group="Decision",
        choices=("auto", "validation", "folds"),
    )
    calibration_folds: int = option(
        5,
        "Number of folds, and so of trainings, for --calibrate-by folds.",
        group="Decision",
        low=2,
        high=20,
    )
    class_threshold: str | None = option(
        None,
        "With more than two classes: thresholds of single classes of violence, on their own "
        "probability. Such a class is predicted from there on and never below; the others go by "
        "the threshold of violence.",
        group="Decision",
        canonical=class_thresholds.canonical,
        metavar="NAME=P,...",
    )
    recall_bar: float = option(
        0.5,
        "Warn if the validation recall of a class is lower; 0 never warns.",
        group="Decision",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class DistillationConfig(Config):
    """The teacher of a training; see `distillation`."""

    teacher: str | None = option(
        None,
        "Run, or ensemble, whose predictions of the training videos are learned beside their "
        "labels; it may be of another feature space of the same videos.",
        group="Model",
        path="DIRECTORY",
    )
    teacher_features: str | None = option(
        None,
        "Folder of features in the teacher's feature space; default: beside those of the training, "
        "else where the teacher was trained.",
        group="Model",
        path="DIRECTORY",
        canonical=space_lookup.resolved,
    )
    teacher_temperature: float = option(
        4.0,
        "Temperature that softens the predictions of teacher and classifier.",
        group="Model",
        above=0.0,
        high=100.0,
    )
    teacher_weight: float = option(
        0.7,
        "Weight of the teacher in the loss; the labels have the rest.",
        group="Model",
        low=0.0,
        high=1.0,
    )
    allow_teacher_overlap: bool = option(
        False,
        "Accept a teacher that was trained on validation or test videos, or their recordings: the "
        "scores are then better than on new videos.",
        group="Model",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        idle = [
            setting.name
            for setting in self.settings()
            if setting.name in self.given and setting.value_in(self) != setting.default
        ]
        if self.teacher is None and idle:
            raise ConfigError(f"`{idle[0]}` must come with teacher. Received: teacher=None")


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of one training of a `TrainingJob`.

    Attributes:
        seed: Seed of the weights, the order and the augmentation.
        optimisation, model, batches, selection, decision: The settings of `train`, by subject.
        profiled_steps: First and last step of a trace; None for no trace.
        resume: Continue after the last saved epoch.
        recorded: All settings of `train` by flat name, for the run's record.
    """

    seed: int
    optimisation: OptimisationConfig
    model: ModelConfig
    batches: BatchConfig
    selection: SelectionConfig
    decision: DecisionConfig
    profiled_steps: tuple[int, int] | None
    resume: bool
    recorded: Mapping[str, Any]

    def of_fold(self, seed: int) -> Self:
        """The settings of a training that predicts a fold and is then removed."""
        selection = replace(self.selection, checkpoint_epochs=0)
        return replace(self, seed=seed, selection=selection, profiled_steps=None, resume=False)

    def values(self) -> dict[str, Any]:
        """Every setting that can change the result, by flat name."""
        parts = (self.optimisation, self.model, self.batches, self.selection, self.decision)
        values = {name: value for part in parts for name, value in part.as_dict().items()}
        return {"seed": self.seed, **values}
