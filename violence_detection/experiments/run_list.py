"""Lists the runs, cross-validations and studies below a folder, from what they leave on disk."""

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.experiments.cross_validation import cross_validation_folder
from violence_detection.experiments.run_table_config import RunTableConfig
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.reports import run_table
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
)
from violence_detection.reports.run_table import RunRow, RunTable
from violence_detection.system import files

_RUN_RECORD = "training_config.json"


class RunListStage:
    """Reads the folders and makes the table; writes the page, if one is asked for."""

    def __init__(self, config: RunTableConfig, *, force: bool = False) -> None:
        """
        Args:
            config: The folder, the order and the page.
            force: Replace an existing page.
        """
        self._config, self._force = config, force

    def prepare(self) -> RunTable:
        """The table; nothing is written.

        Raises:
            ConfigError: If the folder is not one, or the page exists.
        """
        config = self._config
        if config.html and Path(config.html).exists() and not self._force:
            raise ConfigError(
                f"--html must name a new file, or --force be given. Received: {config.html} "
                "(it exists)"
            )
        table = list_runs(Path(config.checkpoint_dir))
        rows = run_table.sort_rows(table.rows, config.sort)
        return RunTable(table.folder, rows, table.unreadable)

    def run(self) -> RunTable:
        """The table; writes the page.

        Raises:
            ConfigError: See `prepare`.
            ViolenceDetectionError: If the page cannot be written.
        """
        table, page = self.prepare(), self._config.html
        if not page:
            return table
        table = RunTable(table.folder, table.rows, table.unreadable, page)
        run_table.write_page(Path(page), table)
        return table


