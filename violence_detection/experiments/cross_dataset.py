"""What a training on each of several datasets is worth on the others: a matrix."""

import functools
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection.datasets.labels import label_mapping, renamed_labels
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import classification, intervals
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices, files, provenance
from violence_detection.system.study_folder import StudyFolder
from violence_detection.training import train
from violence_detection.training.validation import check_monitor
from violence_detection.units import counted

log = logging.getLogger(__name__)

NOTE = (
    "Each row is one training, on that dataset's own train and validation videos. It is judged on "
    "all videos of every other dataset, and on the test videos of its own; intervals are over "
    "recordings."
)
_COLUMNS = (
    "trained_on judged_on split videos recordings accuracy accuracy_low accuracy_high auc auc_low "
    "auc_high recall false_alarm_rate threshold clean shared_videos"
).split()


@dataclass(frozen=True)
class Dataset:
    """Features of one dataset.

    Attributes:
        name: As the cache has it.
        classes: Names, the normal one first.
    """

    name: str
    cache: FeatureCache
    entries: list[ManifestEntry]
    classes: list[str]

    @classmethod
    def of(cls, features: str, normal_class: str | None) -> Self:
        """
        Raises:
            CacheError: If there are no features of a finished extraction, or of one class only.
            ConfigError: If the normal class is not recognised.
        """
        cache = FeatureCache.open(features)
        entries = dataset.usable_entries(cache)
        name = cache.settings()["dataset"]["name"]
        return cls(name, cache, entries, train.classes_of(entries, normal_class))

    @functools.cached_property
    def digests(self) -> frozenset[str]:
        """Of the contents of its videos."""
        return frozenset(entry.digest for entry in self.entries) - {""}


def run_cross_dataset(
    features: Sequence[str], config: CrossDatasetConfig, *, force: bool = False
) -> dict[str, Any]:
    """Train on each dataset, and judge each training on every one.

    Leaves `<checkpoint-dir>/<name>/` with matrix.csv, results.json and the runs. Started again, it
    goes on with the training in hand and those that are missing.

    Args:
        features: Folders of features of two datasets or more, of one feature space.
        config: What each training is.
        force: Whether what is there is replaced.

    Returns:
        What results.json holds.

    Raises:
        ConfigError: If the datasets are not two or more different ones, or what is there was
            made with other settings.
        CacheError: If features are missing, damaged, of different spaces, or of classes that
            cannot be matched.
        TrainingError: If a loss is not finite any more.
    """
    # -- where, on what
    datasets = _datasets(features, config)
    kept = _folder(config)
    devices.import_tensorflow()

    # -- the trainings, and what each is worth where
    with kept.lock():
        notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
        kept.start(_identity(datasets, config), force=force, notes=notes)
        cells = []
        for number, one in enumerate(datasets, 1):
            log.info(f"Training {number} of {len(datasets)}: {one.name}")
            run = _trained(one, config, kept.dir)
            cells += [_cell(run, one, other, config) for other in datasets]
        return _write(kept.dir, datasets, cells)


def plan(
    features: Sequence[str], config: CrossDatasetConfig, *, force: bool = False
) -> dict[str, Any]:
    """What `cross-dataset` would do; nothing is written."""
    datasets, kept = _datasets(features, config), _folder(config)
    if kept.started and not force:
        kept.check_same(_identity(datasets, config))
    return {
        "dry_run": True,
        "cross_dataset": str(kept.dir),
        "trainings": len(datasets) * config.seeds,
        "datasets": {one.name: len(one.entries) for one in datasets},
        "warnings": list(_shared(datasets)),
        "settings": config.as_dict(),
    }


def _folder(config: CrossDatasetConfig) -> StudyFolder:
    return StudyFolder.named(
        config.checkpoint_dir,
        config.name,
        "cross-dataset study",
        record="cross_dataset.json",
        settings=CrossDatasetConfig,
    )


# -- the datasets


def _datasets(features: Sequence[str], config: CrossDatasetConfig) -> list[Dataset]:
    """Once they are two or more, different, of one feature space, and mean the same."""
    found = [Dataset.of(one, config.normal_class) for one in features]
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if len(found) < 2 or twice:
        came = f"{twice[0]} twice" if twice else counted(len(found), "dataset")
        raise ConfigError(f"FEATURES must be of two or more different datasets. Received: {came}")
    first, *others = found
    wanted = vars(first.cache.space())
    differing = [
        f"{one.cache.dir}: {differs}"
        for one in others
        if (differs := one.cache.space().differing(wanted))
    ]
    if differing:
        raise CacheError(
            f"FEATURES must all be of one feature space, as {first.cache.dir} is. Received: "
            + "; ".join(differing)
        )
    for one, other in itertools.permutations(found, 2):
        label_mapping(one.classes, other.classes)
    for one in found:
        held = [row.label for row in one.entries if row.split == "validation"]
        check_monitor(config.monitor, map(one.classes.index, held))
    return found


