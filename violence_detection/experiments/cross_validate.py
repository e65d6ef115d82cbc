"""Cross-validation: repeated k folds, each predicted by a classifier not trained on its recordings.

Trivial baselines predict the same folds.
"""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import recordings
from violence_detection.datasets.recordings import NearDuplicates
from violence_detection.errors import ConfigError
from violence_detection.evaluation import leakage
from violence_detection.evaluation.baselines import Baselines
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.fold_processes import FoldProcesses
from violence_detection.experiments.fold_results import MODEL, FoldResult, FoldResults
from violence_detection.experiments.fold_runner import Fold, FoldRunner, TrainedFold
from violence_detection.experiments.fold_store import FoldStore
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.reports import cross_validation_report
from violence_detection.system import devices, files, provenance
from violence_detection.system.study_folder import StudyFolder
from violence_detection.units import counted

log = logging.getLogger(__name__)

_RECORD = "cross_validation.json"


def run_cross_validation(config: CrossValidateConfig, *, force: bool = False) -> dict[str, Any]:
    """Trains and scores all folds; see `CrossValidationStage`."""
    return CrossValidationStage(config, force=force).run()


class CrossValidationStage:
    """A cross-validation in `<checkpoint-dir>/<name>/`.

    Tables and results are written anew after each fold. Started again, it trains the missing
    folds; a fold that was interrupted is trained from its first epoch.
    """

    def __init__(self, config: CrossValidateConfig, *, force: bool = False) -> None:
        """
        Args:
            config: How the folds are drawn, and the settings of each training.
            force: Whether an earlier cross-validation in the folder is replaced.
        """
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Checks everything that can be checked before a training; the JSON object of a dry run.

        Raises:
            ConfigError: If the settings are in conflict, there are too few recordings for the
                folds, or the folder has a cross-validation with other settings.
            CacheError: If the features are missing or damaged.
            EvidenceError: If the validation videos cannot support the operating point.
        """
        self._open(read_videos=False)
        if self._study.started and not self._force:
            self._study.check_same(self._runner.identity)
        config = self._config
        return {
            "dry_run": True,
            "cross_validation": str(self._study.dir),
            "folds": config.folds,
            "repeats": config.repeats,
            "protocols": [self._note(grouped) for grouped in config.protocols],
            "trainings": len(self._runner.folds) * config.train.seeds,
            "videos": len(self._runner.clips),
            "settings": config.as_dict(),
        }

    def run(self) -> dict[str, Any]:
        """Trains the missing folds; leaves folds.csv, predictions.csv, results.json, report.html.

        Returns:
            The content of results.json: the keys of the command, and more.

        Raises:
            ConfigError, CacheError, EvidenceError: As `prepare`.
            TrainingError: If the loss is no longer finite.
        """
        self._open(read_videos=True)
        study, runner, store = self._study, self._runner, FoldStore(self._study.dir)
        with study.lock(), FoldProcesses(self._config, study.dir, runner) as processes:
            if self._force or not study.started:
                processes.check_buildable()
            notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
            study.start(runner.identity, force=self._force, notes=notes)
            runner.remove_unfinished()

            # -- the folds: first those of earlier starts
            results = {fold.name: store.load(fold.name, fold.rows("test")) for fold in runner.folds}
            missing = [fold for fold in runner.folds if results[fold.name] is None]
            if len(missing) < len(results):
                written = self._write(results)
            for fold, trained in processes.train(missing):
                results[fold.name] = self._with_baselines(fold, trained)
                store.save(fold.name, results[fold.name])
                written = self._write(results)
            for line in written["warnings"]:
                log.warning(line)
            return written

    # -- before the first training

    def _open(self, *, read_videos: bool) -> None:
        """Opens the folder and the features, and draws the folds.

        Args:
            read_videos: Whether videos may be decoded to find near-duplicates; a dry run decodes
                none.
        """
        config = self._config
        if config.train.features is None:
            raise ConfigError("--features must be given. Received: none")
        self._study = StudyFolder.named(
            config.train.checkpoint_dir,
            config.name,
            "cross-validation",
            record=_RECORD,
            settings=CrossValidateConfig,
        )
        devices.import_tensorflow()
        cache = FeatureCache.open(config.train.features)
        entries = dataset.usable_entries(cache)
        self._near_duplicates = NearDuplicates.not_searched("a dry run reads no videos")
        self._summaries = None
        if read_videos:
            self._near_duplicates, self._summaries = recordings.find_near_duplicates(
                entries,
                video_dir=cache.video_dir,
                summaries_path=cache.summaries_path,
                read_videos=config.pictures,
                max_bits=config.near_bits,
            )
        self._grouping = recordings.choose_recordings(
            entries,
            complete=dataset.has_all_recordings(cache),
            pattern=config.group_pattern,
            joined_by=self._near_duplicates
            if config.group_near_duplicates and read_videos
            else None,
        )
        self._runner = FoldRunner(config, None, self._study.dir, self._grouping.apply_to(entries))
        self._runner.check_validation()

    def _note(self, grouped: bool) -> str:
        """The protocol in words, for every output."""
        unknown = "" if self._grouping.complete else "the recordings are not known"
        if not grouped:
            return (
                "random folds: clips of one recording are on both sides; the numbers are too "
                "good" + (unknown and f", and {unknown}")
            )
        if unknown and self._config.group_near_duplicates:
            return (
                "folds grouped by similarity: near-duplicates are on one side; the recordings are "
                "not known, and clips of one recording that are not near-duplicates may be on both "
                "sides"
            )
        if unknown:
            return (
                f"{unknown}: clips of one recording may be on both sides, and the numbers too good"
            )
        return "grouped folds: all clips of a recording are on one side"

    # -- a fold

    @functools.cached_property
    def _baselines(self) -> Baselines:
        summaries: Any = self._near_duplicates.reason
        if self._summaries and not self._summaries.missing_reason:
            summaries = self._summaries.summaries
        baselines = Baselines(self._runner.clips, len(self._runner.classes), summaries)
        for line in baselines.notes:
            log.warning(line)
        return baselines

    def _with_baselines(self, fold: Fold, trained: TrainedFold) -> FoldResult:
        """The result of a fold: its training, and the predictions of model and baselines."""
        test = fold.rows("test")
        train = np.setdiff1d(np.arange(len(self._runner.clips)), test)
        seed = self._config.seed + fold.repeat - 1
        predictions = {MODEL: trained.probability}
        for name in self._baselines.names:
            probability = self._baselines.predict(name, train, test, seed=seed)
            # In float64 it is equal to what a resumed start reads from JSON.
            predictions[name] = np.asarray(probability, np.float64)
        return FoldResult(
            repeat=fold.repeat,
            fold=fold.number,
            grouped=fold.grouped,
            rows=test,
            epochs=trained.epochs,
            best_epoch=trained.best_epoch,
            threshold=trained.threshold,
            predictions=predictions,
            temperature=trained.temperature,
            effective=trained.effective,
            left_out=self._baselines.notes,
        )

    # -- results

    def _write(self, results_by_name: dict[str, FoldResult | None]) -> dict[str, Any]:
        """Writes the tables and results.json so far; pooled intervals and warnings at the end.

        Args:
            results_by_name: Of every fold; None for a fold that is not finished.
        """
        config, runner, folder = self._config, self._runner, self._study.dir
        finished = [result for result in results_by_name.values() if result]
        complete = len(finished) == len(results_by_name)
        protocols, fold_rows, predictions = {}, [], []
        for grouped in config.protocols:
            protocols[grouped] = {"grouped": grouped, "note": self._note(grouped)}
            of_protocol = [result for result in finished if result.grouped == grouped]
            if not of_protocol:
                continue
            results = self._tables(of_protocol, grouped)
            fold_rows += results.fold_rows()
            predictions += results.prediction_rows()
            protocols[grouped] |= results.summary()
            if complete:
                protocols[grouped] |= self._pooled_scores(results, grouped)
        files.write_csv(folder / "predictions.csv", list(predictions[0]), predictions)
        files.write_csv(folder / "folds.csv", list(fold_rows[0]), fold_rows)
        value = {
            "cross_validation": str(folder),
            "folds": config.folds,
            "repeats": config.repeats,
            **protocols[config.protocols[0]],
            **({"random": protocols[False]} if config.both else {}),
            "complete": complete,
            "warnings": [
                line for protocol in protocols.values() for line in protocol.get("warnings", ())
            ],
            "left_out": sorted({line for result in finished for line in result.left_out}),
            "by_fold": fold_rows,
            "videos": len(runner.clips),
            "recordings": len(set(runner.clips.groups)),
            "recordings_known": self._grouping.complete,
            "grouped_by": self._grouping.source,
            "classes": runner.classes,
            "features": str(Path(config.train.features)),
            "effective": finished[-1].effective,
            "folds_csv": str(folder / "folds.csv"),
            "predictions_csv": str(folder / "predictions.csv"),
        }
        if complete:
            value["report"] = str(folder / "report.html")
            cross_validation_report.write_report(
                Path(value["report"]), result=value, settings=files.read_json(folder / _RECORD)
            )
        files.write_json(folder / "results.json", value)
        return value

    def _tables(self, results: Sequence[FoldResult], grouped: bool) -> FoldResults:
        return FoldResults(
            results,
            entries=self._runner.clips.entries,
            labels=self._runner.clips.labels,
            classes=self._runner.classes,
            folds=self._config.folds,
            note=self._note(grouped),
        )

    def _pooled_scores(self, results: FoldResults, grouped: bool) -> dict[str, Any]:
        """Pooled scores of a protocol, leaks between its folds, and warnings."""
        pooled = results.pooled(seed=self._config.seed)
        entries = self._runner.clips.entries
        leaks = leakage.find_leaks_between_folds(entries, results.draws(), self._near_duplicates)
        warnings = results.warnings(pooled)
        for paths, problem in (
            (leaks.identical, "identical to a video of another fold"),
            (leaks.near_duplicates, "similar to a video of another recording in another fold"),
        ):
            if grouped and paths:
                verb = "is" if len(paths) == 1 else "are"
                warnings.append(
                    f"{counted(len(paths), 'video')} {verb} {problem}: the numbers are too good."
                )
        if not leaks.searched:
            log.info(f"Not all videos were searched for near-duplicates: {leaks.reason}.")
        note = self._note(grouped)
        if not grouped or not self._grouping.complete:
            warnings.append(f"{note[0].upper()}{note[1:]}.")
        clean = grouped and self._grouping.complete and leaks.clean
        return {"pooled": pooled, **leaks.as_dict(), "clean": clean, "warnings": warnings}
