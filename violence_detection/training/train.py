"""Stage two: trains a classifier on cached features and leaves a run."""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection import registry
from violence_detection.datasets import video_folder
from violence_detection.datasets.class_names import normal_class
from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.metrics import threshold_selection
from violence_detection.models.run import Run
from violence_detection.reports import model_card
from violence_detection.system import devices
from violence_detection.system.coordination import Coordinator, coordinator_of
from violence_detection.training import batching, multi_seed, run_setup
from violence_detection.training.config import TrainConfig
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.training_data import check_splits, read_splits
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.validation import check_monitor
from violence_detection.units import counted

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


class TrainingStage:
    """Stage two: trains a classifier on cached features and leaves a run.

    With `dataset_path` it extracts missing features first. With several machines, each runs the
    same stage; the chief alone writes.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        force: bool = False,
        callbacks: "Sequence[keras.callbacks.Callback]" = (),
    ) -> None:
        """
        Args:
            config: Settings of `train`.
            force: Replace a run of this name.
            callbacks: Further Keras callbacks of every training, see `Trainer`.
        """
        self._asked, self._force, self._callbacks = config, force, callbacks

    def prepare(self) -> dict[str, Any]:
        """Checks the settings and, with `features`, the videos; writes nothing.

        Returns:
            dry_run (true); run; with several machines machines and rank; the dry run of the
            extraction, or else classes and videos, a number for each split; and settings.
        """
        self._choose_run()
        self._check_settings()
        config, settings = self._config, self._config.as_dict()
        planned = {"dry_run": True, "run": str(self._run.dir)}
        if self._cluster:
            planned |= {"machines": list(self._cluster.addresses), "rank": self._cluster.rank}
        if config.features is None:
            from violence_detection.features.extract import ExtractionStage

            extraction = ExtractionStage(Path(config.dataset_path), extract_config(config))
            planned |= extraction.prepare()
            return planned | {"settings": settings}
        cache = FeatureCache.open(config.features)
        entries, classes = self._check_videos(cache)
        if self._initial_weights and not self._is_started:
            self._initial_weights.check_sizes(config.head, cache, classes)
        used = settings.keys() - _idle_settings(config)
        return planned | {
            "classes": classes,
            "videos": dict(Counter(entry.split for entry in entries)),
            "settings": {name: settings[name] for name in settings if name in used},
        }

    def run(self) -> dict[str, Any]:
        """Trains and returns the results.

        Returns:
            The content of training_results.json, which is also the JSON object of `train`.

        Raises:
            ConfigError: If the settings do not go together.
            CacheError: If the features are missing, damaged, or lack a class or a split.
            TrainingError: If the loss is no longer finite, or another machine does not come.
        """
        # -- where: the run's folder, or the run that is resumed
        self._choose_run()
        if self._config.resume and self._run.finished:
            return _results_of(self._run)
        self._check_settings()
        config = self._config
        with coordinator_of(self._cluster) as coordinator:
            coordinator.check_same(**run_setup.agreed_settings(config))

            # -- on what: seed, precision, devices
            device_setup = start_devices(config, coordinator)
            # The run of several machines is the chief's: it alone reserves and locks the folder.
            locked = contextlib.nullcontext(self._run)
            if coordinator.is_chief:
                locked = run_setup.locked_run(self._run, config, new=self._is_new)
            with locked as self._run:
                if config.resume and self._run.finished:  # by another training, meanwhile
                    return _results_of(self._run)

                # -- from what: cached features, extracted first where they are missing
                job = self._read_job(device_setup)
                job.check_same()

                # -- the epochs, and their results
                results = self._train(job)
                if coordinator.is_chief:
                    model_card.write_model_card(self._run)
                return results

    def _choose_run(self) -> None:
        self._run, self._config = run_setup.choose_run(self._asked, force=self._force)
        self._is_new = not self._run.config_path.is_file()

    @property
    def _is_started(self) -> bool:
        """True for a run that is resumed with its videos and initial weights recorded."""
        return self._config.resume and self._run.started

    def _check_settings(self) -> None:
        """Checks everything that can be checked before hours of extraction: labels, head, loss,
        augmentation, initial weights, machines."""
        config, classes = self._config, 2
        if config.dataset_path is not None:
            folder = video_folder.read_folder(
                Path(config.dataset_path), group_pattern=config.extract.group_pattern
            )
            normal_class(folder.labels, config.normal_class)
            classes = len(folder.labels)
        check_parts(config, classes)
        self._initial_weights = InitialWeights.from_config(config, self._run)
        self._cluster = run_setup.find_cluster(config)

    def _check_videos(self, cache: FeatureCache) -> tuple[list[ManifestEntry], list[str]]:
        """The usable videos of a cache and their classes, once they fit the settings.

        Raises:
            CacheError: If a class or a split is missing.
            ConfigError: If features or classes are not those of the initial weights, or validation
                cannot choose an epoch by `monitor`.
            EvidenceError: If validation is too small for `operating_point`.
        """
        config = self._config
        entries = run_setup.read_entries(
            self._run, cache, resume=config.resume, own_split=config.own_split
        )
        classes = classes_of(entries, config.normal_class)
        if self._initial_weights and not self._is_started:
            self._initial_weights.check(cache, classes)
        check_splits(entries, classes)
        if batching.reads_views(config.augment):
            dataset.view_count([entry for entry in entries if entry.split == "train"])
        validation = [entry for entry in entries if entry.split == "validation"]
        violent = [entry.label != classes[0] for entry in validation]
        check_monitor(config.monitor, violent)
        threshold_selection.check_support(
            config.operating_point, violent, [entry.group for entry in validation]
        )
        return entries, classes

    def _read_job(self, device_setup: devices.DeviceSetup) -> TrainingJob:
        """The training data, extracted first where features are missing."""
        config = self._config
        cache, failures = _features(config)
        entries, classes = self._check_videos(cache)
        if self._initial_weights and not self._is_started:
            self._initial_weights.warn_of_overlap(cache, entries)
        _warn_of_unknown_recordings(config, cache)
        views = batching.reads_views(config.augment)
        clips = read_splits(cache, entries, classes, views=views)
        return TrainingJob(
            device_setup, cache, entries, classes, clips, failures, self._initial_weights
        )

    def _train(self, job: TrainingJob) -> dict[str, Any]:
        if self._config.seeds == 1:
            return job.run(self._run, self._config, self._callbacks)
        members = multi_seed.train_members(job, self._run, self._config, self._callbacks)
        results = {"run": str(self._run.dir), **members}
        job.write_results(self._run, results)
        return results


def train_classifier(
    config: TrainConfig,
    *,
    force: bool = False,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> dict[str, Any]:
    """Trains a classifier on cached features; see `TrainingStage`."""
    return TrainingStage(config, force=force, callbacks=callbacks).run()


def _results_of(run: Run) -> dict[str, Any]:
    log.info(f"{run.dir} is finished; this is its result.")
    return {**run.results(), "run": str(run.dir)}


def _idle_settings(config: TrainConfig) -> frozenset[str]:
    """Names of the settings that have no effect with --features."""
    names = config.names_in("extract")
    return names if config.own_split else names | config.names_in("split")


def check_parts(config: TrainConfig, classes: int = 2) -> None:
    """Checks the arguments of head, loss and augmentation.

    Raises:
        ConfigError: If a part does not take its arguments.
    """
    batching.check_augmentation(config.augment)
    devices.import_tensorflow()
    registry.check_arguments("heads", config.head)
    registry.load(
        "losses",
        config.loss,
        label_smoothing=config.label_smoothing,
        class_fractions=[1 / classes] * classes,
    )


def _warn_of_unknown_recordings(config: TrainConfig, cache: FeatureCache) -> None:
    weighed = config.recording_weights
    if "recording_weights" not in config.given or weighed == "natural":
        return
    if not dataset.has_all_recordings(cache):
        log.warning(
            f"--recording-weights {weighed}: a video of an unknown recording counts as a recording "
            "of its own."
        )


def _features(config: TrainConfig) -> tuple[FeatureCache, list[dict[str, str]]]:
    """The features, and the videos that this training's extraction could not read."""
    if config.features is not None:
        cache = FeatureCache.open(config.features)
        failed = [entry for entry in cache.entries() if not entry.usable]
        if failed:
            log.warning(f"Left out, because not readable: {counted(len(failed), 'video')}.")
        return cache, []
    from violence_detection.features import extract

    extraction = extract.extract_features(Path(config.dataset_path), extract_config(config))
    return FeatureCache.open(extraction.features), extraction.as_dict()["failures"]


def extract_config(config: TrainConfig) -> ExtractConfig:
    """The settings of the extraction that `train --dataset-path` starts."""
    views = 1 if batching.reads_views(config.augment) else 0
    return dataclasses.replace(config.extract, views=views)


def start_devices(
    config: TrainConfig, coordinator: Coordinator | None = None
) -> devices.DeviceSetup:
    """Starts the devices with the seed and precision of a config; see `devices.start`."""
    return devices.start(
        seed=config.seed,
        mixed_precision=config.mixed_precision,
        xla=config.xla,
        virtual_devices=config.virtual_devices,
        deterministic=config.deterministic,
        coordinator=coordinator,
    )
