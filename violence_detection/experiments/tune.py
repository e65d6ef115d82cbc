"""A search for settings that validate well; the test videos have no part in it."""

import contextlib
import logging
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.errors import ConfigError, TrainingError
from violence_detection.experiments import search_space
from violence_detection.experiments.config import TuneConfig
from violence_detection.experiments.search_space import Space
from violence_detection.experiments.trials import Judges, suggest
from violence_detection.system import devices, files, locks, provenance
from violence_detection.system.files import read_json
from violence_detection.training import train

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

_CONFIG, _LOCK = "tune_config.json", ".lock"
_FREE_ON_RESUME = frozenset("resume name checkpoint_dir features trials timeout keep_runs".split())
# Before these epochs, and these trials, nothing is pruned: both say little yet.
_WARMUP_EPOCHS, _FIRST_TRIALS = 5, 5
_COLUMNS = ("number", "state", "value", "seconds", "reason")


def run_search(config: TuneConfig, *, force: bool = False) -> dict[str, Any]:
    """Search the space for the settings with the best validation score.

    Leaves `<checkpoint-dir>/<name>/` with study.db (Optuna's), trials.csv, and best.json, a
    --config of `train`. What is killed goes on with --resume: the trial in hand is tried again.

    Args:
        config: What every trial has, what is tried, and how trials are judged.
        force: Whether a study of this name may be replaced.

    Returns:
        What the command prints.

    Raises:
        ConfigError: If Optuna is not there, the settings do not go together, or a study is
            there and neither --resume nor --force.
        CacheError: If the features are missing, damaged, or lack a class or a split.
        TrainingError: If no trial came to its end.
    """
    # -- where
    folder = _choose(config, force=force)
    optuna = _optuna()
    devices.import_tensorflow()

    # -- on what, from what, over what
    machine = train.start_devices(config)
    judges = Judges(config, machine, folder)

    # -- the trials
    start_s = time.monotonic()
    with _held(folder):
        _begin(folder, config, judges)
        study = _study(optuna, folder, config)
        retried = _fail_killed(optuna, study)
        while _counts(study)["done"] < config.trials:
            if config.timeout and time.monotonic() - start_s >= config.timeout:
                log.info(f"--timeout {config.timeout:g} is over; no further trial.")
                break
            trial = study.ask()
            _try(optuna, study, trial, config, judges)
            _record(folder, study, config, judges.space)
        return _result(folder, study, config, judges) | {
            "retried": retried,
            "seconds": time.monotonic() - start_s,
        }


def plan(config: TuneConfig, *, force: bool = False) -> dict[str, Any]:
    """What `tune` would do; nothing is written."""
    folder = _choose(config, force=force)
    _optuna()
    devices.import_tensorflow()
    judges = Judges(config, None, folder)
    return {
        "dry_run": True,
        "study": str(folder),
        "trials": config.trials,
        "trainings_per_trial": len(judges),
        "videos": judges.videos,
        "space": search_space.as_json(judges.space),
        "settings": config.as_dict(),
    }


# -- the study's folder


def _choose(config: TuneConfig, *, force: bool) -> Path:
    """The folder to fill, once nothing that is there would be lost."""
    if config.features is None:
        raise ConfigError("--features must be given. Received: none")
    folder = (Path(config.checkpoint_dir) / config.name).resolve()
    if not files.is_occupied(folder, but_for=_LOCK):
        if config.resume:
            log.warning(f"There is no study to go on with at {folder}; it starts anew.")
        return folder
    if not (folder / _CONFIG).is_file():
        raise ConfigError(
            f"--name must be a new study's, or a study's. Received: {folder} (it is none)"
        )
    if not (config.resume or force):
        raise ConfigError(
            "--name must be a new study's, or --resume or --force be given. Received: "
            f"{folder} (it is there)"
        )
    return folder


