"""Which run a training fills: a new one, one that it replaces, or one that it goes on with."""

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import split_store
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import ConfigError, RunError, TrainingError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.system import cluster_spec, files, locks, provenance
from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.training.config import TrainConfig
from violence_detection.training.initial_weights import InitialWeights

log = logging.getLogger(__name__)

# What may differ between the machines of a training: who they are, and where they find it.
_FREE_ON_RANK = frozenset("hosts rank features checkpoint_dir cache_dir weights".split())
_LOCK = ".lock"


def choose_run(config: TrainConfig, *, force: bool) -> tuple[Run, TrainConfig]:
    """The run to fill, and the settings: those of the run where it is resumed.

    With `force` a run that stands there may be replaced, once everything else is known to work.

    Raises:
        ConfigError: If the run or the source of its features cannot be meant.
    """
    checkpoint_dir = Path(config.checkpoint_dir)
    run = None
    if config.resume and config.run is None:
        run = Run.newest(checkpoint_dir)
    run = run or Run.named(checkpoint_dir, config.run)
    if config.resume:
        if run.config_path.is_file():
            return run, _resumed(run, config)
        if _is_occupied(run):
            raise ConfigError(
                f"--resume must name a run, or a new one. Received: {run.dir} (it is neither)"
            )
        log.warning(f"There is no run to go on with at {run.dir}; it starts anew.")
    elif _is_occupied(run):
        if not force:
            raise ConfigError(
                f"--run must name a new run, or --resume or --force be given. Received: {run.dir} "
                "(it is there)"
            )
        if not run.config_path.is_file():
            raise ConfigError(f"--force replaces runs only. Received: {run.dir} (it is none)")
    _check_sources(config)
    return run, config


def _resumed(run: Run, asked: TrainConfig) -> TrainConfig:
    """The run's own settings, once nothing that was asked for differs but names and places."""
    recorded = run.config().get("settings")
    known = {setting.name for setting in TrainConfig.settings()}
    if not isinstance(recorded, dict) or not recorded.keys() <= known:
        raise RunError(
            f"{run.config_path.name} must hold the settings of a training. Received: "
            f"{run.config_path}"
        )
    free_names, values = TrainConfig.free_names(), asked.as_dict()
    recorded = TrainConfig.complete_record(recorded)
    for name in sorted(asked.given - free_names):
        if values[name] != recorded[name]:
            raise ConfigError(
                f"--resume must go on with the run's settings, {name}={recorded[name]}. "
                f"Received: {name}={values[name]}"
            )
    if asked.given & {"dataset_path", "features"}:
        recorded |= {"dataset_path": None, "features": None}
    free = {name: values[name] for name in asked.given & free_names}
    recorded |= free | {"resume": True, "run": run.dir.name}
    given = asked.given & (TrainConfig.names_in("split") | free_names) | _drawn_otherwise(recorded)
    if run.started:  # the split was drawn then
        recorded["redraw_splits"] = False
    resumed = TrainConfig.from_settings(recorded, given=given)
    _check_sources(resumed)
    return resumed


def _drawn_otherwise(recorded: dict[str, Any]) -> frozenset[str]:
    """The settings of a run's own split: with features that are there, none is idle."""
    if recorded.get("features") is None:
        return frozenset()
    return frozenset(
        setting.name
        for setting in TrainConfig.settings()
        if setting.name in TrainConfig.names_in("split")
        and recorded.get(setting.name, setting.default) != setting.default
    )


def _check_sources(config: TrainConfig) -> None:
    """Features come from one place, and what only stage one reads goes with it."""
    if (config.dataset_path is None) == (config.features is None):
        came = "both" if config.features else "neither"
        raise ConfigError(
            f"Exactly one of --dataset-path and --features must be given. Received: {came}"
        )
    if config.features is None:
        return
    if "cache_dir" in config.given:
        log.warning("--cache-dir has no effect: --features says where the features are.")
    for name in sorted(config.names_in("extract") & config.given - {"cache_dir"}):
        raise ConfigError(
            f"`{name}` must go with --dataset-path: the features of --features are made "
            f"already. Received: {name}={config.as_dict()[name]}"
        )


def find_cluster(config: TrainConfig) -> ClusterSpec | None:
    """The machines that train together; None for this one alone.

    Raises:
        ConfigError: If they cannot, with these settings.
    """
    found = cluster_spec.find_cluster(config.addresses, config.rank, os.environ)
    if found is None:
        return None
    several = f"of {len(found)} machines ({found.source})"
    if config.features is None:
        raise ConfigError(
            f"A training {several} must have --features, which extract-features has made. "
            "Received: --dataset-path"
        )
    if config.run is None:
        raise ConfigError(f"A training {several} must have --run, the same on all. Received: none")
    if config.virtual_devices:
        raise ConfigError(
            f"A training {several} must have no --virtual-devices: they are to try several "
            f"devices out on one. Received: {config.virtual_devices}"
        )
    if config.seeds > 1:
        raise ConfigError(
            f"A training {several} must be a single one. Received: --seeds {config.seeds}"
        )
    return found


def agreed_settings(config: TrainConfig) -> dict[str, Any]:
    """What the machines of a training must have in common before it starts."""
    settings = config.as_dict().items()
    return {name: value for name, value in settings if name not in _FREE_ON_RANK} | {
        name.replace("-", "_") + "_version": version
        for name, version in provenance.versions().items()
    }


