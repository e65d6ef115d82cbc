"""Trackers of experiments, MLflow and Weights & Biases, as Keras callbacks.

Settings, the scores of each epoch, and the results of a run are sent to them; no video and no
feature. Where a tracker fails, the training goes on without it.
"""

import importlib.util
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import keras

from violence_detection.errors import ConfigError
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.system.requirements import install_command

log = logging.getLogger(__name__)

_MOST_CHARACTERS = 500  # of a setting; MLflow refuses longer ones


def check_installed(name: str) -> None:
    """Checks that the library of a tracker can be imported.

    Raises:
        ConfigError: If it cannot.
    """
    if importlib.util.find_spec(name) is None:
        raise ConfigError(
            f"--tracker {name} must have its library: {install_command(name)}. Received: none"
        )


def open_tracker(
    name: str, run: Run, settings: Mapping[str, Any], *, dataset: str
) -> "ExperimentTracker":
    """The tracker of a training, a callback.

    Args:
        name: `mlflow` or `wandb`.
        run: The run; its name is that of the tracked one.
        settings: All settings of `train`, by flat name.
        dataset: Name of the dataset, by which the tracker groups runs.
    """
    return ExperimentTracker(run, settings, _TRACKERS[name](run.dir.parent, dataset))


class Tracker(Protocol):
    """A program that keeps the numbers of runs; made with the folder of the runs and the name of
    the dataset."""

    def open(self, name: str, settings: Mapping[str, Any]) -> None:
        """Opens a tracked run with its settings."""

    def write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        """Writes numbers of an epoch, or of the whole training."""

    def add_file(self, path: Path) -> None:
        """Adds a file of the run."""

    def close(self) -> None:
        """Closes the tracked run."""


class ExperimentTracker(keras.callbacks.Callback):
    """Sends settings, epochs and results to a tracker; each training of several seeds is a run."""

    def __init__(self, run: Run, settings: Mapping[str, Any], tracker: Tracker) -> None:
        """
        Args:
            run, settings: See `open_tracker`.
            tracker: Where they are sent.
        """
        super().__init__()
        self._run, self._tracker = run, tracker
        self._settings = {
            # A tracker may be another company's: of a path only the last part is sent.
            key: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
            for key, value in settings.items()
            if value is not None
        }
        self._trainings, self._works = 0, True

    def on_train_begin(self, logs=None) -> None:
        self._trainings += 1
        name = self._run.dir.name
        if self._settings.get("members", 1) > 1:
            name += f" seed {self._settings['seed'] + self._trainings - 1}"
        self._safely(self._tracker.open, name, self._settings)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        self._safely(self._tracker.write, _numbers(logs or {}), epoch + 1)

    def on_train_end(self, logs=None) -> None:
        if self._settings.get("members", 1) > 1:  # the run itself is tracked at its end
            self._safely(self._tracker.close)

    def record(self, results: TrainingResults) -> None:
        """Writes the results of the run, and its model card.

        Args:
            results: Of the finished run.
        """
        if self._settings.get("members", 1) > 1:
            self._safely(self._tracker.open, self._run.dir.name, self._settings)
        scores = {"threshold": results.scores.threshold, "kept_epoch": results.summary.kept_epoch}
        validation = results.scores.validation
        for name in ("accuracy", "auc", "loss"):
            scores[f"validation_{name}"] = getattr(validation, name)
        self._safely(self._tracker.write, _numbers(scores), None)
        card = self._run.dir / "MODEL_CARD.md"
        if card.is_file():
            self._safely(self._tracker.add_file, card)
        self._safely(self._tracker.close)

    def _safely(self, function: Callable, *arguments: Any) -> None:
        """Calls a function of the tracker; after a failure nothing is sent any more."""
        if not self._works:
            return
        try:
            function(*arguments)
        except Exception as error:  # every tracker has its own errors, and those of the network
            self._works = False
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            log.warning(f"--tracker is off, because it failed: {reason}")


class _Mlflow:
    """Writes to MLFLOW_TRACKING_URI, or else to `mlruns/` in the folder of the runs."""

    def __init__(self, folder: Path, dataset: str) -> None:
        self._folder, self._dataset = folder, dataset

    def open(self, name: str, settings: Mapping[str, Any]) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (self._folder / "mlruns").as_uri()
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        if uri.startswith("file:"):
            # MLflow 3.7 and later refuse folders, its store without a database, unless told so.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        import mlflow
        from mlflow.entities import Param

        client = self._client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name(self._dataset)
        number = experiment.experiment_id if experiment else client.create_experiment(self._dataset)
        self._id = client.create_run(number, run_name=name).info.run_id
        params = [Param(key, str(value)[:_MOST_CHARACTERS]) for key, value in settings.items()]
        for start in range(0, len(params), 100):  # the most of one request
            client.log_batch(self._id, params=params[start : start + 100])

    def write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._id, name, value, step=epoch or 0)

    def add_file(self, path: Path) -> None:
        self._client.log_artifact(self._id, str(path))

    def close(self) -> None:
        self._client.set_terminated(self._id)


class _Wandb:
    """Writes to the account of the machine, or by WANDB_MODE=offline into the folder of the
    runs."""

    def __init__(self, folder: Path, dataset: str) -> None:
        self._folder, self._dataset = folder, dataset

    def open(self, name: str, settings: Mapping[str, Any]) -> None:
        import wandb

        self._tracked = wandb.init(
            project=self._dataset,
            name=name,
            config=dict(settings),
            dir=str(self._folder),
            reinit="create_new",
        )

    def write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        if epoch is None:
            self._tracked.summary.update(dict(numbers))
        else:
            self._tracked.log(dict(numbers), step=epoch)

    def add_file(self, path: Path) -> None:
        self._tracked.save(str(path), base_path=str(path.parent), policy="now")

    def close(self) -> None:
        self._tracked.finish()


_TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {"mlflow": _Mlflow, "wandb": _Wandb}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers, with names that every tracker takes."""
    return {
        name.replace(":", "_"): float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
