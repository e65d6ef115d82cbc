"""A trial of a search: what it chooses, and the trainings that it is judged by."""

import contextlib
import functools
import itertools
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.datasets import folds
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.experiments import search_space
from violence_detection.experiments.config import TuneConfig
from violence_detection.experiments.search_space import Interval, Space
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.system.devices import DeviceSetup
from violence_detection.training import batching, run_setup, train
from violence_detection.training.config import TrainConfig
from violence_detection.training.initial_weights import InitialWeights
from violence_detection.training.training_job import TrainingJob
from violence_detection.training.validation import check_monitor

if TYPE_CHECKING:
    import optuna


def suggest(trial: "optuna.Trial", space: Space, base: dict[str, Any]) -> dict[str, Any]:
    """What a trial chooses; an argument that its head or loss does not take, it does not.

    Args:
        base: Settings of every trial.
    """
    chosen: dict[str, Any] = {}
    # Head and loss first: they decide which arguments there are.
    for name in sorted(space, key=lambda name: "." in name):
        if search_space.takes(chosen, base, name):
            chosen[name] = _suggested(trial, name, space[name])
    return chosen


def _suggested(trial: "optuna.Trial", name: str, axis: Interval | tuple) -> Any:
    if not isinstance(axis, Interval):
        return trial.suggest_categorical(name, axis)
    if axis.whole:
        low, high, step = int(axis.low), int(axis.high), int(axis.step or 1)
        return trial.suggest_int(name, low, high, step=step, log=axis.log)
    return trial.suggest_float(name, axis.low, axis.high, step=axis.step, log=axis.log)


def _most_epochs(config: TuneConfig, space: Space) -> int:
    axis = space.get("epochs", (config.epochs,))
    return int(axis.high if isinstance(axis, Interval) else max(axis))


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """What does not go together, each value sound by itself, ends the trial and not the search."""
    try:
        yield
    except ConfigError as error:
        raise TrainingError(str(error)) from error


class Judges:
    """The trainings that a trial is judged by: each fold with each seed.

    Args:
        machine: None where nothing is to be trained.

    Attributes:
        space: What is tried.
        identity: What the features and videos are.
        videos: How many there are in all, test videos not counted.
    """

    def __init__(self, config: TuneConfig, machine: DeviceSetup | None, folder: Path) -> None:
        self._config, self._machine, self._folder = config, machine, folder
        self._cache = FeatureCache.open(config.features)
        self._origin = InitialWeights.of(config, Run(folder))
        entries = run_setup.read_entries(Run(folder), config, self._cache)
        self._classes = train.classes_of(entries, config.normal_class)
        self.space = search_space.space_of(config)
        for settings in (config, *search_space.with_each(config, self.space)):
            train.check_parts(settings, len(self._classes))
        if self._origin:
            self._origin.check(self._cache, self._classes)
            if search_space.keeps_sizes(self.space):
                self._origin.check_sizes(config, self._cache, self._classes)
        known = [entry for entry in entries if entry.split != "test"]
        self._parts = folds.validation_folds(known, config.folds, seed=config.seed)
        for part in self._parts:
            held = [entry.label for entry in part if entry.split == "validation"]
            check_monitor(config.monitor, map(self._classes.index, held))
        if self._origin:
            self._origin.warn_of_met(self._cache, self._parts[0])
        self._seeds = range(config.seed, config.seed + config.seeds)
        self._lesson = functools.lru_cache(maxsize=1)(self._read_lesson)
        self._longest = _most_epochs(config, self.space)
        self.videos = len(known)
        rows = [(one.path, one.label, one.group, one.split, one.digest) for one in known]
        self.identity = {
            "fingerprint": self._cache.space().fingerprint,
            "videos_digest": files.sha256_of_json(rows),
        }

    def __len__(self) -> int:
        return len(self._parts) * len(self._seeds)

    def judge(self, trial: "optuna.Trial", chosen: dict[str, Any]) -> float | None:
        """The mean of the scores; None for a trial that is pruned.

        Raises:
            TrainingError: If a training breaks, or what was chosen does not go together.
        """
        trial_dir = self._folder / "trials" / f"{trial.number:04d}"
        values: list[float] = []
        try:
            for part, seed in itertools.product(range(len(self._parts)), self._seeds):
                run = Run(trial_dir / f"part_{part + 1}_seed_{seed}")
                settings = self._settings(run, chosen, seed)
                value = self._train(trial, run, settings, part, before=values)
                if value is None:
                    return None
                values.append(value)
            return statistics.fmean(values)
        finally:
            if not self._config.keep_runs:
                shutil.rmtree(trial_dir, ignore_errors=True)
                with contextlib.suppress(OSError):
                    trial_dir.parent.rmdir()

    def _train(
        self,
        trial: "optuna.Trial",
        run: Run,
        config: TrainConfig,
        part: int,
        *,
        before: list[float],
    ) -> float | None:
        pass

        def report(epoch: int, value: float) -> bool:
            # The mean so far: at one step all trials are at the same epoch of the same training.
            step = len(before) * self._longest + epoch
            trial.report(statistics.fmean([*before, value]), step)
            return self._config.prune and trial.should_prune()

        lesson = self._lesson(part)
        from violence_detection.training.callbacks import EpochScores

        scores = EpochScores(config.monitor, report)
        with _failing():
            trainer = lesson.trainer(run, config, [scores])
        scores.validation = trainer.validation
        lesson.begin(run, config, trainer)
        trainer.run_epochs()
        if scores.stopped:
            return None
        if self._config.keep_runs:
            results = {
                "run": str(run.dir),
                **trainer.summary(),
                **lesson.judge(run, config),
                "effective": lesson.effective | trainer.effective,
            }
            lesson.finish(run, results)
        return scores.values[trainer.selection.kept_epoch - 1]

    def _settings(self, run: Run, chosen: dict[str, Any], seed: int) -> TrainConfig:
        settings = search_space.settings_with(self._config.base(), chosen) | {
            "seed": seed,
            "seeds": 1,
            "run": run.dir.name,
            "checkpoint_dir": str(run.dir.parent),
            "checkpoint_epochs": 0,
            "resume": False,
        }
        varied = {name.partition(".")[0] for name in chosen}
        # What is monitored judges the trial here, also where it chooses no epoch.
        given = (self._config.given | varied) - {"monitor"}
        with _failing():
            return TrainConfig(**settings, given=given)

    def _read_lesson(self, part: int) -> TrainingJob:
        entries = self._parts[part]
        augments = {self._config.augment, *self.space.get("augment", ())}
        clips = train.read_splits(
            self._cache,
            entries,
            self._classes,
            views=any(map(batching.reads_views, augments)),
        )
        return TrainingJob(
            self._machine, self._cache, entries, self._classes, clips, [], self._origin
        )
