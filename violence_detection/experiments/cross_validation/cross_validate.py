"""Cross-validation: repeated k folds, each predicted by a classifier not trained on its recordings.

Trivial baselines predict the same folds.
"""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import units
from violence_detection.datasets import camera_and_time
from violence_detection.datasets.splitting import recordings
from violence_detection.datasets.splitting.recordings import NearDuplicates
from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.evaluation import leakage
from violence_detection.evaluation.baselines import KNN, MAJORITY, Baselines
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.cross_validation import (
    cross_validation_folder,
    fold_diagnostics,
    fold_protocol,
)
from violence_detection.experiments.cross_validation.cross_validation_folder import RECORD
from violence_detection.experiments.cross_validation.drawn_folds import Fold, FoldPlan
from violence_detection.experiments.cross_validation.fold_processes import FoldProcesses
from violence_detection.experiments.cross_validation.fold_results import FoldResult, FoldResults
from violence_detection.experiments.cross_validation.fold_runner import (
    FoldRunner,
    FoldSetup,
    TrainedFold,
)
from violence_detection.experiments.cross_validation.fold_store import FoldStore
from violence_detection.experiments.study_features import open_study_features
from violence_detection.features import dataset
from violence_detection.metrics import classification
from violence_detection.reports.cross_validation import cross_validation_report
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
    PooledResult,
    ProtocolResult,
)
from violence_detection.reports.cross_validation.cross_validation_scores import MODEL
from violence_detection.system import files, provenance
from violence_detection.system.study_folder import StudyFolder, StudyIdentity

log = logging.getLogger(__name__)


