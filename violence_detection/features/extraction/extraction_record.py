"""The record of an extraction, extraction.json: its videos, its feature space and its settings."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.features.config import ExtractConfig
from violence_detection.features.feature_space import FeatureSpace

# The settings that decide on videos, recordings and features.
_REPEATED = frozenset(
    "dataset_name frames_fps clip_s group_pattern backbone weights stream frames segments "
    "frame_size engine mixed_precision views view_kinds seed".split()
)
KEYS = frozenset("complete dataset grouping fingerprint feature_space weights".split())


@dataclass(frozen=True)
class WeightsOrigin:
    """The weights of the backbone.

    Attributes:
        source: `imagenet`, `random`, the path of a file, or `imported` for features of another
            program.
        digest: SHA-256 of the variables.
        seed: The seed of random weights.
        parts: Of features of several spaces, those of each, in their order.
    """

    source: str
    digest: str = ""
    seed: int = 0
    parts: "tuple[WeightsOrigin, ...]" = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError: If the source is missing.
        """
        parts = tuple(map(cls.from_json, values.get("parts", ())))
        return cls(values["source"], values.get("digest", ""), values.get("seed", 0), parts)

    def placed_in(self, folder: Path) -> Self:
        """The origin with relative paths, as bundles have them, taken from a folder."""
        parts = tuple(part.placed_in(folder) for part in self.parts)
        source = self.source
        if "/" in source and not Path(source).is_absolute():
            source = str(folder / source)
        return dataclasses.replace(self, source=source, parts=parts)

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        values = {"source": self.source, "digest": self.digest, "seed": self.seed}
        return values | ({"parts": [part.to_json() for part in self.parts]} if self.parts else {})


@dataclass(frozen=True)
class ExtractionRecord:
    """The content of extraction.json.

    Attributes:
        dataset: Name and folder of the videos.
        grouping: The source of recordings: `table`, `--group-pattern`, `imported` or `none`.
        space: The feature space.
        weights: The weights of the backbone.
        complete: The extraction was finished.
        stopped: The reason why it was not; empty without one.
        ungrouped: Number of videos whose recording is not known.
        classes: Names of all classes.
        settings: The settings of the command, by name.
        effective: Engine and precision that were used.
        versions: The versions of this program and its libraries.
        view_kinds: The corruptions of the further views; empty where they are mirrored, cropped and
            brightened.
        imported: Paths of the files that `cache import` read; empty for an extraction.
        more: Keys that this version does not know; they are kept when the record is written again.
    """

    dataset: DatasetOrigin
    grouping: str
    space: FeatureSpace
    weights: WeightsOrigin
    complete: bool
    stopped: str = ""
    ungrouped: int = 0
    classes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    view_kinds: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def repeated_config(self, cache_dir: str) -> ExtractConfig:
        """The settings with which `extract-features` makes the same features again.

        Args:
            cache_dir: The cache that they are in.
        """
        recorded = ExtractConfig.complete_record(self.settings)
        repeated = {name: recorded[name] for name in _REPEATED if recorded[name] is not None}
        return ExtractConfig.from_settings(repeated | {"cache_dir": cache_dir})

    @property
    def has_all_recordings(self) -> bool:
        """True if the recording of every video is known."""
        return self.grouping != "none" and not self.ungrouped

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The record of a JSON object; keys that older versions did not write may be missing.

        Raises:
            KeyError, TypeError, AttributeError: If another key is missing or of another type.
            CacheError: If the feature space lacks a field.
        """
        values = dict(values)
        values.pop("fingerprint")
        return cls(
            dataset=DatasetOrigin.from_json(values.pop("dataset")),
            grouping=values.pop("grouping"),
            space=FeatureSpace.from_json(values.pop("feature_space")),
            weights=WeightsOrigin.from_json(values.pop("weights")),
            complete=values.pop("complete") is True,
            stopped=values.pop("stopped", ""),
            ungrouped=values.pop("ungrouped", 0) or 0,
            classes=tuple(values.pop("classes", ())),
            settings=values.pop("settings", {}),
            effective=values.pop("effective", {}),
            versions=values.pop("versions", {}),
            view_kinds=tuple(values.pop("view_kinds", ())),
            imported=tuple(values.pop("imported", ())),
            more=values,
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the file."""
        values = {
            "dataset": dataclasses.asdict(self.dataset),
            "grouping": self.grouping,
            "ungrouped": self.ungrouped,
            "classes": list(self.classes),
            "fingerprint": self.space.fingerprint,
            "feature_space": self.space.as_dict(),
            "weights": self.weights.to_json(),
        }
        optional = {
            "settings": dict(self.settings),
            "effective": dict(self.effective),
            "versions": dict(self.versions),
            "view_kinds": list(self.view_kinds),
            "imported": list(self.imported),
        }
        values |= {name: value for name, value in optional.items() if value}
        values |= {"complete": self.complete}
        if self.stopped:
            values["stopped"] = self.stopped
        return values | dict(self.more)
