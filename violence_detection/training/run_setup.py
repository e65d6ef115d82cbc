"""Creates, replaces or resumes a run folder: its settings, lock, videos and record."""

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
from violence_detection.datasets.config import SplitConfig
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

# Settings that may differ between the machines of a training: addresses and paths.
_FREE_ON_RANK = frozenset("hosts rank features checkpoint_dir cache_dir weights".split())
_LOCK = ".lock"


def choose_run(config: TrainConfig, *, force: bool) -> tuple[Run, TrainConfig]:
    """The run to fill, and the settings: of a resumed run, those that it was started with.

    Nothing is written. With `force` an existing run may be replaced later, by `write_record`,
    once everything else is known to work.

    Raises:
        ConfigError: If the run exists and may not be filled, or the source of the features is
            missing or given twice.
        RunError: If the settings of a resumed run cannot be read.
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
                "--resume must name a run, or a folder that does not exist. Received: "
                f"{run.dir} (it exists and is not a run)"
            )
        log.warning(f"There is no run to resume at {run.dir}; a new run starts.")
    elif _is_occupied(run):
        if not force:
            raise ConfigError(
                f"--run must name a new run, or --resume or --force be given. Received: {run.dir} "
                "(it exists)"
            )
        if not run.config_path.is_file():
            raise ConfigError(
                f"--force replaces runs only. Received: {run.dir} (not a run; it is not deleted)"
            )
    _check_sources(config)
    return run, config


def _resumed(run: Run, asked: TrainConfig) -> TrainConfig:
    """The settings of a resumed run, with the names and paths of the command that resumes it."""
    recorded = run.config().get("settings")
    names = {setting.name for setting in TrainConfig.settings()}
    if not isinstance(recorded, dict) or not recorded.keys() <= names:
        raise RunError(
            f"{run.config_path.name} must hold the settings of a training. Received: "
            f"{run.config_path}"
        )
    free_names, values = TrainConfig.free_names(), asked.as_dict()
    recorded = TrainConfig.complete_record(recorded)
    for name in sorted(asked.given - free_names):
        if values[name] != recorded[name]:
            raise ConfigError(
                f"--resume must use the settings of the run, {name}={recorded[name]}. "
                f"Received: {name}={values[name]}"
            )
    if asked.given & {"dataset_path", "features"}:
        recorded |= {"dataset_path": None, "features": None}
    free = {name: values[name] for name in asked.given & free_names}
    recorded |= free | {"resume": True, "run": run.dir.name}
    given = asked.given & (TrainConfig.names_in("split") | free_names) | _drawn_otherwise(recorded)
    if run.started:  # its split is drawn already
        recorded["redraw_splits"] = False
    resumed = TrainConfig.from_settings(recorded, given=given)
    _check_sources(resumed)
    return resumed


def _drawn_otherwise(recorded: dict[str, Any]) -> frozenset[str]:
    """The split settings with which a run on --features drew a split of its own."""
    if recorded.get("features") is None:
        return frozenset()
    return frozenset(
        setting.name
        for setting in TrainConfig.settings()
        if setting.name in TrainConfig.names_in("split")
        and recorded.get(setting.name, setting.default) != setting.default
    )


def _check_sources(config: TrainConfig) -> None:
    """Checks that features have one source, and that settings of an extraction go with it."""
    if (config.dataset_path is None) == (config.features is None):
        given = "both" if config.features else "neither"
        raise ConfigError(
            f"Exactly one of --dataset-path and --features must be given. Received: {given}"
        )
    if config.features is None:
        return
    if "cache_dir" in config.given:
        log.warning("--cache-dir has no effect: --features says where the features are.")
    for name in sorted(config.names_in("extract") & config.given - {"cache_dir"}):
        raise ConfigError(
            f"`{name}` must go with --dataset-path: the features of --features are already "
            f"extracted. Received: {name}={config.as_dict()[name]}"
        )


def find_cluster(config: TrainConfig) -> ClusterSpec | None:
    """The machines that train together; None for this machine alone.

    Raises:
        ConfigError: If several machines cannot train with these settings.
    """
    cluster = cluster_spec.find_cluster(config.addresses, config.rank, os.environ)
    if cluster is None:
        return None
    several = f"of {len(cluster)} machines ({cluster.source})"
    if config.features is None:
        raise ConfigError(
            f"A training {several} must have --features, extracted before by extract-features. "
            "Received: --dataset-path"
        )
    if config.run is None:
        raise ConfigError(f"A training {several} must have --run, the same on all. Received: none")
    if config.virtual_devices:
        raise ConfigError(
            f"A training {several} must have no --virtual-devices, which imitate several devices "
            f"on one machine. Received: {config.virtual_devices}"
        )
    if config.seeds > 1:
        raise ConfigError(
            f"A training {several} must have one seed. Received: --seeds {config.seeds}"
        )
    return cluster


def agreed_settings(config: TrainConfig) -> dict[str, Any]:
    """Settings and versions that the machines of a training must have in common."""
    settings = config.as_dict().items()
    return {name: value for name, value in settings if name not in _FREE_ON_RANK} | {
        name.replace("-", "_") + "_version": version
        for name, version in provenance.versions().items()
    }


def _is_occupied(run: Run) -> bool:
    return run.dir.exists() and (not run.dir.is_dir() or any(run.dir.iterdir()))


@contextlib.contextmanager
def locked_run(run: Run, config: TrainConfig, *, new: bool) -> Iterator[Run]:
    """Context manager: locks a run, so that no other training writes into it.

    The folder of a new run is made here, with the settings in it, so that --resume finds them
    after an interruption. After an error before the run is started, its folder is removed. The
    folder of a replaced or resumed run is not touched.

    Args:
        run: From `choose_run`.
        config: Settings of the run.
        new: True if the run did not exist when it was chosen.

    Yields:
        The run; under another name if another training took the name of an unnamed run.
    """
    if new:
        run = run.reserve(config.as_dict(), or_next=config.run is None)
    with _locked(run):  # only a folder that this training made and locks is removed
        try:
            yield run
        except Exception:
            if new and not run.started:
                shutil.rmtree(run.dir, ignore_errors=True)
                with contextlib.suppress(OSError):  # the parent folder holds other runs
                    run.dir.parent.rmdir()
            raise


def _locked(run: Run) -> contextlib.AbstractContextManager[None]:
    return locks.locked(
        run.dir / _LOCK,
        f"A run must not be in use. Received: {run.dir} (in use by another training; --run names "
        "another run)",
    )


def read_entries(
    run: Run, cache: FeatureCache, *, resume: bool, own_split: SplitConfig | None
) -> list[ManifestEntry]:
    """The usable videos with their splits: those of the dataset, or the run's own.

    Args:
        run: A new run, or one that exists.
        cache: The features.
        resume: Whether the splits of a started run are kept.
        own_split: Settings of the split to draw; None for that of the dataset.

    Raises:
        CacheError: If no video is usable.
        ConfigError: If a split is to be drawn, but the dataset fixes all splits.
    """
    entries = dataset.usable_entries(cache)
    if resume and run.started:
        return with_splits(entries, run.own_splits())
    if own_split is None:
        return entries
    return split_store.draw_for_one_run(
        cache.dir.parent, entries, **own_split.as_dict(), given=own_split.given
    )


def with_splits(entries: list[ManifestEntry], splits: Mapping[str, str]) -> list[ManifestEntry]:
    """The entries with the splits of a table by path; others keep their split."""
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
    initial_weights: InitialWeights | None = None,
) -> None:
    """Writes the record of a run before its first epoch; deletes a replaced run.

    Args:
        run: The locked run.
        config: Settings of the run.
        cache: The features.
        entries: The usable videos with their splits.
        classes: Names, the normal class first.
        effective: The requested settings as they took effect.
        initial_weights: The model that the run starts from.
    """
    if run.dir.is_dir():
        # After a kill from here on, the folder is a run that is not started: --resume finds the
        # settings and starts anew.
        run.write_config({"settings": config.as_dict()})
        _clear(run)
    files.ensure_writable(run.dir)
    if initial_weights:
        initial_weights.copy_to(run, cache)
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
            "own_split": config.own_split is not None,
            "init_from": initial_weights and initial_weights.as_dict(cache, entries),
            "videos_digest": videos_digest(entries),
            "split_digest": _split_digest(entries),
            "effective": effective,
            "versions": provenance.versions(),
            "commit": provenance.commit_hash(),
            "machine": provenance.describe_machine(),
        }
    )


def _clear(run: Run) -> None:
    """Empties a run folder, except for its settings and its lock, which this training holds."""
    for path in run.dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (_LOCK, run.config_path.name):
            path.unlink()


def check_same_features(run: Run, cache: FeatureCache, entries: list[ManifestEntry]) -> None:
    """Checks that a resumed run has the features and videos that it was started with.

    Raises:
        TrainingError: If the feature space, the videos, their labels or their split differ.
    """
    files.sweep_temporary(run.dir)
    trained = run.config()
    if trained.get("fingerprint") != cache.space().fingerprint:
        raise TrainingError(
            "--resume must use features of the same space. Received: "
            f"{cache.dir.name}, not {Path(trained.get('features', '')).name}"
        )
    if trained["videos_digest"] != videos_digest(entries):
        raise TrainingError(
            "--resume must use the same videos, labels and split. Received: others than "
            f"{run.videos_path} lists; start a new run"
        )


def videos_digest(entries: list[ManifestEntry]) -> str:
    """Digest of the videos with their labels, recordings, splits and contents."""
    return files.sha256_of_json(_video_rows(entries))


def _video_rows(entries: list[ManifestEntry]) -> list[dict[str, str]]:
    return [{name: getattr(entry, name) for name in VIDEO_COLUMNS} for entry in entries]


def _split_digest(entries: list[ManifestEntry]) -> str:
    """Digest of the split alone: equal for runs on other features of the same split."""
    return files.sha256_of_json(sorted([entry.path, entry.split] for entry in entries))
