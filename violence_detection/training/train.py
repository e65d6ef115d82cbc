"""Stage two: a classifier learns from cached features and leaves a run behind."""

import contextlib
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.datasets import video_folder
from violence_detection.datasets.labels import normal_class
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig, FeatureConfig
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import threshold_selection
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.reports import model_card
from violence_detection.system import devices
from violence_detection.system.coordination import Coordinator, coordinator_of
from violence_detection.training import batching, multi_seed, run_setup
from violence_detection.training.config import TrainConfig
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.validation import check_monitor
from violence_detection.units import counted

log = logging.getLogger(__name__)


def train_classifier(config: TrainConfig, *, force: bool = False) -> dict[str, Any]:
    """Train a classifier on cached features and leave a run behind.

    Args:
        config: Everything that was asked for.
        force: Whether a run of this name may be replaced.

    Returns:
        What training_results.json holds: the keys of the `train` command, and more.

    Raises:
        ConfigError: If the settings do not go together.
        CacheError: If the features are missing, damaged, or lack a class or a split.
        TrainingError: If the loss is not finite any more, or another machine does not come.
    """
    # -- where: the run's folder, or the one to go on with
    run, config = run_setup.choose_run(config, force=force)
    new = not run.config_path.is_file()
    if config.resume and run.finished:
        return _results_of(run)
    _check_before_hours_of_work(config)
    origin = InitialWeights.of(config, run)
    machines = run_setup.find_cluster(config)

    with coordinator_of(machines) as coordinator:
        coordinator.check_same(**run_setup.agreed_settings(config))

        # -- on what: seed, precision, devices
        machine = start_devices(config, coordinator)
        # Of several machines, the chief's run is the one that there is.
        alone = run_setup.locked_run(run, config, new=new)
        with alone if coordinator.is_chief else contextlib.nullcontext(run) as run:
            if config.resume and run.finished:  # by another training, meanwhile
                return _results_of(run)
            # -- from what: cached clips, extracted first where they are missing
            cache, failures = _features(config)
            entries = run_setup.read_entries(run, config, cache)
            classes = classes_of(entries, config.normal_class)
            if origin and not (config.resume and run.started):
                origin.check(cache, classes)
                origin.warn_of_met(cache, entries)
            _warn_of_idle(config, cache)
            views = batching.reads_views(config.augment)
            clips = read_splits(cache, entries, classes, views=views)
            validation = clips["validation"]
            threshold_selection.check_support(
                config.operating_point, is_violent(validation.labels), validation.groups
            )
            lesson = TrainingJob(machine, cache, entries, classes, clips, failures, origin)
            lesson.check_same()

            # -- the epochs, and what came of them
            if config.seeds == 1:
                results = lesson.learn(run, config)
            else:
                results = {
                    "run": str(run.dir),
                    **multi_seed.train_members(lesson, run, config),
                }
                lesson.finish(run, results)
            if coordinator.is_chief:
                model_card.write_model_card(run)
            return results


def _results_of(run: Run) -> dict[str, Any]:
    log.info(f"{run.dir} is finished; this is its result.")
    return {**run.results(), "run": str(run.dir)}


def plan(config: TrainConfig, *, force: bool = False) -> dict[str, Any]:
    """What `train_classifier` would do; nothing is written."""
    run, config = run_setup.choose_run(config, force=force)
    _check_before_hours_of_work(config)
    origin = InitialWeights.of(config, run)
    machines = run_setup.find_cluster(config)
    settings = config.as_dict()
    planned = {"dry_run": True, "run": str(run.dir)}
    if machines:
        planned["machines"] = list(machines.addresses)
        planned["rank"] = machines.rank
    if config.features is None:
        from violence_detection.features import extract

        planned |= extract.plan(Path(config.dataset_path), extract_config(config))
    else:
        cache = FeatureCache.open(config.features)
        entries = run_setup.read_entries(run, config, cache)
        counts = Counter(entry.split for entry in entries)
        if batching.reads_views(config.augment):
            dataset.view_count(entries)
        planned["classes"] = classes_of(entries, config.normal_class)
        if origin and not (config.resume and run.started):
            origin.check(cache, planned["classes"])
            origin.check_sizes(config, cache, planned["classes"])
        held = [entry for entry in entries if entry.split == "validation"]
        violent = [entry.label != planned["classes"][0] for entry in held]
        check_monitor(config.monitor, violent)
        threshold_selection.check_support(
            config.operating_point, violent, [entry.group for entry in held]
        )
        planned["videos"] = dict(counts)
        settings = {name: settings[name] for name in settings if name not in _idle_settings(config)}
    return planned | {"settings": settings}


