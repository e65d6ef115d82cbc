"""Settings of the commands that list, check, remove, export and import cached features."""

from dataclasses import dataclass

from violence_detection.datasets.config import SplitConfig
from violence_detection.features.config import FeatureConfig
from violence_detection.settings import Config, option, same_as


@dataclass(frozen=True)
class CacheConfig(Config):
    """The cache that `cache list`, `cache verify` and `cache prune` work on."""

    cache_dir: str = same_as(FeatureConfig, "cache_dir")


@dataclass(frozen=True)
class CacheExportConfig(Config):
    """Settings of `cache export`."""

    format: str = option("h5", "Format of the file; h5 is HDF5.", choices=("h5",))
    output: str | None = option(
        None,
        "The file to write; default: the name of the features' folder and .h5, in this folder.",
        path=True,
    )


@dataclass(frozen=True)
class CacheImportConfig(SplitConfig):
    """Settings of `cache import`."""

    cache_dir: str = same_as(FeatureConfig, "cache_dir")
    dataset_name: str | None = option(
        None,
        "Name of the dataset in the cache; default: the one in the file, or the name of the file, "
        "of several files that of their folder.",
    )
    classes: str | None = option(
        None, "Names of the classes 0, 1, ... where labels are numbers, separated by commas."
    )
    made_by: str | None = option(
        None,
        "Name of the program and network that made the features. Imports of the same name are "
        "taken for comparable; default: no others are.",
    )
    group_pattern: str | None = same_as(FeatureConfig, "group_pattern")
    features_key: str = option("features", "Name of the features in an HDF5 file.")
    labels_key: str = option("labels", "Name of the labels in an HDF5 file.")
