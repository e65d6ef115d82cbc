"""Hyperparameter search: trains trials and keeps the settings with the best validation score."""

import logging
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.experiments.config import TuneConfig
from violence_detection.experiments.tuning import search_space
from violence_detection.experiments.tuning.search_result import (
    COLUMNS,
    SearchResult,
    TrialCounts,
    TrialRow,
)
from violence_detection.experiments.tuning.trials import TrialRunner, TrialSetup, suggest_values
from violence_detection.system import devices, files, progress, provenance
from violence_detection.system.requirements import install_command
from violence_detection.system.study_folder import StudyFolder, StudyIdentity
from violence_detection.units import counted

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

# Nothing is pruned in the first epochs or among the first trials: their scores vary too much.
_WARMUP_EPOCHS, _FIRST_TRIALS = 5, 5


def run_search(config: TuneConfig, *, force: bool = False) -> SearchResult:
    """Searches for the settings with the best validation score; see `SearchStage`."""
    return SearchStage(config, force=force).run()


class SearchStage:
    """A hyperparameter search with Optuna, in `<checkpoint-dir>/<name>/`.

    The test videos are never read. An interrupted search is continued with --resume, and its
    interrupted trial is run again.
    """

    def __init__(self, config: TuneConfig, *, force: bool = False) -> None:
        """
        Args:
            config: The settings of every trial, the search space, and how trials are scored.
            force: Whether a study of this name may be replaced.
        """
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Checks everything that can be checked before a trial; the JSON object of a dry run.

        Raises:
            ConfigError: If Optuna is not installed, the settings are in conflict, or a study
                exists and is neither resumed nor replaced.
            CacheError: If the features are missing, damaged, or lack a class or a split.
        """
        self._open(train_trials=False)
        if self._folder.started and self._config.resume:
            self._folder.check_same(self._identity())
        return {
            "dry_run": True,
            "study": str(self._folder.dir),
            "trials": self._config.trials,
            "trainings_per_trial": len(self._runner),
            "videos": self._runner.videos,
            "space": search_space.space_as_json(self._space),
            "settings": self._config.as_dict(),
        }

    def run(self) -> SearchResult:
        """Runs the trials; leaves study.db (Optuna's), trials.csv and best.json for `train`.

        Raises:
            ConfigError, CacheError: As `prepare`.
            TrainingError: If no trial completes.
        """
        self._open(train_trials=True)
        config, start_s = self._config, time.monotonic()
        with self._folder.lock():
            self._folder.start(
                self._identity(), force=not config.resume, notes={"versions": provenance.versions()}
            )
            study = self._open_study()
            retried = _requeue_interrupted(study)
            left = config.trials - _count_trials(study).total
            while (done := _count_trials(study).total) < config.trials:
                if config.timeout_s and time.monotonic() - start_s >= config.timeout_s:
                    limit = f"The time limit ({config.timeout_s:g} s) is reached"
                    log.info(f"{limit}; no further trial starts.")
                    break
                trial_start_s = time.monotonic()
                self._run_trial(study, study.ask())
                if done == config.trials - left and left > 1:
                    took_s = time.monotonic() - trial_start_s
                    log.info(progress.total_line(left, "trials at most", took_s))
                self._write_trials(study)
            return self._result(study, retried=retried, seconds=time.monotonic() - start_s)

    # -- before the first trial

    def _open(self, *, train_trials: bool) -> None:
        """Opens the folder and the features, and checks the settings of all trials."""
        config = self._config
        if config.train.features is None:
            raise ConfigError("--features must be given: the folder that extract-features left.")
        self._folder = self._open_folder()
        _import_optuna()
        devices.import_tensorflow()
        # The devices come first: a model that the checks build would fix their number.
        device_setup = None
        if train_trials:
            device_setup = devices.start(seed=config.train.seed, **config.train.devices.as_dict())
        self._base = config.base()
        self._space = search_space.build_space(
            self._base, given=config.given, space_file=config.space
        )
        setup = TrialSetup(
            config.train,
            self._base,
            config.given,
            self._space,
            monitor=config.monitor,
            folds=config.folds,
            prune=config.prune_trials,
            keep_runs=config.keep_runs,
        )
        self._runner = TrialRunner(setup, device_setup, self._folder.dir)

    def _open_folder(self) -> StudyFolder:
        config = self._config
        folder = StudyFolder.named(
            config.train.checkpoint_dir,
            config.run,
            "study",
            record="tune_config.json",
            settings=TuneConfig,
            remedy="use another --run, or --force without --resume",
        )
        if config.resume and not folder.started:
            log.warning(f"{folder.dir} has no study to resume; a new one starts.")
        elif folder.started and not (config.resume or self._force):
            raise ConfigError(
                "--run must name a new study, or --resume or --force must be given. Received: "
                f"{folder.dir} (it exists)"
            )
        return folder

    def _identity(self) -> StudyIdentity:
        space = search_space.space_as_json(self._space)
        return StudyIdentity({"space": space, **self._runner.digests}, self._config.as_dict())

    def _open_study(self) -> "optuna.Study":
        optuna = _import_optuna()
        study = optuna.create_study(
            storage=optuna.storages.RDBStorage(f"sqlite:///{self._folder.dir / 'study.db'}"),
            study_name="tune",
            direction="minimize" if self._config.monitor == "val_loss" else "maximize",
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=_FIRST_TRIALS, n_warmup_steps=_WARMUP_EPOCHS
            ),
            load_if_exists=True,
        )
        # A resumed study with the same seed would draw the first trials again.
        seed = self._config.seed + len(study.trials)
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        return study

    # -- a trial

    def _run_trial(self, study: "optuna.Study", trial: "optuna.Trial") -> None:
        """Trains and scores what `trial` suggests, and reports the outcome to the study."""
        states = _import_optuna().trial.TrialState
        config = self._config
        values = suggest_values(trial, self._space, self._base)
        try:
            score = self._runner.run_trial(trial, values)
        except TrainingError as error:
            trial.set_user_attr("reason", str(error))
            study.tell(trial, state=states.FAIL)
            outcome = f"failed: {error}"
        else:
            if score is None:
                study.tell(trial, state=states.PRUNED)
                outcome = "pruned"
            else:
                study.tell(trial, score)
                outcome = f"{config.monitor} {score:.4f} (best {study.best_value:.4f})"
        listed = ", ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in values.items()
        )
        done = _count_trials(study).total
        log.info(f"{done} of {config.trials}: trial {trial.number} {outcome}; {listed}")

    # -- results

    def _write_trials(self, study: "optuna.Study") -> None:
        """Writes trials.csv and best.json with all trials so far."""
        rows = [
            TrialRow(
                trial.number,
                trial.state.name.lower(),
                trial.value,
                seconds=trial.duration and round(trial.duration.total_seconds(), 3),
                reason=trial.user_attrs.get("reason"),
                settings=trial.params,
            ).to_csv()
            for trial in study.get_trials(deepcopy=False)
            if trial.state.is_finished()
        ]
        folder = self._folder.dir
        files.write_csv(folder / "trials.csv", [*COLUMNS, *self._space], rows)
        if _count_trials(study).completed:
            files.write_json(folder / "best.json", self._best_settings(study))

    def _best_settings(self, study: "optuna.Study") -> dict[str, Any]:
        """The settings that were given and those of the best trial, as `train --config` reads them.

        Folders are left out.
        """
        settings = search_space.apply_values(self._base, study.best_params)
        varied = {name.partition(".")[0] for name in study.best_params}
        left_out = {"features", "checkpoint_dir", "resume", "members"}
        if settings["swa_fraction"]:
            left_out.add("monitor")  # it scored the trials; an average has no best epoch
        names = (varied | self._config.given & self._base.keys()) - left_out
        return {name: settings[name] for name in sorted(names)}

    def _result(self, study: "optuna.Study", *, retried: int, seconds: float) -> SearchResult:
        config, folder = self._config, self._folder.dir
        counts = _count_trials(study)
        if not counts.completed:
            raise TrainingError(
                f"At least one trial must complete. Received: {counts.failed} failed, "
                f"{counts.pruned} pruned ({folder / 'trials.csv'} has the reasons)"
            )
        note = (
            f"The value is the best of {counted(counts.total, 'trial')} on the same validation "
            "videos, so it is better than new videos will give. The test videos were not used."
        )
        return SearchResult(
            dir=str(folder),
            counts=counts,
            monitor=config.monitor,
            best_trial=study.best_trial.number,
            best_value=study.best_trial.value,
            best_settings=self._best_settings(study),
            best_config=str(folder / "best.json"),
            trials_csv=str(folder / "trials.csv"),
            features=str(Path(config.train.features)),
            folds=config.folds or 1,
            seeds=config.train.members,
            trainings_per_trial=len(self._runner),
            videos=self._runner.videos,
            note=note,
            retried=retried,
            seconds=seconds,
        )


def _import_optuna() -> Any:
    """The module `optuna`, which is an optional dependency.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"tune needs Optuna: {install_command('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _requeue_interrupted(study: "optuna.Study") -> int:
    """Closes trials that an interrupted search left open and queues them again; their number."""
    states = _import_optuna().trial.TrialState
    interrupted = study.get_trials(states=(states.RUNNING,))
    for trial in interrupted:
        study.tell(trial.number, state=states.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
        log.info(f"Trial {trial.number} was interrupted; it runs again.")
    return len(interrupted)


def _count_trials(study: "optuna.Study") -> TrialCounts:
    states = Counter(
        trial.state.name
        for trial in study.get_trials(deepcopy=False)
        # An interrupted trial is closed as failed, without a reason.
        if trial.state.name != "FAIL" or "reason" in trial.user_attrs
    )
    return TrialCounts(completed=states["COMPLETE"], pruned=states["PRUNED"], failed=states["FAIL"])
