"""Settings of `export`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.export import fit_limits
from violence_detection.features.config import resolve_weights
from violence_detection.inference.config import PredictConfig
from violence_detection.settings import CommandConfig, option, same_as

_OF_BUNDLE = {"bundle", "output", "weights", "seed"}


@dataclass(frozen=True)
class ExportConfig(CommandConfig):
    """Settings of `export`."""

    format: str = option("saved_model", "Format of the file.", group="Output", registry="formats")
    bundle: bool = option(
        False,
        "Write the run with the backbone's weights, a card and an example as one folder that "
        "`predict` and `Predictor.load` take on another machine, in place of a file for other "
        "software.",
        group="Output",
    )
    scope: str = option(
        "end-to-end",
        "Content of the file: the whole path from uint8 frames to a probability, or only the "
        "classifier, on features.",
        group="Output",
        choices=("end-to-end", "classifier"),
    )
    output: str | None = option(
        None,
        "Folder for exports; default: `export` in the run's folder.",
        group="Output",
        path="DIRECTORY",
    )
    precision: str = option(
        "float32",
        "Precision of the weights and, with int8, of the computation; only tflite has others than "
        "float32.",
        group="Output",
        choices=("float32", "float16", "int8"),
    )
    fit: str | None = option(
        None,
        "Try precisions, pruning, clustering, smaller frames and a distilled head, and keep the "
        "fastest file within these limits, for example 'mb<=4, ms<=60, auc>=-0.01': size in MB "
        "(also zipped_mb), milliseconds a clip, and AUC compared with the run.",
        group="Output",
        canonical=fit_limits.canonical,
        metavar="LIMITS",
    )
    prune: float = option(
        0.0,
        "Fraction of the weights of every layer, the smallest, that is set to 0.",
        group="Advanced",
        low=0.0,
        high=0.95,
    )
    cluster: int | None = option(
        None,
        "Number of different values that the weights of a layer may have.",
        group="Advanced",
        low=2,
        high=256,
    )
    height: int | None = option(
        None,
        "Height of the frames of a file of one size; default: frames of any size, or for tflite "
        "the most common size of the training videos.",
        group="Output",
        low=16,
        high=4320,
    )
    width: int | None = option(
        None, "Width of the input frames; default: as --height.", group="Output", low=16, high=7680
    )
    fps: float | None = option(
        None,
        "Frames per second of a file of one rate; default: frames of any rate, or for tflite the "
        "most common rate of the training videos.",
        group="Output",
        above=0.0,
        high=240.0,
    )
    max_decision_change: float = option(
        0.02,
        "Largest fraction of the validation videos, as they are, for which the file may decide "
        "otherwise than the run without a warning.",
        group="Analysis",
        low=0.0,
        high=1.0,
    )
    videos_to_check: int = option(
        200,
        "Largest number of validation videos to check the file on.",
        group="Analysis",
        low=1,
        high=100_000,
    )
    dataset_path: str | None = option(
        None,
        "Folder of the videos, if it has moved since the extraction.",
        group="Data",
        path="DIRECTORY",
    )
    features: str | None = same_as(EvaluateConfig, "features")
    weights: str | None = same_as(PredictConfig, "weights")
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings for the interval of the accuracy lost by int8, --prune and "
        "--cluster.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        chosen = sorted(self.given & {"precision", "prune", "cluster"})
        if self.fit and chosen:
            raise ConfigError(
                f"`fit` must come without {chosen[0]}, which it chooses. Received: fit={self.fit}"
            )
        if self.bundle and (others := self.given - _OF_BUNDLE):
            raise ConfigError(
                f"`bundle` must come without the options of a file. Received: {min(others)}"
            )
        if (self.height is None) != (self.width is None):
            raise ConfigError(
                "`height` and `width` must be given together. Received: "
                f"height={self.height}, width={self.width}"
            )
        for name in ("height", "fps"):
            if self.scope == "classifier" and getattr(self, name) is not None:
                raise ConfigError(
                    f"`{name}` must come with scope=end-to-end: a classifier takes features. "
                    f"Received: scope={self.scope}"
                )