def _held(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Let no other search work on the study."""
    files.ensure_writable(folder)
    return locks.locked(
        folder / _LOCK,
        f"A study must not be searched already. Received: {folder} (another tune works on "
        "it; --name names another)",
    )


def _begin(folder: Path, config: TuneConfig, judges: Judges) -> None:
    """Write what the study is; or check that one that is resumed is the same."""
    is_there = (folder / _CONFIG).is_file()
    identity = {
        "settings": config.as_dict(),
        "space": search_space.as_json(judges.space),
        **judges.identity,
    }
    files.sweep_temporary(folder)
    if is_there and config.resume:
        _check_same(folder, identity)
        return
    for path in folder.iterdir() if is_there else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
    files.write_json(folder / _CONFIG, identity | {"versions": provenance.versions()})


def _check_same(folder: Path, identity: dict[str, Any]) -> None:
    recorded = read_json(folder / _CONFIG)
    settings = TuneConfig.recorded(recorded.get("settings") or {})
    for name, value in identity["settings"].items():
        if name not in _FREE_ON_RESUME and value != settings[name]:
            raise ConfigError(
                f"--resume must go on with the study's settings, {name}={settings[name]}. "
                f"Received: {name}={value}"
            )
    if recorded.get("space") != identity["space"]:
        raise ConfigError(
            f"--resume must go on with the study's space, which is in {folder / _CONFIG}. "
            "Received: another"
        )
    for name in ("fingerprint", "videos_digest"):
        if recorded.get(name) != identity[name]:
            raise ConfigError(
                "--resume must go on with the same features, videos and split. Received: "
                f"another {name} than in {folder / _CONFIG}"
            )


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "tune must have Optuna (pip install 'violence-detection[tune]'). Received: none"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, folder: Path, config: TuneConfig) -> "optuna.Study":
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    study = optuna.create_study(
        storage=storage,
        study_name="tune",
        direction="minimize" if config.monitor == "val_loss" else "maximize",
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_FIRST_TRIALS, n_warmup_steps=_WARMUP_EPOCHS
        ),
        load_if_exists=True,
    )
    # Resumed with the seed alone, it would draw the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
    return study


def _fail_killed(optuna: Any, study: "optuna.Study") -> int:
    """Close the trials that a kill left open, and put them first in the queue; how many."""
    states = optuna.trial.TrialState
    killed = study.get_trials(states=(states.RUNNING,))
    for trial in killed:
        study.tell(trial.number, state=states.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
        log.info(f"Trial {trial.number} was interrupted; it is tried again.")
    return len(killed)


# -- a trial


def _try(
    optuna: Any,
    study: "optuna.Study",
    trial: "optuna.Trial",
    config: TuneConfig,
    judges: Judges,
) -> None:
    """Train and judge what `trial` suggests, and tell the study."""
    states = optuna.trial.TrialState
    chosen = suggest(trial, judges.space, config.base())
    try:
        value = judges.judge(trial, chosen)
    except TrainingError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=states.FAIL)
        outcome = f"failed: {error}"
    else:
        if value is None:
            study.tell(trial, state=states.PRUNED)
            outcome = "pruned"
        else:
            study.tell(trial, value)
            outcome = f"{config.monitor} {value:.4f} (best {study.best_value:.4f})"
    listed = ", ".join(f"{name}={_short(value)}" for name, value in chosen.items())
    done = _counts(study)["done"]
    log.info(f"{done} of {config.trials}: trial {trial.number} {outcome}; {listed}")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# -- what stays


def _counts(study: "optuna.Study") -> dict[str, int]:
    """Trials by how they ended; `done` leaves out those that a kill ended."""
    states = Counter(
        trial.state.name
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name != "FAIL" or "reason" in trial.user_attrs
    )
    counts = {
        "completed": states["COMPLETE"],
        "pruned": states["PRUNED"],
        "failed": states["FAIL"],
    }
    return counts | {"done": sum(counts.values())}


def _record(folder: Path, study: "optuna.Study", config: TuneConfig, space: Space) -> None:
    """Write trials.csv and best.json anew."""
    rows = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "seconds": trial.duration and round(trial.duration.total_seconds(), 3),
            "reason": trial.user_attrs.get("reason"),
            **trial.params,
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]
    files.write_csv(folder / "trials.csv", [*_COLUMNS, *space], rows)
    if _counts(study)["completed"]:
        files.write_json(folder / "best.json", _best_settings(study, config))


def _best_settings(study: "optuna.Study", config: TuneConfig) -> dict[str, Any]:
    """A --config of `train`: what was given and is not a place, and what the best trial chose."""
    base = config.base()
    chosen = study.best_params
    settings = search_space.settings_with(base, chosen)
    varied = {name.partition(".")[0] for name in chosen}
    left_out = {"features", "checkpoint_dir", "resume", "seeds"}
    if settings["swa_fraction"]:
        left_out.add("monitor")  # which judged the trials, and chooses no epoch
    names = (varied | config.given & base.keys()) - left_out
    return {name: settings[name] for name in sorted(names)}


def _result(
    folder: Path, study: "optuna.Study", config: TuneConfig, judges: Judges
) -> dict[str, Any]:
    counts = _counts(study)
    if not counts["completed"]:
        raise TrainingError(
            f"At least one trial must come to its end. Received: {counts['failed']} failed, "
            f"{counts['pruned']} pruned ({folder / 'trials.csv'} says why)"
        )
    best = study.best_trial
    note = (
        f"It is the best of {counts['done']} trials by the same validation videos, so it is "
        "better than what new videos will give. The test videos had no part in it."
    )
    return {
        "study": str(folder),
        "trials": counts.pop("done"),
        **counts,
        "monitor": config.monitor,
        "best_trial": best.number,
        "best_value": best.value,
        "best_settings": _best_settings(study, config),
        "best_config": str(folder / "best.json"),
        "trials_csv": str(folder / "trials.csv"),
        "features": str(Path(config.features)),
        "folds": config.folds or 1,
        "seeds": config.seeds,
        "trainings_per_trial": len(judges),
        "videos": judges.videos,
        "note": note,
    }