def _identity(datasets: Sequence[Dataset], config: CrossDatasetConfig) -> dict[str, Any]:
    """What the matrix is of."""
    rows = [
        [
            one.name,
            *([e.path, e.label, e.group, e.split, e.digest] for e in one.entries),
        ]
        for one in datasets
    ]
    return {
        "settings": config.as_dict(),
        "fingerprint": datasets[0].cache.space().fingerprint,
        "videos_digest": files.sha256_of_json(rows),
    }


def _shared(datasets: Sequence[Dataset]) -> Iterator[str]:
    """What is in two datasets, and so is no other's."""
    for one, other in itertools.combinations(datasets, 2):
        if both := one.digests & other.digests:
            yield (
                f"{counted(len(both), 'video')} of {one.name} and {other.name} have the same "
                "bytes: where they were learned from, the numbers are too good."
            )


# -- the cells


def _trained(one: Dataset, config: CrossDatasetConfig, folder: Path) -> Run:
    """The run on a dataset: gone on with where it was begun."""
    import keras

    run = Run(folder / "runs" / one.name)
    keras.backend.clear_session()
    resume = run.config_path.is_file()
    train.train_classifier(config.of_dataset(one.cache.dir, run.dir, resume=resume))
    return Run.open(run.dir)


def _cell(run: Run, one: Dataset, other: Dataset, config: CrossDatasetConfig) -> dict[str, Any]:
    """What the training on one dataset is worth on another, or on its own test videos."""
    split = "test" if other is one else "all"
    cell = {"trained_on": one.name, "judged_on": other.name, "split": split}
    if split == "test" and all(entry.split != "test" for entry in one.entries):
        return cell | {"videos": 0}
    entries = evaluation_set.split_entries(run, other.cache, split)
    clips = dataset.read_dataset(other.cache, entries, one.classes)
    probability = run.load_classifier().probabilities(clips.features)
    threshold = run.record().threshold
    right = decide(probability, threshold) == clips.labels
    violent, score = is_violent(clips.labels), violence_score(probability)
    rates = classification.binary_metrics(violent, score, threshold)
    draw = {"resamples": config.bootstrap, "seed": config.seed}
    met = leakage.find_leaks(
        run, other.cache, entries, split, same_dataset=other is one, read_videos=False
    )
    return cell | {
        "videos": len(clips),
        "recordings": len(set(clips.groups)),
        "grouped": dataset.has_all_recordings(other.cache),
        "accuracy": float(right.mean()),
        "accuracy_ci": intervals.accuracy_interval(right, clips.groups, **draw),
        "auc": rates["auc"],
        "auc_ci": intervals.auc_interval(violent, score, clips.groups, **draw),
        "recall": rates["recall"],
        "false_alarm_rate": rates["false_alarm_rate"],
        "threshold": threshold,
        "class_mapping": renamed_labels(one.classes, other.entries),
        "clean": met.clean,
        "shared_videos": len(met.identical),
    }


def _write(
    folder: Path, datasets: Sequence[Dataset], cells: list[dict[str, Any]]
) -> dict[str, Any]:
    rows = []
    for cell in cells:
        row = dict(cell)
        for name in ("accuracy", "auc"):
            low, high = row.get(f"{name}_ci") or (None, None)
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    files.write_csv(folder / "matrix.csv", _COLUMNS, rows)
    warnings = list(_shared(datasets))
    warnings += [
        f"The recordings of {one.name} are not all known: its intervals may be too narrow."
        for one in datasets
        if not dataset.has_all_recordings(one.cache)
    ]
    for line in warnings:
        log.warning(line)
    result = {
        "cross_dataset": str(folder),
        "datasets": [one.name for one in datasets],
        "features": [str(one.cache.dir) for one in datasets],
        "runs": [str(folder / "runs" / one.name) for one in datasets],
        "cells": cells,
        "note": NOTE,
        "warnings": warnings,
        "matrix_csv": str(folder / "matrix.csv"),
    }
    files.write_json(folder / "results.json", result)
    return result
