"""Trials of a hyperparameter search: suggested settings, and the trainings that score them."""

import contextlib
import functools
import itertools
import shutil
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.splitting import folds
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.experiments.tuning import search_space
from violence_detection.experiments.tuning.search_space import Interval, Space
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, training_data
from violence_detection.training.checks import model_parts
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving import run_setup
from violence_detection.training.saving.epoch_selection import check_monitor
from violence_detection.training.saving.initial_weights import InitialWeights
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.training_settings import TrainingSettings

if TYPE_CHECKING:
    import optuna


def suggest_values(trial: "optuna.Trial", space: Space, base: Mapping[str, Any]) -> dict[str, Any]:
    """The values that Optuna suggests for a trial, without arguments its head or loss lacks.

    Args:
        trial: The trial that asks Optuna.
        space: The search space.
        base: Settings of every trial.
    """
    values: dict[str, Any] = {}
    # Head and loss first: they decide which arguments exist.
    for name in sorted(space, key=lambda name: "." in name):
        if search_space.has_effect(name, values, base):
            values[name] = _suggest_value(trial, name, space[name])
    return values


def _suggest_value(trial: "optuna.Trial", name: str, axis: Interval | tuple) -> Any:
    if not isinstance(axis, Interval):
        return trial.suggest_categorical(name, axis)
    if axis.whole:
        low, high, step = int(axis.low), int(axis.high), int(axis.step or 1)
        return trial.suggest_int(name, low, high, step=step, log=axis.log)
    return trial.suggest_float(name, axis.low, axis.high, step=axis.step, log=axis.log)


@contextlib.contextmanager
def _conflicts_fail_the_trial() -> Iterator[None]:
    """Context manager: values that are valid alone but not together end the trial only."""
    try:
        yield
    except ConfigError as error:
        raise TrainingError(str(error)) from error


@dataclass(frozen=True)
class TrialSetup:
    """The features and settings that all trials of a search have in common.

    Attributes:
        train: Settings of every training, over which a trial's values go.
        base: The same by flat name, with `monitor`.
        given: Names of the settings that were given.
        space: The search space.
        monitor: Score of a trial: val_loss, val_auc or val_accuracy.
        folds: Folds that score a trial; None for the validation videos.
        prune: Whether a trial that is worse than the median of earlier ones ends early.
        keep_runs: Whether the runs are kept.
    """

    train: TrainConfig
    base: Mapping[str, Any]
    given: frozenset[str]
    space: Space
    monitor: str
    folds: int | None
    prune: bool
    keep_runs: bool


