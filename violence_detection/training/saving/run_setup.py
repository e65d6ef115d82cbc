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

from violence_detection.datasets.config import SplitConfig
from violence_detection.datasets.splitting import split_store
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.checking import frame_formats
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.system import cluster_spec, files, locks, provenance
from violence_detection.system.cluster_spec import ClusterSpec
from violence_detection.training.saving.initial_weights import InitialWeights

log = logging.getLogger(__name__)

# Settings that may differ between the machines of a training: addresses and paths.
_MAY_DIFFER = frozenset("hosts rank features checkpoint_dir cache_dir weights".split())
_LOCK = ".lock"


def choose_run(checkpoint_dir: Path, name: str | None, *, resume: bool, force: bool) -> Run:
    """The run to fill, which may be replaced later, by `write_record`; nothing is written here.

    Args:
        checkpoint_dir: The folder of the runs.
        name: Name of the run's folder; None for a new name or, with `resume`, the newest run.
        resume: Continue the run if it exists.
        force: An existing run may be replaced.

    Raises:
        ConfigError: If the run exists and may not be filled.
    """
    run = Run.newest(checkpoint_dir) if resume and name is None else None
    run = run or Run.named(checkpoint_dir, name)
    is_occupied = run.dir.exists() and (not run.dir.is_dir() or any(run.dir.iterdir()))
    if resume:
        if run.config_path.is_file():
            return run
        if is_occupied:
            raise ConfigError(
                "--resume must name a run, or a folder that does not exist. Received: "
                f"{run.dir} (it exists and is not a run)"
            )
        log.warning(f"There is no run to resume at {run.dir}; a new run starts.")
    elif is_occupied:
        if not force:
            raise ConfigError(
                f"--run must name a new run, or --resume or --force be given. Received: {run.dir} "
                "(it exists)"
            )
        if not run.config_path.is_file():
            raise ConfigError(
                f"--force replaces runs only. Received: {run.dir} (not a run; it is not deleted)"
            )
    return run


def training_cluster(
    addresses: tuple[str, ...],
    rank: int | None,
    *,
    features: str | None,
    run: str | None,
    virtual_devices: int | None,
    members: int,
) -> ClusterSpec | None:
    """The machines that train together; None for this machine alone.

    Args:
        addresses, rank: Values of --hosts and --rank; empty and None for the environment.
        features, run, virtual_devices, members: Settings of `train`.

    Raises:
        ConfigError: If several machines cannot train with these settings.
    """
    cluster = cluster_spec.find_cluster(addresses, rank, os.environ)
    if cluster is None:
        return None
    several = f"of {len(cluster)} machines ({cluster.source})"
    if features is None:
        raise ConfigError(
            f"A training {several} must have --features, extracted before by extract-features. "
            "Received: --dataset-path"
        )
    if run is None:
        raise ConfigError(
            f"A training {several} must have --run, the same on all. Received: nothing"
        )
    if virtual_devices:
        raise ConfigError(
            f"A training {several} must have no --virtual-devices, which imitate several devices "
            f"on one machine. Received: {virtual_devices}"
        )
    if members > 1:
        raise ConfigError(
            f"A training {several} must have one member. Received: --members {members}"
        )
    return cluster


def agreed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings and versions that the machines of a training must have in common.

    Args:
        settings: All settings of `train`, by flat name.
    """
    agreed = {name: value for name, value in settings.items() if name not in _MAY_DIFFER}
    return agreed | {
        name.replace("-", "_") + "_version": version
        for name, version in provenance.versions().items()
    }


@contextlib.contextmanager
def locked_run(run: Run, settings: Mapping[str, Any], *, new: bool, or_next: bool) -> Iterator[Run]:
    """Context manager: locks a run, so that no other training writes into it.

    The folder of a new run is made here, with the settings in it, so that --resume finds them
    after an interruption. After an error before the run is started, its folder is removed. The
    folder of a replaced or resumed run is not touched.

    Args:
        run: From `choose_run`.
        settings: All settings of `train`, by flat name.
        new: True if the run did not exist when it was chosen.
        or_next: Take the next name if another training has taken that of the run.

    Yields:
        The run, under the name that it got.
    """
    if new:
        run = run.reserve(settings, or_next=or_next)
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
        resume: Keep the splits of a started run.
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
    settings: Mapping[str, Any],
    cache: FeatureCache,
    entries: list[ManifestEntry],
    classes: list[str],
    *,
    own_split: bool,
    effective: EffectiveSettings,
    initial_weights: InitialWeights | None = None,
    teacher_record: Mapping[str, Any] | None = None,
) -> None:
    """Writes the record of a run before its first epoch; deletes a replaced run.

    Args:
        run: The locked run.
        settings: All settings of `train`, by flat name.
        cache: The features.
        entries: The usable videos with their splits.
        classes: Names, the normal class first.
        own_split: True if the run has drawn the split for itself.
        effective: The requested settings as they took effect.
        initial_weights: The model that the run starts from.
        teacher_record: The teacher, see `TeacherSource.to_json`.
    """
    if run.dir.is_dir():
        # After a kill from here on, the folder is a run that is not started: --resume finds the
        # settings and starts anew.
        run.write_config({"settings": settings})
        _clear(run)
    files.ensure_writable(run.dir)
    if initial_weights:
        initial_weights.copy_to(run, cache)
    files.write_csv(run.videos_path, VIDEO_COLUMNS, _video_rows(entries))
    extraction = cache.record()
    training = [entry for entry in entries if entry.split == "train"]
    durations_s = [entry.duration_s for entry in training]
    # For exports: the videos may be gone by then.
    frame_format = frame_formats.measure_format(training, cache.video_dir)
    run.write_config(
        {
            "settings": settings,
            "classes": classes,
            "normal_class": classes[0],
            "dataset": dataclasses.asdict(extraction.dataset),
            "grouping": extraction.grouping,
            "features": str(cache.dir),
            "fingerprint": extraction.space.fingerprint,
            "feature_space": extraction.space.as_dict(),
            "weights": extraction.weights.to_json(),
            "window_s": float(np.median(durations_s)) / extraction.space.segments,
            "frame_format": frame_format and dataclasses.asdict(frame_format),
            "own_split": own_split,
            "init_from": initial_weights and initial_weights.to_json(cache, entries),
            **({"teacher": dict(teacher_record)} if teacher_record else {}),
            "videos_digest": videos_digest(entries),
            "split_digest": _split_digest(entries),
            "effective": effective.to_json(),
            "versions": provenance.versions(),
            "commit": provenance.commit_hash(),
            "machine": provenance.describe_machine().to_json(),
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
