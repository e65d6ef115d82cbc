"""The feature cache: its content, checks, removal, export and import."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from violence_detection.commands._command import Command, Group
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, option_in_group, options_of
from violence_detection.commands._stage import CommonFlags, finish, run_stage
from violence_detection.commands._streams import prints_to_stderr
from violence_detection.features import space_lookup
from violence_detection.features.cache_config import (
    CacheConfig,
    CacheExportConfig,
    CacheImportConfig,
)
from violence_detection.reports import console
from violence_detection.settings import same_as
from violence_detection.training.config import TrainConfig
from violence_detection.units import counted, format_bytes

if TYPE_CHECKING:
    from violence_detection.features.cache_inventory import DatasetSummary, PruneResult
    from violence_detection.features.exchange.feature_export import CacheExportResult
    from violence_detection.features.exchange.feature_import import CacheImportResult


@dataclass(frozen=True)
class _UsedCacheConfig(CacheConfig):
    """A cache, and the runs that were trained on it."""

    checkpoint_dir: str = same_as(
        TrainConfig, "checkpoint_dir", "Folder of the runs that may use the features."
    )


@click.group(
    cls=Group,
    short_help="Manage cached features.",
    epilog=example("violence-detection cache list --cache-dir feature_cache"),
)
def cache() -> None:
    """List, check, remove, export and import cached features."""


@cache.command(
    "list",
    short_help="List datasets and feature spaces.",
    epilog=example("violence-detection cache list --cache-dir feature_cache"),
)
@options_of(_UsedCacheConfig, writes=False)
def list_(settings: _UsedCacheConfig, shared: CommonFlags) -> None:
    """List the datasets and feature spaces of a cache, their size, and the runs that use them."""
    with prints_to_stderr():
        from violence_detection.features import cache_inventory

        datasets = cache_inventory.list_datasets(Path(settings.cache_dir), _runs(settings))
    result = {"datasets": [dataset.to_json() for dataset in datasets]}
    lines = [line for dataset in datasets for line in _dataset_lines(dataset)]
    finish(result, shared, lines or [f"No features in {settings.cache_dir}."])


def _dataset_lines(dataset: "DatasetSummary") -> list[str]:
    lines = [f"{dataset.name}  {format_bytes(dataset.bytes)}"]
    for space in dataset.spaces:
        state = "" if space.complete else ", not complete"
        users = counted(len(space.used_by), "run")
        lines += [
            f"    {space.name}",
            f"        {format_bytes(space.bytes)}, {counted(space.videos, 'video')}{state}, "
            f"used by {users}",
            *[f"            {run}" for run in space.used_by],
        ]
    return lines


@cache.command(
    short_help="Compare every array with its digest.",
    epilog=example("violence-detection cache verify --cache-dir feature_cache"),
)
@click.argument("names", nargs=-1, type=PATH, metavar="[NAME]...")
@options_of(CacheConfig, writes=False)
def verify(settings: CacheConfig, shared: CommonFlags, names: tuple[str, ...]) -> None:
    """Read every array of a cache again and compare it with its digest.

    NAME is DATASET, DATASET/SPACE or the path of a features folder; without any, everything is
    checked. Exits with status 3 if it finds a problem."""
    with prints_to_stderr():
        from violence_detection.features import cache_inventory

        datasets = cache_inventory.list_datasets(Path(settings.cache_dir), {})
        spaces = cache_inventory.choose_spaces(datasets, names, Path(settings.cache_dir))
        result = cache_inventory.verify_arrays(spaces)
    findings = [(finding.path or finding.features, finding.reason) for finding in result.findings]
    lines = [
        f"checked     {counted(result.arrays, 'array')} of "
        f"{counted(result.videos, 'video')} in {counted(result.spaces, 'feature space')}",
        *console.failure_lines(findings, whole="the output of --json", label="finding"),
    ]
    finish(result, shared, lines, failed=len(findings))


@cache.command(
    short_help="Remove datasets or feature spaces.",
    epilog=example("violence-detection cache prune mine --dry-run"),
)
@click.argument("names", nargs=-1, required=True, type=PATH, metavar="NAME...")
@options_of(_UsedCacheConfig)
def prune(settings: _UsedCacheConfig, shared: CommonFlags, names: tuple[str, ...]) -> None:
    """Remove datasets or feature spaces from a cache.

    NAME is DATASET, DATASET/SPACE or the path of a features folder, as `cache list` shows them.
    With a dataset its split (splits.csv) is removed, too. Features that a run in --checkpoint-dir
    was trained on are removed with --force only."""

    def make() -> Any:
        from violence_detection.features.cache_inventory import PruneStage

        folder = Path(settings.cache_dir)
        return PruneStage(folder, names, _runs(settings), force=shared.force)

    run_stage(make, shared, lines=_prune_lines, plan_lines=_prune_lines)


def _prune_lines(result: "PruneResult") -> list[str]:
    return [
        *[
            f"{'to remove' if result.dry_run else 'removed':12s}{folder}"
            for folder in result.removed
        ],
        *[f"used by     {run}" for run in result.used_by],
        f"size        {format_bytes(result.bytes)}",
        *(["nothing is removed (--dry-run)"] if result.dry_run else []),
    ]


def _runs(settings: _UsedCacheConfig) -> Any:
    from violence_detection.models.run_index import runs_by_features

    return runs_by_features(Path(settings.checkpoint_dir))


@cache.command(
    short_help="Write the features into one HDF5 file.",
    epilog=example("violence-detection cache export feature_cache/mine/space --output mine.h5"),
)
@click.argument("features", type=PATH)
@options_of(CacheExportConfig)
def export(settings: CacheExportConfig, shared: CommonFlags, features: str) -> None:
    """Write the features of a folder into one HDF5 file, for other programs and machines.

    It holds features float16 (N, T, D), labels int64 with the attribute `classes`, paths, groups
    and splits, and as attributes the feature space. `cache import` reads it back. Videos without
    features are left out and listed; then it exits with status 3."""

    def make() -> Any:
        from violence_detection.features.exchange.feature_export import CacheExport

        return CacheExport(features, output=settings.output, force=shared.force)

    run_stage(
        make,
        shared,
        lines=_export_lines,
        plan_lines=_export_lines,
        failed=lambda result: len(result.left_out),
    )


def _export_lines(result: "CacheExportResult") -> list[str]:
    return [
        f"file        {result.path}",
        f"features    {' x '.join(map(str, result.shape))}, {format_bytes(result.bytes)}",
        *console.failure_lines(result.left_out, label="left out"),
        *(["nothing is written (--dry-run)"] if result.dry_run else []),
    ]


@cache.command(
    "import",
    cls=Command,
    short_help="Read features of another program.",
    epilog=example(
        "violence-detection cache import train_features.npy test_features.npy "
        "--classes nonviolent,violent --dataset-name mine"
    ),
)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="FILE...")
@option_in_group(
    "Data",
    "--labels",
    "labels",
    multiple=True,
    type=PATH,
    metavar="FILE",
    help="Labels of a FILE, .npy or .csv (label[,path][,group][,split][,duration_s][,camera]"
    "[,recorded_at]); once for each FILE, in the same order. Default: the file of the same name "
    "with `labels` in place of `features`, or what is in the HDF5 file.",
)
@options_of(CacheImportConfig)
def import_(
    settings: CacheImportConfig,
    shared: CommonFlags,
    paths: tuple[str, ...],
    labels: tuple[str, ...],
) -> None:
    """Make a feature cache of features that another program left, for `train --features`.

    FILE is .npy or HDF5 with features (N, T, D), float16, float32 or float64. Its part of the split
    is taken from its name (train_features.npy) where the labels do not name it. Clips that are all
    zeros, not finite or beyond float16 are left out and listed; then it exits with status 3. A file
    that `cache export` wrote is imported to the bit."""

    def make() -> Any:
        from violence_detection.features.exchange.feature_import import CacheImport

        return CacheImport(paths, labels, settings, force=shared.force)

    run_stage(
        make,
        shared,
        lines=_import_lines,
        plan_lines=_import_lines,
        failed=lambda result: len(result.left_out),
    )


def _import_lines(result: "CacheImportResult") -> list[str]:
    return [
        f"features    {result.features}",
        f"clips       {result.videos}: {result.imported} imported, {len(result.left_out)} left "
        f"out; {' x '.join(map(str, result.shape))} each",
        f"classes     {', '.join(result.classes)}",
        *console.failure_lines(result.left_out, label="left out"),
        "nothing is written (--dry-run)"
        if result.dry_run
        else next_line("train", "--features", space_lookup.shortest_path(result.features)),
    ]