class TrialRunner:
    """Trains and scores trials: each on every fold and with every seed.

    Attributes:
        digests: Digests of the feature space and of the videos, for the record of the study.
        videos: Number of videos; test videos are not counted.
    """

    def __init__(
        self, setup: TrialSetup, device_setup: DeviceSetup | None, study_dir: Path
    ) -> None:
        """
        Args:
            setup: The settings, the search space, and how trials are scored.
            device_setup: The devices to train on; None if nothing is trained.
            study_dir: The folder of the search.

        Raises:
            ConfigError: If no trial can have one of the settings or values.
            CacheError: If the features are missing, damaged, or lack a class or a split.
        """
        self._setup, self._device_setup, self._study_dir = setup, device_setup, study_dir
        train_settings = setup.train
        self._cache = FeatureCache.open(train_settings.features)
        self._initial = InitialWeights.find(
            train_settings.init_from,
            Run(study_dir),
            head=train_settings.model.head,
            resume=train_settings.resume,
        )
        entries = run_setup.read_entries(
            Run(study_dir),
            self._cache,
            resume=train_settings.resume,
            own_split=train_settings.own_split,
        )
        self._classes = classes_of(entries, train_settings.normal_class)
        for settings in (train_settings, *search_space.boundary_configs(setup.base, setup.space)):
            model_parts.check_parts(
                settings.model,
                settings.batches.augment,
                classes=len(self._classes),
                segments=self._cache.space().segments,
            )
        if self._initial:
            self._initial.check(self._cache, self._classes)
            if search_space.keeps_weight_shapes(setup.space):
                self._initial.check_sizes(train_settings.model, self._cache, self._classes)
        entries = [entry for entry in entries if entry.split != "test"]
        self._folds = folds.validation_folds(entries, setup.folds, seed=train_settings.seed)
        for fold in self._folds:
            labels = [entry.label for entry in fold if entry.split == "validation"]
            check_monitor(setup.monitor, map(self._classes.index, labels))
        if self._initial:
            self._initial.warn_of_overlap(self._cache, self._folds[0])
        self._seeds = range(train_settings.seed, train_settings.seed + train_settings.members)
        # One fold in memory: all trials of a fold share it, and features may be large.
        self._job = functools.lru_cache(maxsize=1)(self._read_job)
        epochs = setup.space.get("epochs", (train_settings.optimisation.epochs,))
        self._most_epochs = int(epochs.high if isinstance(epochs, Interval) else max(epochs))
        self.videos = len(entries)
        rows = [
            (entry.path, entry.label, entry.group, entry.split, entry.digest) for entry in entries
        ]
        self.digests = {
            "fingerprint": self._cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }

    def __len__(self) -> int:
        """Trainings of a trial."""
        return len(self._folds) * len(self._seeds)

    def run_trial(self, trial: "optuna.Trial", values: dict[str, Any]) -> float | None:
        """The mean score over folds and seeds; None for a trial that is pruned.

        Args:
            trial: The trial that the epochs are reported to.
            values: The suggested values, by name.

        Raises:
            TrainingError: If a training fails, or the values are in conflict.
        """
        trial_dir = self._study_dir / "trials" / f"{trial.number:04d}"
        scores: list[float] = []
        try:
            for fold, seed in itertools.product(range(len(self._folds)), self._seeds):
                run = Run(trial_dir / f"part_{fold + 1}_seed_{seed}")
                settings = self._training_settings(run, values, seed)
                score = self._train(trial, run, settings, fold, earlier_scores=scores)
                if score is None:
                    return None
                scores.append(score)
            return statistics.fmean(scores)
        finally:
            if not self._setup.keep_runs:
                shutil.rmtree(trial_dir, ignore_errors=True)
                with contextlib.suppress(OSError):
                    trial_dir.parent.rmdir()

    def _train(
        self,
        trial: "optuna.Trial",
        run: Run,
        settings: TrainingSettings,
        fold: int,
        *,
        earlier_scores: list[float],
    ) -> float | None:
        """The validation score of one training at its best epoch; None if it is pruned."""
        from violence_detection.training.monitoring.callbacks import EpochScores

        def report(epoch: int, value: float) -> bool:
            # The mean so far: at one step all trials are at the same epoch of the same training.
            step = len(earlier_scores) * self._most_epochs + epoch
            trial.report(statistics.fmean([*earlier_scores, value]), step)
            return self._setup.prune and trial.should_prune()

        job, scores = self._job(fold), EpochScores(settings.selection.monitor, report)
        with _conflicts_fail_the_trial():
            trainer = job.build_trainer(run, settings, [scores])
        scores.validation = trainer.validation
        job.start_run(run, settings, trainer)
        trainer.run_epochs()
        if scores.stopped:
            return None
        if self._setup.keep_runs:
            job.finish_run(run, settings.decision, settings.seed, trainer)
        return scores.values[trainer.selection.kept_epoch - 1]

    def _training_settings(self, run: Run, values: dict[str, Any], seed: int) -> TrainingSettings:
        settings = search_space.apply_values(self._setup.base, values) | {
            "seed": seed,
            "members": 1,
            "run": run.dir.name,
            "checkpoint_dir": str(run.dir.parent),
            "checkpoint_epochs": 0,
            "resume": False,
        }
        varied = {name.partition(".")[0] for name in values}
        # `monitor` scores the trial here, also where it chooses no epoch.
        given = (self._setup.given | varied) - {"monitor"}
        with _conflicts_fail_the_trial():
            return TrainConfig.from_settings(settings, given=given).training

    def _read_job(self, fold: int) -> TrainingJob:
        entries = self._folds[fold]
        setup = self._setup
        augmentations = {setup.train.batches.augment, *setup.space.get("augment", ())}
        clips = training_data.read_splits(
            self._cache,
            entries,
            self._classes,
            views=any(map(batching.reads_views, augmentations)),
        )
        return TrainingJob(
            self._device_setup,
            self._cache,
            entries,
            self._classes,
            clips,
            [],
            self._initial,
            own_split=setup.train.own_split is not None,
        )