def list_runs(folder: Path) -> RunTable:
    """Every run and study below a folder; the runs inside of a study or a run are not listed.

    Raises:
        ConfigError: If `folder` is not a folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"--checkpoint-dir must be a folder of runs. Received: {folder}")
    rows, unreadable = [], []
    for path, subfolders, names in os.walk(folder):
        reader = next((reader for file, reader in _READERS.items() if file in names), None)
        subfolders.sort()
        if reader is None:
            continue
        subfolders.clear()
        place = Path(path)
        name = str(place.relative_to(folder)) if place != folder else place.name
        try:
            rows.append(reader(place, name))
        except (
            ViolenceDetectionError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            reason = str(error) if isinstance(error, ViolenceDetectionError) else repr(error)
            reason = " ".join(reason.replace(f"{folder}{os.sep}", "").split())[:300]
            unreadable.append((name, reason))
    return RunTable(str(folder), rows, unreadable)


# -- what each kind leaves


def _read_run(folder: Path, name: str) -> RunRow:
    run = Run(folder)
    config = files.read_json(folder / _RUN_RECORD)
    settings = config.get("settings") or {}
    kind = "federation" if config.get("federation") else "run"
    row = {"name": name, "kind": kind, "head": str(settings.get("head", ""))}
    if "feature_space" in config:
        row |= _space(FeatureSpace.from_json(config["feature_space"]))
        row["dataset"] = config["dataset"]["name"]
    if not run.finished:
        return RunRow(**row, date=_date(folder / _RUN_RECORD), state="unfinished")
    results = TrainingResults.from_json(files.read_json(run.results_path))
    scores = results.scores
    return RunRow(
        **row,
        date=_date(run.results_path),
        state="finished",
        scored_on="validation",
        accuracy=scores.validation.accuracy,
        accuracy_ci=scores.validation.accuracy_ci,
        auc=scores.validation.auc,
        auc_ci=scores.validation.auc_ci,
        threshold=scores.threshold,
        epochs=results.summary.epochs_run,
        warnings=tuple(scores.warnings),
    )


def _read_cross_validation(folder: Path, name: str) -> RunRow:
    record = files.read_json(folder / cross_validation_folder.RECORD)
    row = {"name": name, "kind": "cross-validation"} | _of_settings(record)
    results = folder / "results.json"
    if not results.is_file():
        record_path = folder / cross_validation_folder.RECORD
        return RunRow(**row, date=_date(record_path), state="unfinished")
    result = CrossValidationResult.from_json(files.read_json(results))
    first = result.protocols[0]
    row |= {"date": _date(results), "warnings": tuple(result.warnings)}
    if first.pooled is None:
        return RunRow(**row, state="unfinished")
    model = first.pooled.model
    return RunRow(
        **row,
        state="finished",
        scored_on="folds",
        accuracy=model.accuracy.value,
        accuracy_ci=model.accuracy.ci,
        auc=model.auc.value,
        auc_ci=model.auc.ci,
    )


def _read_search(folder: Path, name: str) -> RunRow:
    record = files.read_json(folder / "tune_config.json")
    row = {"name": name, "kind": "search"} | _of_settings(record)
    trials = folder / "trials.csv"
    if not trials.is_file():
        return RunRow(**row, date=_date(folder / "tune_config.json"), state="unfinished")
    monitor = record["settings"].get("monitor", "val_loss")
    values = [
        float(trial["value"])
        for trial in files.read_own_csv(trials, ("number", "state", "value"))
        if trial["state"] == "complete" and trial["value"]
    ]
    score = {"val_auc": "auc", "val_accuracy": "accuracy"}.get(monitor)
    scores = {score: max(values), "scored_on": "validation"} if score and values else {}
    return RunRow(**row, **scores, date=_date(trials), state="finished")


def _read_datasets(folder: Path, name: str) -> RunRow:
    record = folder / "cross_dataset.json"
    row = {"name": name, "kind": "datasets"} | _of_settings(files.read_json(record))
    results = folder / "results.json"
    if not results.is_file():
        return RunRow(**row, date=_date(record), state="unfinished")
    return RunRow(**row, date=_date(results), state="finished")


def _read_curve(folder: Path, name: str) -> RunRow:
    record, results = folder / "learning_curve.json", folder / "results.json"
    row = {"name": name, "kind": "learning curve"} | _of_settings(files.read_json(record))
    if not results.is_file():
        return RunRow(**row, date=_date(record), state="unfinished")
    last = files.read_json(results)["points"][-1]
    return RunRow(
        **row,
        date=_date(results),
        state="finished",
        scored_on="folds",
        **{key: last[key] for key in ("accuracy", "accuracy_ci", "auc", "auc_ci")},
    )


def _read_ablation(folder: Path, name: str) -> RunRow:
    record, results = folder / "ablation.json", folder / "results.json"
    row = {"name": name, "kind": "ablation"} | _of_settings(files.read_json(record))
    if not results.is_file():
        return RunRow(**row, date=_date(record), state="unfinished")
    values = files.read_json(results)
    state = "finished" if values["complete"] else "unfinished"
    baseline = values["baseline"] or {}
    scores = {key: baseline.get(key) for key in ("accuracy", "accuracy_ci", "auc", "auc_ci")}
    return RunRow(**row, date=_date(results), state=state, scored_on="folds", **scores)


_READERS: Mapping[str, Callable[[Path, str], RunRow]] = {
    _RUN_RECORD: _read_run,
    cross_validation_folder.RECORD: _read_cross_validation,
    "tune_config.json": _read_search,
    "cross_dataset.json": _read_datasets,
    "learning_curve.json": _read_curve,
    "ablation.json": _read_ablation,
}


def _of_settings(record: Mapping[str, Any]) -> dict[str, str]:
    """Dataset, stream and head of a study, by its settings; of features that are gone, the names
    of the folders.

    Raises:
        RunError: If the record has no settings.
    """
    settings = record.get("settings")
    if not isinstance(settings, Mapping):
        raise RunError("The record of a study must hold its settings. Received: none")
    row = {"head": str(settings.get("head", ""))}
    features = settings.get("features")
    if not features:
        return row
    place = Path(features)
    try:
        extraction = FeatureCache.open(place).record()
    except ViolenceDetectionError:
        return row | {"dataset": place.parent.name or place.name}
    return row | {"dataset": extraction.dataset.name} | _space(extraction.space)


def _space(space: FeatureSpace) -> dict[str, str]:
    return {"backbone": space.backbone, "stream": space.stream}


def _date(path: Path) -> str:
    """The time of the last change of a file, ISO 8601 in local time, to the second."""
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime)
    return time.isoformat(timespec="seconds")
