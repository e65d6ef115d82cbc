"""Ablation: the same folds and seeds with each option of a training switched in turn."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.splitting import thinning
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.experiments.ablation.ablation_config import AblateConfig
from violence_detection.experiments.ablation.ablation_variants import (
    Hardware,
    Variant,
    cumulative_steps,
    single_variants,
)
from violence_detection.experiments.cross_validation.drawn_folds import FoldPlan
from violence_detection.experiments.cross_validation.fold_runner import FoldRunner, FoldSetup
from violence_detection.experiments.cross_validation.pooled_scores import PooledPredictions
from violence_detection.experiments.cross_validation.stored_folds import StoredFolds, study_folder
from violence_detection.experiments.study_features import open_study_features
from violence_detection.features import dataset
from violence_detection.metrics.sample_size import FEW_RECORDINGS
from violence_detection.reports import ablation_result
from violence_detection.reports.ablation_result import AblationResult, AblationRow, VariantScores
from violence_detection.reports.cross_validation.cross_validation_scores import Estimate
from violence_detection.system import devices, files, progress, provenance
from violence_detection.system.study_folder import StudyFolder, StudyIdentity
from violence_detection.training.config import TrainConfig
from violence_detection.units import counted

log = logging.getLogger(__name__)

RECORD = "ablation.json"


class AblationStage:
    """An ablation in `<checkpoint-dir>/<name>/`.

    Each training that is asked for has a folder for its finished folds, named after its settings:
    trainings with the same settings are done once, and a later start goes on. Tables and results
    are written anew after each training.
    """

    def __init__(self, config: AblateConfig, *, force: bool = False) -> None:
        """
        Args:
            config: The baseline, the options, and how the folds are drawn.
            force: Whether an earlier ablation in the folder is replaced.
        """
        self._config, self._force = config, force

    def prepare(self) -> dict[str, Any]:
        """Checks everything that can be checked before a training; the JSON object of a dry run.

        Raises:
            ConfigError: If settings are in conflict, there are too few recordings for the folds
                or for the thinned class, or the folder has an ablation with other settings.
            CacheError: If the features are missing or damaged.
        """
        self._open()
        if self._study.started and not self._force:
            self._study.check_same(self._identity)
        trained = {tuple(sorted(map(str, item.changed.items()))) for item in self._trained()}
        return {
            "dry_run": True,
            "ablation": str(self._study.dir),
            "trainings": (1 + len(trained - {()})) * self._config.folds * self._config.repeats,
            "options": [variant.off for variant in self._single if not variant.missing],
            "missing": [
                {"off": variant.off, "reason": variant.missing}
                for variant in self._single
                if variant.missing
            ],
            "cumulative": [variant.off for variant in self._steps],
            "videos": len(self._entries),
            "classes": dict(self._counts),
            "settings": self._config.as_dict(),
        }

    def run(self) -> AblationResult:
        """Trains what is missing; leaves results.json and ablation.md.

        Raises:
            ConfigError, CacheError: As `prepare`.
            TrainingError: If a training fails.
        """
        self._open()
        study = self._study
        with study.lock():
            notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
            study.start(self._identity, force=self._force, notes=notes)
            series = {"": self._folds({})}
            for variant in self._trained():
                series.setdefault(_key(variant.changed), self._folds(variant.changed))
            missing = [stored for stored in series.values() if stored.missing]
            for number, (key, stored) in enumerate(series.items(), 1):
                start_s, is_whole = time.monotonic(), len(stored.missing) == len(stored.folds)
                if stored.missing:
                    name = key if key else "the baseline"
                    log.info(f"Training {number} of {len(series)}: {name}.")
                stored.train(self._config.jobs)
                if is_whole and stored is missing[0] and missing[1:]:
                    took_s = time.monotonic() - start_s
                    log.info(progress.total_line(len(missing), "trainings in folds", took_s))
                result = self._write(series)
            return result

    # -- before the first training

    def _open(self) -> None:
        """Reads the features, thins a class, and lists the trainings."""
        config = self._config
        cache = self._cache = open_study_features(config.train.features)
        self._study = StudyFolder.named(
            config.train.checkpoint_dir,
            config.run,
            "ablation",
            record=RECORD,
            settings=AblateConfig,
        )
        entries = dataset.usable_entries(cache)
        classes = self._classes = classes_of(entries, config.train.normal_class)
        if config.thin is not None:
            entries = thinning.thin_class(entries, classes[0], config.thin, seed=config.seed)
        self._entries: tuple[ManifestEntry, ...] = tuple(entries)
        counts = Counter(entry.label for entry in entries)
        self._counts = {name: counts[name] for name in classes}
        self._labels = np.array([classes.index(entry.label) for entry in entries])
        hardware = Hardware(
            gpus=devices.gpu_count(),
            reduced_precision=_reduced_precision(),
            xla_failure=devices.xla_failure(),
            views=min(len(entry.digests) - 1 for entry in entries),
        )
        self._single = single_variants(config.train, config.option_names, hardware)
        self._steps = cumulative_steps(config.train) if config.cumulative else []
        runner = FoldRunner(self._setup(config.train), None)
        runner.check_validation()
        self._digests = runner.digests

    @property
    def _identity(self) -> StudyIdentity:
        return StudyIdentity(self._digests, self._config.as_dict())

    def _trained(self) -> list[Variant]:
        """The variants that can be had here."""
        return [variant for variant in (*self._single, *self._steps) if not variant.missing]

    def _setup(self, train: TrainConfig, name: str = "baseline") -> FoldSetup:
        config = self._config
        plan = FoldPlan(
            folds=config.folds,
            repeats=config.repeats,
            protocols=(True,),
            seed=config.seed,
            validation_fraction=config.validation_fraction,
        )
        return FoldSetup(train, plan, study_folder(self._study.dir, name), self._entries)

    def _folds(self, changed: Mapping[str, Any]) -> StoredFolds:
        """The folds of the baseline with some settings changed."""
        train = self._config.train.with_settings(**changed) if changed else self._config.train
        name = files.sha256_of_json(dict(changed))[:8] if changed else "baseline"
        return StoredFolds.open(self._setup(train, name))

    # -- results

    def _write(self, series: Mapping[str, StoredFolds]) -> AblationResult:
        """Writes the tables and results.json so far."""
        config = self._config
        done = {key: stored for key, stored in series.items() if not stored.missing}
        pooled = {key: stored.pooled(self._labels) for key, stored in done.items()}
        tested = next(iter(done.values())).tested
        groups = np.array([entry.group for entry in tested]).astype(str)
        scores = {
            key: self._scores(done[key], predictions, groups) for key, predictions in pooled.items()
        }
        recordings = len({entry.group for entry in self._entries})
        known = dataset.has_all_recordings(self._cache)
        result = AblationResult(
            dir=str(self._study.dir),
            baseline=scores.get(""),
            rows=[self._row(variant, scores, pooled, "", groups) for variant in self._single],
            cumulative=self._cumulative_rows(scores, pooled, groups),
            folds=config.folds,
            repeats=config.repeats,
            videos=len(self._entries),
            recordings=recordings,
            classes=self._counts,
            recordings_known=known,
            thin=config.thin,
            complete=len(done) == len(series),
            warnings=_warnings(recordings, known),
            table=str(self._study.dir / "ablation.md"),
        )
        files.write_json(self._study.dir / "results.json", result.to_json())
        files.write_text(Path(result.table), ablation_result.markdown(result))
        return result

    def _row(
        self,
        variant: Variant,
        scores: Mapping[str, VariantScores],
        pooled: Mapping[str, PooledPredictions],
        against: str | None,
        groups: np.ndarray,
    ) -> AblationRow:
        key, difference = _key(variant.changed), None
        if variant.missing or key not in scores:
            return AblationRow(
                variant.off, variant.changed, note=variant.note, missing=variant.missing
            )
        if against is not None and against in pooled and key != against:
            difference = pooled[key].minus(pooled[against], groups, self._config.seed)
        return AblationRow(variant.off, variant.changed, scores[key], difference, variant.note)

    def _cumulative_rows(
        self,
        scores: Mapping[str, VariantScores],
        pooled: Mapping[str, PooledPredictions],
        groups: np.ndarray,
    ) -> list[AblationRow]:
        rows, before = [], None
        for variant in self._steps:
            rows.append(self._row(variant, scores, pooled, before, groups))
            before = _key(variant.changed)
        return rows

    def _scores(
        self, stored: StoredFolds, pooled: PooledPredictions, groups: np.ndarray
    ) -> VariantScores:
        scores = pooled.scores(groups, self._config.seed)
        alarms = scores.false_positive_rate
        normal = Estimate(
            None if alarms.value is None else 1 - alarms.value,
            alarms.ci and [1 - end for end in reversed(alarms.ci)],
        )
        seconds = [
            len(fold.rows("train")) / result.videos_per_s
            for fold, result in zip(stored.folds, stored.results, strict=True)
            if result.videos_per_s
        ]
        effective = stored.results[0].effective
        return VariantScores(
            accuracy=scores.accuracy,
            auc=scores.auc,
            recalls={"violent": scores.recall, "normal": normal},
            seconds=float(np.mean(seconds)) if seconds else 0.0,
            effective=f"{effective.precision}, XLA {'on' if effective.xla else 'off'}, "
            f"{counted(effective.replicas, 'device')}",
        )


def _key(changed: Mapping[str, Any]) -> str:
    """The changed settings as text; empty for the baseline."""
    return ", ".join(f"{name}={value}" for name, value in sorted(changed.items()))


def _reduced_precision() -> str:
    if not devices.gpu_count() and not devices.cpu_has_bfloat16():
        return ""
    return devices.precision(True).removeprefix("mixed_")


def _warnings(recordings: int, known: bool) -> Sequence[str]:
    lines = []
    if not known:
        lines.append("Recordings are not known: clips of one may be on both sides of the folds.")
    if recordings < FEW_RECORDINGS:
        lines.append(
            f"{counted(recordings, 'recording')} are few: every interval is a rough guess."
        )
    return lines
