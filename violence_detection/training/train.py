"""Stage two: trains a classifier on cached features and leaves a run.

`TrainingStage._read_job` warns of what is odd about the dataset; `sanity_checks` warns of what is
odd about the classifier, once it is trained.
"""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from violence_detection.datasets import class_names, training_readiness, video_folder
from violence_detection.datasets.labels import classes_of, is_violent_label
from violence_detection.datasets.splitting.split_counts import count_splits
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Problem
from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import check_whole
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.output_set import CLASSES, OutputSet
from violence_detection.models.run import Run
from violence_detection.models.run_scores import RunScores
from violence_detection.models.training_results import TrainingResults
from violence_detection.reports import model_card
from violence_detection.reports.plots import figures, threshold_figure
from violence_detection.system import devices
from violence_detection.system.coordination import coordinator_of
from violence_detection.training import (
    batching,
    calibration_folds,
    distillation,
    multi_seed,
    one_class,
)
from violence_detection.training.calibration_folds import CalibrationPlan
from violence_detection.training.checks import model_parts
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving import run_setup
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.training.saving.initial_weights import InitialWeights
from violence_detection.training.training_data import read_splits
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_plan import TrainingPlan
from violence_detection.units import counted

if TYPE_CHECKING:
    import keras

    from violence_detection.features.extraction.extract import ExtractionStage
    from violence_detection.training.monitoring.trackers import ExperimentTracker

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
        self._teacher: distillation.TeacherSource | None = None

    def prepare(self) -> TrainingPlan:
        """Checks the settings and, with `features`, the videos; writes nothing.

        Raises:
            ConfigError, CacheError: See `run`.
        """
        self._choose_run()
        self._check_settings()
        config, settings = self._config, self._config.as_dict()
        run, cluster = str(self._run.dir), self._cluster
        if config.features is None:
            return TrainingPlan(run, settings, cluster, self._extraction_stage().prepare())
        cache = FeatureCache.open(config.features)
        entries, classes = self._check_videos(cache)
        if self._initial_weights and not self._is_started:
            self._initial_weights.check_sizes(config.model, cache, classes)
        used = settings.keys() - config.idle_names()
        return TrainingPlan(
            run,
            {name: settings[name] for name in settings if name in used},
            cluster,
            classes=classes,
            videos=Counter(entry.split for entry in entries),
            calibration=self._calibration,
            members=config.members if config.ensemble else 1,
        )

    def run(self) -> TrainingResults:
        """Trains and returns the results.

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
            coordinator.check_same(**run_setup.agreed_settings(config.as_dict()))

            # -- on what: seed, precision, devices
            device_setup = devices.start(
                seed=config.seed, **config.devices.as_dict(), coordinator=coordinator
            )
            # The run of several machines is the chief's: it alone reserves and locks the folder.
            locked = contextlib.nullcontext(self._run)
            if coordinator.is_chief:
                locked = run_setup.locked_run(
                    self._run, config.as_dict(), new=self._is_new, or_next=config.run is None
                )
            with locked as self._run:
                if config.resume and self._run.finished:  # by another training, meanwhile
                    return _results_of(self._run)

                # -- from what: cached features, extracted first where they are missing
                job = self._read_job(device_setup)
                job.check_same()

                # -- the epochs, and their results
                tracker = self._open_tracker(job)
                results = self._train(job)
                if coordinator.is_chief:
                    if results.summary.epochs_run:
                        figures.draw_history(
                            self._run.dir / "history.png",
                            self._run.history(),
                            kept_epoch=results.summary.kept_epoch,
                        )
                    if not config.one_class:
                        self._draw_threshold(results.scores)
                    if job.cache.space().segments == 1:  # a window is no bag of segments
                        TrainingClips.from_features(job.clips["train"]).write(self._run)
                    model_card.write_model_card(self._run)
                    if tracker:
                        tracker.record(results)
                return results

    def _choose_run(self) -> None:
        config = self._asked
        self._run = run_setup.choose_run(
            Path(config.checkpoint_dir), config.run, resume=config.resume, force=self._force
        )
        self._is_new = not self._run.config_path.is_file()
        if config.resume and not self._is_new:
            recorded = self._run.config().get("settings")
            config = config.resumed(recorded, run=self._run.dir.name, started=self._run.started)
        config.check_sources()
        self._config = config

    @property
    def _is_started(self) -> bool:
        """True for a run that is resumed with its videos and initial weights recorded."""
        return self._config.resume and self._run.started

    def _check_settings(self) -> None:
        """Checks everything that can be checked before hours of extraction: labels, head, loss,
        augmentation, initial weights, machines."""
        config, classes, segments = self._config, 2, 1
        if config.dataset_path is not None:
            folder = video_folder.read_folder(
                Path(config.dataset_path),
                group_pattern=config.extract.group_pattern,
                clip_s=config.extract.clip_s,
                frames_fps=config.extract.frames_fps,
            )
            split = training_readiness.planned_split(
                folder.videos, config.extract.split, self._extraction_stage().kept_split()
            )
            if not self._is_started:
                videos = folder.videos
                if config.one_class:
                    normal = class_names.normal_class(folder.labels, config.normal_class)
                    videos = [video for video in videos if video.label == normal]
                elif len(folder.labels) == 1:
                    classes_of(videos, config.normal_class)  # says what to do
                training_readiness.check_trainable(videos, split, config.normal_class)
            classes = 2 if config.one_class else len(folder.labels)
            segments = config.extract.segments
        self._check_model(classes, segments)
        if config.observation.tracker:
            from violence_detection.training.monitoring import trackers

            trackers.check_installed(config.observation.tracker)
        self._initial_weights = InitialWeights.find(
            config.init_from, self._run, head=config.model.head, resume=config.resume
        )
        self._cluster = run_setup.training_cluster(
            config.addresses,
            config.rank,
            features=config.features,
            run=config.run,
            virtual_devices=config.devices.virtual_devices,
            members=config.members,
        )

    def _check_model(self, classes: int, segments: int) -> None:
        if self._config.one_class:
            check_whole(segments, "train --one-class")
        model_parts.check_parts(
            self._config.model, self._config.batches.augment, classes=classes, segments=segments
        )

    def _check_videos(self, cache: FeatureCache) -> tuple[list[ManifestEntry], list[str]]:
        """The usable videos of a cache and their classes, once they fit the settings.

        Raises:
            CacheError: If a class or a split is missing.
            ConfigError: If features or classes are not those of the initial weights, or validation
                cannot choose an epoch by `monitor`.
            EvidenceError: If there are too few videos for `operating_point`, or for folds.
        """
        config = self._config
        entries = run_setup.read_entries(
            self._run, cache, resume=config.resume, own_split=config.own_split
        )
        segments = cache.space().segments
        if config.one_class:
            self._check_model(2, segments)
            self._calibration = CalibrationPlan()
            return one_class.check_videos(
                entries,
                normal_class=config.normal_class,
                operating_point=config.decision.operating_point,
            )
        classes = classes_of(entries, config.normal_class)
        self._check_model(len(classes), segments)
        if self._initial_weights and not self._is_started:
            self._initial_weights.check(cache, classes)
        ClassThresholds.from_text(config.decision.class_threshold, classes, 0.5)
        if not self._is_started:
            self._teacher = self._find_teacher(cache, entries, classes)
        training_readiness.check_splits(entries, classes)
        if batching.reads_views(config.batches.augment):
            dataset.view_count([entry for entry in entries if entry.split == "train"])
        validation = [entry for entry in entries if entry.split == "validation"]
        violent = [is_violent_label(entry.label, classes) for entry in validation]
        check_monitor(config.selection.monitor, violent)
        self._calibration = calibration_folds.plan_calibration(
            entries,
            classes,
            config.decision,
            monitor=config.selection.monitor,
            seed=config.seed,
            obstacle=self._obstacle_to_folds(cache, entries),
        )
        return entries, classes

    def _obstacle_to_folds(self, cache: FeatureCache, entries: list[ManifestEntry]) -> str:
        """The reason why out-of-fold predictions cannot be had or trusted; else empty."""
        if self._cluster:
            return (
                "in a training of several machines: a fold is trained on one. Received: "
                f"{len(self._cluster)} machines"
            )
        own = [
            dataclasses.replace(entry, split="test") for entry in entries if entry.split != "test"
        ]
        if self._config.distillation.teacher is not None:
            known = self._teacher.known if self._teacher else self._run.known_to_teacher
            if known:
                return (
                    "if the teacher was trained on the videos of the folds. Received: a teacher "
                    f"that was trained on {known} of them or their recordings"
                )
        if not self._initial_weights:
            return ""
        overlap = self._initial_weights.overlap(cache, own)["test"]
        if not overlap:
            return ""
        return (
            "if the run of --init-from was trained on the videos of the folds. Received: a run "
            f"that was trained on {overlap} of them or their recordings"
        )

    def _read_job(self, device_setup: devices.DeviceSetup) -> TrainingJob:
        """The training data, extracted first where features are missing."""
        config = self._config
        cache, failures = self._read_features()
        entries, classes = self._check_videos(cache)
        if self._initial_weights and not self._is_started:
            self._initial_weights.warn_of_overlap(cache, entries)
        if "recording_weights" in config.given:
            _warn_of_unknown_recordings(config.batches.recording_weights, cache)
        views = batching.reads_views(config.batches.augment)
        clips = read_splits(cache, entries, classes, views=views)
        for counts in count_splits((entry.label, entry.group, entry.split) for entry in entries):
            log.info(f"{counts.split.capitalize()}: {counts}")
        teacher, source = None, self._teacher
        if self._is_started and config.distillation.teacher is not None:
            teacher = distillation.Teacher.read(self._run.state_dir, config.distillation)
        elif source is not None:
            taught = ("train", "validation") if self._calibration.folds else ("train",)
            teacher = source.predict([entry for entry in entries if entry.split in taught])
        return TrainingJob(
            device_setup,
            cache,
            entries,
            classes,
            clips,
            failures,
            self._initial_weights,
            own_split=config.own_split is not None,
            calibration=self._calibration,
            teacher=teacher,
            teacher_record=source and source.to_json(),
        )

    def _find_teacher(
        self, cache: FeatureCache, entries: list[ManifestEntry], classes: list[str]
    ) -> "distillation.TeacherSource | None":
        """The teacher of this training, checked; None without one.

        Raises:
            RunError, CacheError, ConfigError: If it cannot teach this training.
        """
        config = self._config
        if config.distillation.teacher is None:
            return None
        if (
            config.one_class
            or CLASSES not in OutputSet.of_spec(config.model.outputs, len(classes)).names
        ):
            raise ConfigError(
                "`teacher` must come with the output classes, which learns from it. Received: "
                f"outputs={config.model.outputs}, one_class={config.one_class}"
            )
        return distillation.TeacherSource.find(config.distillation, cache, entries, classes)

    def _read_features(self) -> tuple[FeatureCache, list[dict[str, str]]]:
        """The features, and the videos that this training's extraction could not read."""
        config = self._config
        if config.features is not None:
            cache = FeatureCache.open(config.features)
            failed = [entry for entry in cache.entries() if not entry.usable]
            if failed:
                log.warning(f"Left out, because not readable: {counted(len(failed), 'video')}.")
            return cache, []
        extraction = self._extraction_stage().run()
        return FeatureCache.open(extraction.features), [
            Problem(*failure) for failure in extraction.failures
        ]

    def _extraction_stage(self) -> "ExtractionStage":
        """The extraction of the videos of `dataset_path`."""
        from violence_detection.features.extraction.extract import ExtractionStage

        config = self._config
        views = batching.further_views(config.batches.augment)
        return ExtractionStage(
            Path(config.dataset_path),
            dataclasses.replace(config.extract, views=views),
            normal_class=config.normal_class,
        )

    def _draw_threshold(self, scores: RunScores) -> None:
        """Draws the rates over the threshold, of the predictions that it was chosen on."""
        predicted = CalibrationPredictions.read(
            self._run.calibration_path, self._run.record().classes
        )
        threshold_figure.draw_threshold_curves(
            self._run.dir / "threshold.png",
            {predicted.source.capitalize(): predicted.threshold_curve(scores.temperature)},
            scores.threshold,
            scores.operating_point.interval,
        )

    def _open_tracker(self, job: TrainingJob) -> "ExperimentTracker | None":
        """The tracker that is asked for, which becomes one of the callbacks."""
        config = self._config
        if not config.observation.tracker:
            return None
        from violence_detection.training.monitoring import trackers

        idle = config.idle_names() if config.features is not None else frozenset()
        settings = {name: value for name, value in config.as_dict().items() if name not in idle}
        tracker = trackers.open_tracker(
            config.observation.tracker, self._run, settings, dataset=job.cache.origin.name
        )
        self._callbacks = [*self._callbacks, tracker]
        return tracker

    def _train(self, job: TrainingJob) -> TrainingResults:
        config = self._config
        if config.one_class:
            return one_class.train_detector(
                job, self._run, config.one_class, config.training, self._callbacks
            )
        if config.members == 1:
            return job.run(self._run, config.training, self._callbacks)
        results = multi_seed.train_members(
            job,
            self._run,
            config.training,
            seeds=config.members,
            ensemble=config.ensemble,
            callbacks=self._callbacks,
        )
        job.write_results(self._run, results)
        return results


def train_classifier(
    config: TrainConfig,
    *,
    force: bool = False,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> TrainingResults:
    """Trains a classifier on cached features; see `TrainingStage`."""
    return TrainingStage(config, force=force, callbacks=callbacks).run()


def _results_of(run: Run) -> TrainingResults:
    log.info(f"{run.dir} is finished; this is its result.")
    return dataclasses.replace(run.results(), run=str(run.dir))  # the run may have been moved


def _warn_of_unknown_recordings(weighting: str, cache: FeatureCache) -> None:
    if weighting != "natural" and not dataset.has_all_recordings(cache):
        log.warning(
            f"--recording-weights {weighting}: a video of an unknown recording counts as a "
            "recording of its own."
        )