def _is_occupied(run: Run) -> bool:
    return run.dir.exists() and (not run.dir.is_dir() or any(run.dir.iterdir()))


@contextlib.contextmanager
def locked_run(run: Run, config: TrainConfig, *, new: bool) -> Iterator[Run]:
    """Hold a run, so that no other training writes into it.

    Until it is started, an error takes its name back; after an interruption --resume finds
    its settings. A run that is replaced or resumed has its folder already, and keeps it as
    it is.

    Args:
        new: Whether the run was not there when it was chosen.
    """
    if new:
        run = run.reserve(config.as_dict(), or_next=config.run is None)
    with _locked(run):  # what is removed is our own, and nobody else is in it
        try:
            yield run
        except Exception:
            if new and not run.started:
                shutil.rmtree(run.dir, ignore_errors=True)
                with contextlib.suppress(OSError):  # it holds other runs
                    run.dir.parent.rmdir()
            raise


def _locked(run: Run) -> contextlib.AbstractContextManager[None]:
    return locks.locked(
        run.dir / _LOCK,
        f"A run must not be in training already. Received: {run.dir} (another training works on "
        "it; --run names another)",
    )


def read_entries(run: Run, config: TrainConfig, cache: FeatureCache) -> list[ManifestEntry]:
    """The usable videos, each with its split: the dataset's, or the run's own.

    Raises:
        CacheError: If there are none.
        ConfigError: If a split is to be drawn, and the dataset gives all of it.
    """
    entries = dataset.usable_entries(cache)
    if config.resume and run.started:
        return with_splits(entries, run.own_splits())
    if has_own_split(config):
        return split_store.draw_for_one_run(
            cache.dir.parent,
            entries,
            **config.split.as_dict(),
            given=config.split.given,
        )
    return entries


def has_own_split(config: TrainConfig) -> bool:
    return config.features is not None and bool(config.split.given)


def with_splits(entries: list[ManifestEntry], splits: Mapping[str, str]) -> list[ManifestEntry]:
    """The entries, those in `splits` (by path) with the split that they have there."""
    return [
        dataclasses.replace(entry, split=splits.get(entry.path, entry.split)) for entry in entries
    ]


def write_record(
    run: Run,
    config: TrainConfig,
    cache: FeatureCache,
    entries: list[ManifestEntry],
    classes: list[str],
    effective: dict[str, Any],
    origin: InitialWeights | None = None,
) -> None:
    """Write what the run is before anything else happens in it; a run replaced goes now."""
    if run.dir.is_dir():
        # Killed from here on, it is a run that has not started, and has its settings.
        run.write_config({"settings": config.as_dict()})
        _clear(run)
    files.ensure_writable(run.dir)
    if origin:
        origin.copy_to(run, cache)
    files.write_csv(run.videos_path, VIDEO_COLUMNS, _video_rows(entries))
    settings, space = cache.settings(), cache.space()
    durations_s = [entry.duration_s for entry in entries if entry.split == "train"]
    run.write_config(
        {
            "settings": config.as_dict(),
            "classes": classes,
            "normal_class": classes[0],
            "dataset": settings["dataset"],
            "grouping": settings["grouping"],
            "features": str(cache.dir),
            "fingerprint": space.fingerprint,
            "feature_space": dataclasses.asdict(space),
            "weights": settings["weights"],
            "window_s": float(np.median(durations_s)),
            "own_split": has_own_split(config),
            "init_from": origin and origin.as_dict(cache, entries),
            "videos_digest": videos_digest(entries),
            "split_digest": _split_digest(entries),
            "effective": effective,
            "versions": provenance.versions(),
            "commit": provenance.commit_hash(),
            "machine": provenance.describe_machine(),
        }
    )


def _clear(run: Run) -> None:
    """Remove what is in a run's folder but for its settings and the lock that is held."""
    for path in run.dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (_LOCK, run.config_path.name):
            path.unlink()


def check_same_features(run: Run, cache: FeatureCache, entries: list[ManifestEntry]) -> None:
    """Whether a run that is resumed still learns from what it started with.

    Raises:
        TrainingError: If the feature space, the videos, their labels or their split differ.
    """
    files.sweep_temporary(run.dir)
    trained = run.config()
    if trained.get("fingerprint") != cache.space().fingerprint:
        raise TrainingError(
            "--resume must go on with features of the same space. Received: "
            f"{cache.dir.name}, not {Path(trained.get('features', '')).name}"
        )
    if trained["videos_digest"] != videos_digest(entries):
        raise TrainingError(
            "--resume must go on with the same videos, labels and split. Received: others than "
            f"{run.videos_path} lists; start a new run"
        )


def videos_digest(entries: list[ManifestEntry]) -> str:
    return files.sha256_of_json(_video_rows(entries))


def _video_rows(entries: list[ManifestEntry]) -> list[dict[str, str]]:
    return [{name: getattr(entry, name) for name in VIDEO_COLUMNS} for entry in entries]


def _split_digest(entries: list[ManifestEntry]) -> str:
    """Of which video is where: equal for runs on other features of the same split."""
    return files.sha256_of_json(sorted([entry.path, entry.split] for entry in entries))
