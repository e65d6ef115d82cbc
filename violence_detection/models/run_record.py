"""The record of a run: how it was trained, and how its predictions are interpreted."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.errors import CacheError, RunError
from violence_detection.features.checking.frame_formats import FrameFormat
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.federation_record import FederationRecord

FORMAT_VERSION = 1
CONFIG_KEYS = frozenset(
    "classes normal_class dataset features fingerprint feature_space weights window_s".split()
)
RESULTS_KEYS = frozenset({"threshold"})


@dataclass(frozen=True)
class RunRecord:
    """The record of a finished run: its training data, its classes, its threshold and temperature.

    Attributes:
        classes: Names of the K classes, the normal one first.
        normal_class: The first of them.
        dataset: The dataset of the features.
        features: The folder of the features.
        fingerprint: Digest of the feature space.
        feature_space: Backbone, stream, frames and all else that makes features comparable.
        weights_source: `imagenet`, `random`, or the path of the backbone's weights file.
        weights_seed: Seed of random weights.
        weights_parts: Of a joined feature space, the weights of each part; else empty.
        window_s: Length of a window: the training clips' median duration.
        frame_format: Most common size and rate of the training videos; None in runs made before it
            was measured, and where the videos were gone.
        threshold: On the score, from which on a clip is violent.
        temperature: Divides the logits; 1 in runs made before it existed.
        temperature_reason: Why it is that.
        operating_point: What the threshold was chosen to reach, as asked for; empty for the
            default.
        settings: The settings of the training, by name.
        class_thresholds: Thresholds of single classes by name; see `ClassThresholds`.
        own_split: True if the split was drawn for this run alone.
        ensemble: Of an ensemble, the entry of each run in it; else empty.
        federation: The sites that it was trained over; None for a training at one place.
    """

    classes: list[str]
    normal_class: str
    dataset: DatasetOrigin
    features: str
    fingerprint: str
    feature_space: FeatureSpace
    weights_source: str
    weights_seed: int
    weights_parts: tuple[WeightsOrigin, ...]
    window_s: float
    frame_format: FrameFormat | None
    threshold: float
    temperature: float
    temperature_reason: str
    operating_point: str
    settings: dict[str, Any]
    class_thresholds: Mapping[str, float] = field(default_factory=dict)
    own_split: bool = False
    ensemble: Sequence[Mapping[str, Any]] = ()
    federation: FederationRecord | None = None

    @classmethod
    def from_json(cls, config: dict[str, Any], results: dict[str, Any], folder: Path) -> Self:
        """The record of training_config.json and training_results.json.

        Args:
            config: The content of the first.
            results: The content of the second.
            folder: The run's folder, for messages.

        Raises:
            RunError: If the format is of a newer version, or a key is missing or not usable.
        """
        version = config.get("format_version", 0)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RunError(
                f"The run's format must be <= {FORMAT_VERSION}. Received: {version} in {folder} "
                "(made by a newer version of this program)"
            )
        for file, content, keys in (
            ("training_config.json", config, CONFIG_KEYS),
            ("training_results.json", results, RESULTS_KEYS),
        ):
            missing = keys - content.keys()
            if missing:
                raise RunError(
                    f"{file} must have `{min(missing)}`. Received: {folder / file} (without it)"
                )
        try:
            space = FeatureSpace.from_json(config["feature_space"])
            dataset = DatasetOrigin.from_json(config["dataset"])
            weights = WeightsOrigin.from_json(config["weights"]).placed_in(folder)
            source, seed = weights.source, weights.seed
            window_s = float(config["window_s"])
            frame_format = config.get("frame_format")
            frame_format = frame_format and FrameFormat.from_json(frame_format)
            federation = config.get("federation")
            federation = federation and FederationRecord.from_json(federation)
            operating_point = (results.get("operating_point") or {}).get("asked") or ""
        except (CacheError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                "training_config.json must describe dataset, feature space, weights and window_s. "
                f"Received: {folder} ({error})"
            ) from error
        return cls(
            classes=config["classes"],
            normal_class=config["normal_class"],
            dataset=dataset,
            features=config["features"],
            fingerprint=config["fingerprint"],
            feature_space=space,
            weights_source=source,
            weights_seed=seed,
            weights_parts=weights.parts,
            window_s=window_s,
            frame_format=frame_format,
            threshold=_checked(
                "threshold",
                results["threshold"],
                folder,
                "in [0, 1]",
                lambda value: 0 <= value <= 1,
            ),
            temperature=_checked(
                "temperature",
                results.get("temperature", 1.0),
                folder,
                "> 0",
                lambda value: value > 0,
            ),
            temperature_reason=results.get("temperature_reason", ""),
            operating_point=operating_point,
            settings=config.get("settings") or {},
            class_thresholds=dict(results.get("class_thresholds") or {}),
            own_split=bool(config.get("own_split")),
            ensemble=config.get("ensemble") or (),
            federation=federation or None,
        )

    @property
    def head(self) -> str:
        """Spec of the head; empty in the record of an ensemble."""
        return self.settings.get("head") or ""

    @property
    def outputs(self) -> str:
        """Spec of the outputs; `classes` in runs made before there were others."""
        from violence_detection.models.output_set import CLASSES  # imports NumPy

        return self.settings.get("outputs", CLASSES)

    @property
    def one_class(self) -> str:
        """The detector of a run that was trained on normal videos alone; empty for others."""
        return self.settings.get("one_class") or ""

    @property
    def thresholds(self) -> ClassThresholds:
        """The threshold of violence, and those of single classes."""
        return ClassThresholds(self.classes, self.threshold, self.class_thresholds)


def _checked(
    name: str, value: Any, folder: Path, rule: str, holds: Callable[[float], bool]
) -> float:
    is_number = type(value) in (int, float) and math.isfinite(value)
    if not is_number or not holds(value):
        file = folder / "training_results.json"
        raise RunError(f"`{name}` in {file.name} must be {rule}. Received: {value} ({file})")
    return value