def _idle_settings(config: TrainConfig) -> set[str]:
    """Names that mean nothing with --features."""
    own = run_setup.OWN_SPLIT if run_setup.has_own_split(config) else frozenset()
    return run_setup.stage_one(config) - own


def read_splits(
    cache: FeatureCache,
    entries: list[ManifestEntry],
    classes: list[str],
    *,
    views: bool = False,
) -> dict[str, FeatureDataset]:
    """The clips of each split that has any, those of train with their further views on request.

    Raises:
        CacheError: If train or validation has none, or train lacks a class.
        ConfigError: If there are no further views.
    """
    rows = {
        split: [row for row, entry in enumerate(entries) if entry.split == split]
        for split in video_folder.SPLITS
    }
    for split in ("train", "validation"):
        if not rows[split]:
            counts = ", ".join(f"{len(part)} {name}" for name, part in rows.items())
            raise CacheError(
                f"There must be readable videos for {split}. Received: {counts}. More recordings, "
                "or a split column in videos.csv, help."
            )
    missing = set(classes) - {entries[row].label for row in rows["train"]}
    if missing:
        raise CacheError(
            "The training videos must have every class. Received: none of "
            f"{', '.join(sorted(missing))}"
        )
    clips = dataset.read_dataset(cache, entries, classes)
    found = {split: clips.take(part) for split, part in rows.items() if part}
    if views:
        found["train"] = dataset.with_views(cache, found["train"])
    return found


# -- what is needed


def _check_before_hours_of_work(config: TrainConfig) -> None:
    """What would be refused after an extraction is refused before it: labels, head, loss,
    augmentation."""
    classes = 2
    if config.dataset_path is not None:
        folder = video_folder.read_folder(
            Path(config.dataset_path), group_pattern=config.group_pattern
        )
        normal_class(folder.labels, config.normal_class)
        classes = len(folder.labels)
    check_parts(config, classes)


def check_parts(config: TrainConfig, classes: int = 2) -> None:
    """Whether head, loss and augmentation take their arguments.

    Raises:
        ConfigError: If one does not.
    """
    batching.check_augmentation(config.augment)
    devices.import_tensorflow()
    registry.check_arguments("heads", config.head, known=("examples", "recurrence"))
    registry.load(
        "losses",
        config.loss,
        label_smoothing=config.label_smoothing,
        class_shares=[1 / classes] * classes,
    )


def _warn_of_idle(config: TrainConfig, cache: FeatureCache) -> None:
    weighed = config.recording_weights
    if "recording_weights" not in config.given or weighed == "natural":
        return
    if not dataset.has_all_recordings(cache):
        log.warning(
            f"--recording-weights {weighed}: a video whose recording is not known counts as one "
            "of its own."
        )


def _features(config: TrainConfig) -> tuple[FeatureCache, list[dict[str, str]]]:
    """The cache, and the videos that could not be read."""
    if config.features is not None:
        cache = FeatureCache.open(config.features)
        failed = [entry for entry in cache.entries() if not entry.usable]
        if failed:
            log.warning(f"Not trained on, because not read: {counted(len(failed), 'video')}.")
        return cache, []
    from violence_detection.features import extract

    extraction = extract.extract_features(Path(config.dataset_path), extract_config(config))
    return FeatureCache.open(extraction.features), extraction.as_dict()["failures"]


def extract_config(config: TrainConfig) -> ExtractConfig:
    """The settings of the extraction that `train --dataset-path` starts."""
    shared = {setting.name: getattr(config, setting.name) for setting in FeatureConfig.settings()}
    return ExtractConfig(
        **shared | {"workers": config.decoders},
        batch_size=config.extract_batch_size,
        mixed_precision=config.extract_mixed_precision,
        views=1 if batching.reads_views(config.augment) else 0,
        given=config.given,
    )


def classes_of(entries: list[ManifestEntry], asked: str | None = None) -> list[str]:
    """Names of the classes, the normal one first.

    Raises:
        CacheError: If there are not two.
        ConfigError: If `asked` is none of them, or the normal one is not recognised.
    """
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise CacheError(
            f"There must be readable videos of two classes. Received: {', '.join(labels)}"
        )
    normal = normal_class(labels, asked)
    return [normal, *(label for label in labels if label != normal)]


def start_devices(
    config: TrainConfig, coordinator: Coordinator | None = None
) -> devices.DeviceSetup:
    """The devices and precision that a training asks for; see `devices.start`."""
    return devices.start(
        seed=config.seed,
        mixed_precision=config.mixed_precision,
        xla=config.xla,
        virtual_devices=config.virtual_devices,
        deterministic=config.deterministic,
        coordinator=coordinator,
    )
