"""Advice for a training: settings that follow from its dataset, each with its reason."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import training_readiness, video_folder
from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError
from violence_detection.experiments.advising import advice, learning_curve
from violence_detection.experiments.advising.advice import Advice, DatasetFacts
from violence_detection.experiments.advising.advice_config import AdviseConfig
from violence_detection.experiments.advising.learning_curve import LearningCurve
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache, array_bytes
from violence_detection.models.run import Run
from violence_detection.system import devices, files
from violence_detection.system.study_folder import StudyFolder, StudyIdentity
from violence_detection.training import batching, training_data
from violence_detection.training.checks import probe
from violence_detection.training.checks.probe import Probe
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving import run_setup
from violence_detection.training.training_data import read_splits
from violence_detection.training.training_job import TrainingJob

_RECORD = "learning_curve.json"
# Places and names are no settings to keep for other trainings.
_PLACES = TrainConfig.names_that_may_change() | {"cache_dir"}


@dataclass(frozen=True)
class AdviceResult:
    """The result of `advise`.

    Attributes:
        facts: The dataset.
        advised: Settings with their reasons.
        config: The file of the settings; empty if none was asked for.
        probe: Speed and memory; None where there are no features or it was not wanted.
        epochs: Epochs of the training at most.
        disk_bytes: Size of features and run on disk; None where there are no features.
        disk_free: Free space in the folder of the runs.
        curve: The learning curve, if it was asked for.
        source: The option that names the dataset, and its value.
    """

    facts: DatasetFacts
    advised: Sequence[Advice]
    config: str
    probe: Probe | None
    epochs: int
    disk_bytes: int | None
    disk_free: int
    curve: LearningCurve | None
    source: tuple[str, str]
    dry_run: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        return {item.name: item.value for item in self.advised}

    def to_json(self) -> dict[str, Any]:
        return {
            **({"dry_run": True} if self.dry_run else {}),
            "settings": self.settings,
            "reasons": {item.name: item.reason for item in self.advised},
            "sources": {item.name: item.source for item in self.advised},
            "dataset": self.facts.to_json(),
            "config": self.config,
            "disk_free_bytes": self.disk_free,
            **({} if self.disk_bytes is None else {"disk_bytes": self.disk_bytes}),
            **(self._measured() if self.probe else {}),
            **({"learning_curve": self.curve.to_json()} if self.curve else {}),
        }

    def _measured(self) -> dict[str, Any]:
        seconds = self.probe.epoch_s * self.epochs
        return {"probe": self.probe.to_json(), "seconds_at_most": seconds}


class AdviceStage:
    """Reads a dataset, applies the rules, and measures speed, memory and the learning curve."""

    def __init__(self, config: AdviseConfig, *, force: bool = False) -> None:
        """
        Args:
            config: The dataset, given settings, and what is measured.
            force: Replace an existing `output`.
        """
        self._config, self._force = config, force

    def prepare(self) -> AdviceResult:
        """The advice without measurements; nothing is written.

        Raises:
            ConfigError, CacheError, DatasetError: If the dataset cannot be trained on, the output
                exists, or the settings do not go together.
        """
        result = self._advise()
        return dataclasses.replace(result, dry_run=True)

    def run(self) -> AdviceResult:
        """The advice; writes the file of settings.

        Raises:
            ConfigError, CacheError, DatasetError: See `prepare`.
            TrainingError: If a training of the learning curve fails.
        """
        result, output = self._advise(), self._config.output
        if self._cache and self._config.probe:
            result = dataclasses.replace(result, probe=self._measure(result))
        if self._config.learning_curve:
            result = dataclasses.replace(result, curve=self._train_curve(result))
        if output:
            files.write_json(Path(output), result.settings)
            result = dataclasses.replace(result, config=output)
        return result

    def _advise(self) -> AdviceResult:
        config = self._config
        if config.output and Path(config.output).exists() and not self._force:
            raise ConfigError(
                f"--output must name a new file, or --force be given. Received: {config.output} "
                "(it exists)"
            )
        facts = self._read_features() if config.train.features else self._read_videos()
        devices.import_tensorflow()
        advised = advice.advise(facts, gpus=devices.gpu_count())
        given = {
            name: config.train.as_dict()[name] for name in sorted(config.train.given - _PLACES)
        }
        advised = advice.with_given(advised, given)
        self._train = self._settings({item.name: item.value for item in advised})
        return AdviceResult(
            facts=facts,
            advised=advised,
            config="",
            probe=None,
            epochs=self._train.optimisation.epochs,
            disk_bytes=self._disk_bytes(facts),
            disk_free=self._disk_free(),
            curve=None,
            source=("--features", config.train.features)
            if config.train.features
            else ("--dataset-path", config.train.dataset_path),
        )

    def _settings(self, advised: Mapping[str, Any]) -> TrainConfig:
        """The settings of a training with the advice, which shows that they go together."""
        config = self._config.train
        values = {"features": config.features, "dataset_path": config.dataset_path}
        values |= {"seed": config.seed, "checkpoint_dir": config.checkpoint_dir, **advised}
        return TrainConfig.from_settings(values, given=advised)

    # -- the dataset

    def _read_features(self) -> DatasetFacts:
        config = self._config.train
        cache = self._cache = FeatureCache.open(config.features)
        self._entries = run_setup.read_entries(
            Run(Path(config.checkpoint_dir)), cache, resume=False, own_split=config.own_split
        )
        classes = self._classes = classes_of(self._entries, config.normal_class)
        training_readiness.check_splits(self._entries, classes)
        return _facts(
            self._entries,
            classes,
            recordings_known=dataset.has_all_recordings(cache),
            views=min(len(entry.digests) - 1 for entry in self._entries),
        )

    def _read_videos(self) -> DatasetFacts:
        config = self._config.train
        self._cache = None
        folder = video_folder.read_folder(
            Path(config.dataset_path),
            group_pattern=config.extract.group_pattern,
            frames_fps=config.extract.frames_fps,
        )
        split = training_readiness.planned_split(folder.videos, config.split)
        training_readiness.check_trainable(folder.videos, split, config.normal_class)
        entries = [
            ManifestEntry(video.key, video.label, video.group, split[video.key])
            for video in folder.videos
        ]
        classes = classes_of(entries, config.normal_class)
        return _facts(entries, classes, recordings_known=not folder.recordings_warning, views=0)

    # -- measurements

    def _job(self) -> TrainingJob:
        config = self._train
        setup = devices.start(seed=config.seed, **config.devices.as_dict())
        views = batching.reads_views(config.batches.augment)
        clips = read_splits(self._cache, self._entries, self._classes, views=views)
        return TrainingJob(setup, self._cache, self._entries, self._classes, clips, [])

    def _measure(self, result: AdviceResult) -> Probe:
        return probe.probe_training(self._job(), self._train.training)

    def _train_curve(self, result: AdviceResult) -> LearningCurve:
        config = self._config
        study = StudyFolder.named(
            config.train.checkpoint_dir,
            config.run,
            "learning curve",
            record=_RECORD,
            settings=AdviseConfig,
        )
        rows = [[entry.path, entry.label, entry.group, entry.digest] for entry in self._entries]
        identity = StudyIdentity(
            {
                "fingerprint": self._cache.space().fingerprint,
                "videos_digest": files.sha256_of_json(rows),
                "advised": json.loads(json.dumps(result.settings)),
            },
            config.as_dict(),
        )
        with study.lock():
            study.start(identity, force=self._force)
            curve = learning_curve.train_curve(
                self._train,
                self._entries,
                study.dir,
                folds=config.folds,
                repeats=config.repeats,
                jobs=config.jobs,
            )
            files.write_json(study.dir / "results.json", curve.to_json())
        return curve

    # -- the disk

    def _disk_bytes(self, facts: DatasetFacts) -> int | None:
        if self._cache is None:
            return None
        space = self._cache.space()
        # The arrays, and their copy in one file.
        return 2 * facts.videos * (1 + facts.views) * array_bytes(space.shape)

    def _disk_free(self) -> int:
        place = Path(self._config.train.checkpoint_dir)
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def _facts(
    entries: Sequence[ManifestEntry],
    classes: Sequence[str],
    *,
    recordings_known: bool,
    views: int,
) -> DatasetFacts:
    counts = Counter(entry.label for entry in entries)
    train = Counter(entry.label for entry in entries if entry.split == "train")
    labels = np.repeat(np.arange(len(classes)), [train[name] for name in classes])
    fractions = batching.drawn_fractions(labels, len(classes), "natural")
    weights = training_data.class_weights_of(labels, fractions)
    return DatasetFacts(
        counts={name: counts[name] for name in classes},
        train={name: train[name] for name in classes},
        recordings=len({entry.group for entry in entries}),
        recordings_known=recordings_known,
        views=views,
        class_weights={
            name: float(weights[labels == number][0]) for number, name in enumerate(classes)
        },
    )
