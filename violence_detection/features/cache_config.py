"""Settings of the commands that list, check, remove, export and import cached features."""

from dataclasses import dataclass

from violence_detection.datasets.config import SplitConfig
from violence_detection.features.config import ExtractConfig
from violence_detection.settings import CommandConfig, nested, option, same_as


@dataclass(frozen=True)
class CacheConfig(CommandConfig):
    """The cache that `cache list`, `cache verify` and `cache prune` work on."""

    cache_dir: str = same_as(ExtractConfig, "cache_dir")


@dataclass(frozen=True)
class CacheExportConfig(CommandConfig):
    """Settings of `cache export`."""

    format: str = option("h5", "Format of the file; h5 is HDF5.", group="Output", choices=("h5",))
    output: str | None = option(
        None,
        "The file to write; default: the name of the features' folder and .h5, in this folder.",
        group="Output",
        path="FILE",
    )


@dataclass(frozen=True)
class CacheImportConfig(CommandConfig):
    """Settings of `cache import`."""

    split: SplitConfig = nested(SplitConfig)
    redraw_splits: bool = same_as(ExtractConfig, "redraw_splits")
    cache_dir: str = same_as(ExtractConfig, "cache_dir")
    dataset_name: str | None = option(
        None,
        "Name of the dataset in the cache; default: the name in the file, else the file's name, "
        "or the folder's name for several files.",
        group="Data",
    )
    classes: str | None = option(
        None,
        "Names of the classes 0, 1, ... where labels are numbers, separated by commas.",
        group="Data",
    )
    made_by: str | None = option(
        None,
        "Name of the program and network that made the features. Imports with the same name "
        "count as comparable; default: comparable with no other import.",
        group="Data",
    )
    group_pattern: str | None = same_as(ExtractConfig, "group_pattern")
    features_key: str = option("features", "Name of the features in an HDF5 file.", group="Data")
    labels_key: str = option("labels", "Name of the labels in an HDF5 file.", group="Data")
