"""Settings of `robustness`."""

import re
from dataclasses import dataclass

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.config import ExtractConfig, resolve_weights
from violence_detection.inference.config import PredictConfig
from violence_detection.settings import Config, option, same_as

_COMMAS = re.compile(r",(?![^()]*\))")  # but for those in brackets


@dataclass(frozen=True)
class RobustnessConfig(Config):
    """Settings of `robustness`."""

    split: str = same_as(EvaluateConfig, "split", "Which part of the videos.")
    conditions: str = option(
        "all",
        "What is done to the videos, with commas in between, for example "
        "`darken(gamma=3),drop_frames,darken+noise`; of those joined by +, each on what the one "
        f"before has left. Parts: {', '.join(registry.available('corruptions'))}.",
    )
    features: str | None = same_as(
        EvaluateConfig,
        "features",
        "Folder of features that names the videos; default: the one that the run was trained on.",
    )
    video_dir: str | None = option(
        None,
        "Folder of the videos; default: the one that the features were made of.",
        path=True,
    )
    weights: str | None = same_as(
        PredictConfig,
        "weights",
        "Weights file of the backbone, where the run's own path is not here.",
    )
    batch_size: int = same_as(ExtractConfig, "batch_size", "Frames encoded at a time.")
    workers: int | None = same_as(
        ExtractConfig,
        "workers",
        "Videos altered at the same time; default: the number of cores.",
    )
    video_timeout: float = same_as(
        ExtractConfig,
        "video_timeout",
        "Seconds that it may take to alter and read a video once.",
    )
    bootstrap: int = same_as(
        EvaluateConfig,
        "bootstrap",
        "Resamples of the recordings behind each interval.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        asked = self.listed
        twice = [spec for spec in asked if asked.count(spec) > 1]
        if twice:
            raise ConfigError(
                f"`conditions` must name each once. Received: {twice[0]} "
                f"{asked.count(twice[0])} times"
            )
        if self.conditions != "all":
            object.__setattr__(self, "conditions", ",".join(asked))

    @property
    def listed(self) -> list[str]:
        """The conditions, each a spec of corruptions.

        Raises:
            ConfigError: If one does not parse, or names what is not on the shelf.
        """
        if self.conditions == "all":
            return registry.available("corruptions")
        return [registry.check("corruptions", spec) for spec in _COMMAS.split(self.conditions)]
