"""Settings of `export`."""

from dataclasses import dataclass

from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.config import resolve_weights
from violence_detection.inference.config import PredictConfig
from violence_detection.settings import Config, option, same_as


@dataclass(frozen=True)
class ExportConfig(Config):
    """Settings of `export`."""

    format: str = option("saved_model", "What is written.", shelf="formats")
    scope: str = option(
        "end-to-end",
        "What is in it: everything from uint8 frames to a probability, or the classifier alone, "
        "on features.",
        choices=("end-to-end", "classifier"),
    )
    output: str | None = option(
        None, "Folder for exports; default: `export` in the run's.", path=True
    )
    precision: str = option(
        "float32",
        "Of the weights and, with int8, of what is computed; tflite alone has others than float32.",
        choices=("float32", "float16", "int8"),
    )
    prune: float = option(
        0.0,
        "Share of the weights of every layer, the smallest, that becomes 0.",
        low=0.0,
        high=0.95,
    )
    cluster: int | None = option(
        None, "Values that the weights of a layer may have.", low=2, high=256
    )
    height: int | None = option(
        None,
        "Of the frames that will be given; default: the validation videos' commonest, brought "
        "to a width of 640 at most.",
        low=16,
        high=4320,
    )
    width: int | None = option(None, "The same for the width.", low=16, high=7680)
    fps: float | None = option(
        None,
        "Frames per second that will be given, where a stream looks at more than the sampled "
        "ones; default: the validation videos' commonest.",
        above=0.0,
        high=240.0,
    )
    clips: int = option(
        200, "Validation videos to check the file on, at most.", low=1, high=100_000
    )
    videos: str | None = option(
        None,
        "Folder of the videos, where it is not where it was at extraction.",
        path=True,
    )
    features: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features; default: the one that the run was trained on.",
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "Weights file of the backbone, where the run's own path is not here.",
    )
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings behind the interval of what int8, --prune and --cluster cost.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
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