def run_cross_validation(
    config: CrossValidateConfig, *, force: bool = False
) -> CrossValidationResult:
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
            self._study.check_same(self._identity)
        config = self._config
        return {
            "dry_run": True,
            "cross_validation": str(self._study.dir),
            "folds": self._fold_count,
            "repeats": config.repeats,
            "protocols": [self._note(grouped) for grouped in config.protocols],
            "trainings": len(self._runner.folds)
            * (config.train.members + config.calibration_trainings),
            "videos": len(self._runner.clips),
            "settings": config.as_dict(),
        }

    def run(self) -> CrossValidationResult:
        """Trains the missing folds; leaves folds.csv, predictions.csv, results.json, report.html.

        Raises:
            ConfigError, CacheError, EvidenceError: As `prepare`.
            TrainingError: If the loss is no longer finite.
        """
        self._open(read_videos=True)
        study, runner, store = self._study, self._runner, FoldStore(self._study.dir)
        workers = FoldProcesses(self._setup, runner.folds, self._config.jobs)
        with study.lock(), workers as processes:
            if self._force or not study.started:
                processes.check_buildable()
            notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
            study.start(self._identity, force=self._force, notes=notes)
            runner.remove_unfinished()

            # -- the folds: first those of earlier starts
            finished = {fold.name: self._load(store, fold) for fold in runner.folds}
            missing = [fold for fold in runner.folds if finished[fold.name] is None]
            if len(missing) < len(finished):
                result = self._write(finished)
            if missing:
                log.info(self._work_line(len(missing)))
            for fold, trained in processes.train(missing):
                finished[fold.name] = self._with_baselines(fold, trained)
                store.save(fold.name, finished[fold.name])
                result = self._write(finished)
            return result

    # -- before the first training

    def _open(self, *, read_videos: bool) -> None:
        """Opens the folder and the features, and draws the folds.

        Args:
            read_videos: Whether videos may be decoded to find near-duplicates; a dry run decodes
                none.
        """
        config = self._config
        cache = self._cache = open_study_features(config.train.features)
        self._study = StudyFolder.named(
            config.train.checkpoint_dir,
            config.run,
            "cross-validation",
            record=RECORD,
            settings=CrossValidateConfig,
        )
        entries = dataset.usable_entries(cache)
        self._near_duplicates = NearDuplicates.not_searched("a dry run reads no videos")
        self._summaries = None
        if read_videos:
            self._near_duplicates, self._summaries = recordings.find_near_duplicates(
                entries,
                video_dir=cache.video_dir,
                summaries_path=cache.summaries_path,
                read_videos=config.read_videos,
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
        entries = camera_and_time.from_paths(
            self._grouping.apply_to(entries),
            camera_pattern=config.camera_pattern,
            time_pattern=config.time_pattern,
        )
        fold_protocol.check_hold_out(config.hold_out, entries)
        self._setup = FoldSetup(
            config.train,
            FoldPlan(
                folds=config.folds,
                repeats=config.repeats,
                protocols=config.protocols,
                seed=config.seed,
                validation_fraction=config.validation_fraction,
                by=config.hold_out,
                calibrate_by=config.calibrate_by,
            ),
            self._study.dir,
            tuple(entries),
        )
        self._runner = FoldRunner(self._setup, None)
        self._tested = np.unique(np.concatenate([f.rows("test") for f in self._runner.folds]))
        self._runner.check_validation()

    @property
    def _fold_count(self) -> int:
        """The number of folds of a repeat."""
        config = self._config
        return len(self._runner.folds) // (config.repeats * len(config.protocols))

    def _work_line(self, folds: int) -> str:
        """The trainings that are left, before the first of them has shown how long one takes."""
        members, further = self._config.train.members, self._config.calibration_trainings
        text = f"{units.counted(folds, 'fold')} to train"
        if further:
            text += f", each {members + further} times: {further} to choose its threshold"
        later = " After the first, a line says about how long all take." if folds > 1 else ""
        return f"{text}.{later}"

    @property
    def _identity(self) -> StudyIdentity:
        """The settings and digests that a resumed study must repeat."""
        return StudyIdentity(self._runner.digests, self._config.as_dict())

    def _note(self, grouped: bool) -> str:
        """The protocol in words, for every output."""
        return fold_protocol.protocol_note(
            self._runner.folds,
            by=self._config.hold_out,
            grouped=grouped,
            recordings_known=self._grouping.complete,
            group_near_duplicates=self._config.group_near_duplicates,
        )

    # -- a fold

    @functools.cached_property
    def _baselines(self) -> Baselines:
        summaries: VideoSummaries | str = self._near_duplicates.reason
        if self._summaries and not self._summaries.missing_reason:
            summaries = self._summaries.summaries
        baselines = Baselines(self._runner.clips, len(self._runner.classes), summaries)
        for line in baselines.notes:
            log.warning(line)
        return baselines

    def _load(self, store: FoldStore, fold: Fold) -> FoldResult | None:
        """The result of a fold that an earlier start finished; None if it must be trained."""
        result = store.load(fold.name, fold.rows("test"))
        if result is None:
            return None
        # Versions differ in the majority baseline; older ones have no knn and no number of videos.
        predictions = {**result.predictions, MAJORITY: self._majority(result.rows)}
        if KNN not in predictions:
            predictions[KNN] = self._baselines.predict(
                KNN, fold.training_rows, result.rows, seed=self._setup.plan.seed_of(fold.repeat)
            )
        return dataclasses.replace(
            result, predictions=predictions, training_videos=len(fold.training_rows)
        )

    def _majority(self, rows: np.ndarray) -> np.ndarray:
        """The majority baseline for M rows, float64 (M, K).

        It is always the larger class of all folds: where folds are stratified, the larger class of
        the other folds is often the smaller one of this fold, and is worse than chance.
        """
        clips, classes = self._runner.clips, len(self._runner.classes)
        return np.eye(classes)[
            np.full(len(rows), classification.majority_class(clips.labels, classes))
        ]

    def _with_baselines(self, fold: Fold, trained: TrainedFold) -> FoldResult:
        """The result of a fold: its training, and the predictions of model and baselines."""
        test, train = fold.rows("test"), fold.training_rows
        seed = self._setup.plan.seed_of(fold.repeat)
        predictions = {MODEL: trained.probability}
        for name in self._baselines.names:
            if name == MAJORITY:
                predictions[name] = self._majority(test)
                continue
            probability = self._baselines.predict(name, train, test, seed=seed)
            # In float64 it is equal to what a resumed start reads from JSON.
            predictions[name] = np.asarray(probability, np.float64)
        return FoldResult(
            repeat=fold.repeat,
            fold=fold.number,
            grouped=fold.grouped,
            rows=test,
            epochs=trained.epochs,
            kept_epoch=trained.kept_epoch,
            threshold=trained.threshold,
            predictions=predictions,
            temperature=trained.temperature,
            effective=trained.effective,
            left_out=self._baselines.notes,
            training_videos=len(train),
        )

    # -- results

    def _write(self, by_fold: Mapping[str, FoldResult | None]) -> CrossValidationResult:
        """Writes the tables and results.json so far; the report once all folds are finished.

        Args:
            by_fold: The result of every fold, by its name; None for a fold that is not finished.
        """
        config, runner, folder = self._config, self._runner, self._study.dir
        finished = [result for result in by_fold.values() if result]
        complete = len(finished) == len(by_fold)
        results = {
            grouped: self._results([result for result in finished if result.grouped == grouped])
            for grouped in config.protocols
        }
        available = [item for item in results.values() if item]
        fold_rows = [row for item in available for row in item.fold_rows()]
        predictions = [row for item in available for row in item.out_of_fold()]
        result = CrossValidationResult(
            dir=str(folder),
            folds=self._fold_count,
            repeats=config.repeats,
            by=config.hold_out,
            protocols=tuple(
                ProtocolResult(
                    grouped=grouped,
                    note=self._note(grouped),
                    means=item.means() if item else {},
                    pooled=self._pooled(results, grouped) if complete else None,
                    class_report=item.class_report() if complete else None,
                )
                for grouped, item in results.items()
            ),
            complete=complete,
            left_out=sorted({line for result in finished for line in result.left_out}),
            by_fold=fold_rows,
            videos=len(self._tested),
            recordings=len(set(runner.clips.groups[self._tested])),
            training_only=len(runner.clips) - len(self._tested),
            recordings_known=self._grouping.complete,
            grouped_by=self._grouping.source,
            classes=runner.classes,
            features=str(Path(config.train.features)),
            effective=finished[-1].effective,
            folds_csv=str(folder / "folds.csv"),
            predictions_csv=str(folder / "predictions.csv"),
            report=str(folder / "report.html") if complete else "",
        )
        cross_validation_folder.write_tables(folder, fold_rows, predictions, runner.classes)
        if complete:
            grouped = config.protocols[0]
            folds = {
                fold.number: fold
                for fold in runner.folds
                if fold.grouped == grouped and fold.repeat == 1
            }
            cross_validation_report.write_report(
                folder / "report.html",
                result,
                diagnostics=fold_diagnostics.diagnose_videos(
                    [row for row in predictions if row.grouped == grouped],
                    self._cache,
                    runner.clips.take(self._tested),
                    runner.classes,
                    summaries=self._near_duplicates.reason
                    if self._summaries is None
                    else self._summaries.take(self._tested),
                    folder=folder,
                    with_frames=config.show_frames,
                    blur=config.blur_faces,
                    trained_on=lambda number: runner.training_job(folds[number]).clips["train"],
                ),
                settings=files.read_json(folder / RECORD),
            )
        files.write_json(folder / "results.json", result.to_json())
        return result

    def _results(self, finished: Sequence[FoldResult]) -> FoldResults | None:
        """The finished folds of one protocol; None if there are none."""
        if not finished:
            return None
        return FoldResults(
            finished,
            entries=self._runner.clips.entries,
            labels=self._runner.clips.labels,
            classes=self._runner.classes,
            seed=self._config.seed,
            note=self._note(finished[0].grouped),
            by=self._config.hold_out,
        )

    def _pooled(self, by_protocol: Mapping[bool, FoldResults], grouped: bool) -> PooledResult:
        """Pooled scores of a protocol, leaks between its folds, and warnings.

        Args:
            by_protocol: All folds of grouped (True) and random (False) folds.
            grouped: The protocol.
        """
        results = by_protocol[grouped]
        scores = results.pooled()
        # All folds are finished: what is in none is only trained on, and may be a copy of a video.
        draws = [np.maximum(folds, 0) for folds in results.draws()]
        leaks = leakage.find_leaks_between_folds(
            self._runner.clips.entries, draws, self._near_duplicates
        )
        if not leaks.searched:
            log.info(f"Not all videos were searched for near-duplicates: {leaks.reason}.")
        over_grouped = None
        if not grouped and True in by_protocol:
            over_grouped = results.over(by_protocol[True])
        return PooledResult(
            scores,
            clean=grouped and self._grouping.complete and leaks.clean,
            leaks=leaks.lines,
            leak_counts=leaks.counts,
            near_duplicates_searched=leaks.searched,
            near_duplicates_reason=leaks.reason,
            warnings=[
                *results.warnings(scores),
                *fold_protocol.protocol_warnings(
                    self._note(grouped),
                    leaks,
                    over_grouped,
                    grouped=grouped,
                    recordings_known=self._grouping.complete,
                ),
            ],
            over_linear=results.over_linear(),
            over_grouped=over_grouped,
        )
