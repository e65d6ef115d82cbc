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
from typing import Any

import keras

from violence_detection.errors import ConfigError
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults

log = logging.getLogger(__name__)

_MOST_CHARACTERS = 500  # of a setting; MLflow refuses longer ones


def check_installed(name: str) -> None:
    """Checks that the library of a tracker can be imported.

    Raises:
        ConfigError: If it cannot.
    """
    if importlib.util.find_spec(name) is None:
        raise ConfigError(
            f"--tracker {name} must have its library: pip install 'violence-detection[{name}]'. "
            "Received: none"
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
    return {"mlflow": MlflowTracker, "wandb": WandbTracker}[name](run, settings, dataset)


class ExperimentTracker(keras.callbacks.Callback):
    """Sends settings, epochs and results to a tracker; each training of several seeds is a run.

    A subclass opens a tracked run, and writes numbers and files to it.
    """

    def __init__(self, run: Run, settings: Mapping[str, Any], dataset: str) -> None:
        """
        Args:
            run, settings, dataset: See `open_tracker`.
        """
        super().__init__()
        self._run, self._dataset = run, dataset
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
        self._safely(self._open, name)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        self._safely(self._write, _numbers(logs or {}), epoch + 1)

    def on_train_end(self, logs=None) -> None:
        if self._settings.get("members", 1) > 1:  # the run itself is tracked at its end
            self._safely(self._close)

    def record(self, results: TrainingResults) -> None:
        """Writes the results of the run, and its model card.

        Args:
            results: Of the finished run.
        """
        if self._settings.get("members", 1) > 1:
            self._safely(self._open, self._run.dir.name)
        scores = {"threshold": results.scores.threshold, "kept_epoch": results.summary.kept_epoch}
        validation = results.scores.validation
        for name in ("accuracy", "auc", "loss"):
            scores[f"validation_{name}"] = getattr(validation, name)
        self._safely(self._write, _numbers(scores), None)
        card = self._run.dir / "MODEL_CARD.md"
        if card.is_file():
            self._safely(self._add_file, card)
        self._safely(self._close)

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

    # -- of each tracker

    def _open(self, name: str) -> None:
        """Opens a tracked run with the settings."""
        raise NotImplementedError

    def _write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        """Writes numbers of an epoch, or of the whole training."""
        raise NotImplementedError

    def _add_file(self, path: Path) -> None:
        """Adds a file of the run."""
        raise NotImplementedError

    def _close(self) -> None:
        """Closes the tracked run."""
        raise NotImplementedError


class MlflowTracker(ExperimentTracker):
    """Writes to MLFLOW_TRACKING_URI, or else to `mlruns/` in the folder of the runs."""

    def _open(self, name: str) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (self._run.dir.parent / "mlruns").as_uri()
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
        settings = [
            Param(key, str(value)[:_MOST_CHARACTERS]) for key, value in self._settings.items()
        ]
        for start in range(0, len(settings), 100):  # the most of one request
            client.log_batch(self._id, params=settings[start : start + 100])

    def _write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._id, name, value, step=epoch or 0)

    def _add_file(self, path: Path) -> None:
        self._client.log_artifact(self._id, str(path))

    def _close(self) -> None:
        self._client.set_terminated(self._id)


class WandbTracker(ExperimentTracker):
    """Writes to the account of the machine, or by WANDB_MODE=offline into the folder of the
    runs."""

    def _open(self, name: str) -> None:
        import wandb

        self._tracked = wandb.init(
            project=self._dataset,
            name=name,
            config=self._settings,
            dir=str(self._run.dir.parent),
            reinit="create_new",
        )

    def _write(self, numbers: Mapping[str, float], epoch: int | None) -> None:
        if epoch is None:
            self._tracked.summary.update(dict(numbers))
        else:
            self._tracked.log(dict(numbers), step=epoch)

    def _add_file(self, path: Path) -> None:
        self._tracked.save(str(path), base_path=str(path.parent), policy="now")

    def _close(self) -> None:
        self._tracked.finish()


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers, with names that every tracker takes."""
    return {
        name.replace(":", "_"): float(value)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
