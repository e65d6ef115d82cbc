"""Settings of `robustness`."""

from dataclasses import dataclass

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.config import ExtractConfig, resolve_weights
from violence_detection.inference.config import PredictConfig
from violence_detection.settings import CommandConfig, option, same_as

# What the documented tables have: lens, light, recorder and network.
USUAL = tuple("blur compress crop darken downscale drop_frames jpeg mirror noise".split())
_SETS = ("usual", "all")


@dataclass(frozen=True)
class RobustnessConfig(CommandConfig):
    """Settings of `robustness`."""

    split: str = same_as(EvaluateConfig, "split", "Split to evaluate.")
    conditions: str = option(
        "usual",
        "Corruptions of the videos, separated by commas, for example "
        "`darken(gamma=3),drop_frames,darken+noise`; those joined by + are applied one after "
        f"another. `usual` are {', '.join(USUAL)}; `all` are these parts: "
        f"{', '.join(registry.available('corruptions'))}.",
        group="Study",
    )
    features: str | None = same_as(
        EvaluateConfig,
        "features",
        "Features whose videos are corrupted, as --features of evaluate; default: those of the "
        "run's training.",
    )
    dataset_path: str | None = option(
        None,
        "Folder of the videos, if it has moved since the extraction.",
        group="Data",
        path="DIRECTORY",
    )
    weights: str | None = same_as(PredictConfig, "weights")
    batch_size: int = same_as(ExtractConfig, "batch_size")
    workers: int | None = same_as(
        ExtractConfig,
        "workers",
        "Videos corrupted at the same time; default: the number of cores.",
    )
    video_timeout_s: float = same_as(
        ExtractConfig,
        "video_timeout_s",
        "Seconds that corrupting and reading a video once may take.",
    )
    bootstrap: int = same_as(EvaluateConfig, "bootstrap")

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_weights(self)
        specs = self.listed
        twice = [spec for spec in specs if specs.count(spec) > 1]
        if twice:
            raise ConfigError(
                f"`conditions` must name each once. Received: {twice[0]} "
                f"{specs.count(twice[0])} times"
            )
        if self.conditions not in _SETS:
            self._set("conditions", ",".join(specs))

    @property
    def listed(self) -> list[str]:
        """The conditions, each a spec of corruptions.

        Raises:
            ConfigError: If a condition does not parse, or names no corruption.
        """
        if self.conditions in _SETS:
            return list(USUAL) if self.conditions == "usual" else registry.available("corruptions")
        return [
            registry.check("corruptions", spec) for spec in registry.split_list(self.conditions)
        ]
