"""Every video answered once by a classifier that has not met it: k folds, repeated, with trivial
baselines on the same ones."""

import logging
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.evaluation import leakage
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.fold_processes import FoldPool
from violence_detection.experiments.fold_results import FoldResults, Judged
from violence_detection.experiments.fold_runner import Judge
from violence_detection.reports import cross_validation_report
from violence_detection.system import devices, files, provenance
from violence_detection.system.files import read_json
from violence_detection.system.study_folder import StudyFolder
from violence_detection.units import counted

log = logging.getLogger(__name__)

_RECORD = "cross_validation.json"


def run_cross_validation(config: CrossValidateConfig, *, force: bool = False) -> dict[str, Any]:
    """Train on all folds but one, judge on that one, and so on for each.

    Leaves `<checkpoint-dir>/<name>/` with folds.csv, predictions.csv and results.json, all
    written anew after each fold. Started again, it goes on with the folds that are missing; the
    fold in hand is trained from its beginning.

    Args:
        config: How the folds are drawn, and what each is trained with.
        force: Whether what is there is replaced.

    Returns:
        What results.json holds: the keys of the command, and more.

    Raises:
        ConfigError: If the settings do not go together, there cannot be so many folds, or
            what is there was made with other settings.
        CacheError: If the features are missing or damaged.
        TrainingError: If the loss is not finite any more.
    """
    # -- where, on what, from what
    kept = _choose(config)
    folder = kept.dir
    devices.import_tensorflow()
    judge = Judge(config, None, folder)

    # -- the folds
    judge.check_validation()
    with kept.lock(), FoldPool(config, judge, folder) as pool:
        if force or not kept.started:
            pool.check_buildable()
        notes = {"versions": provenance.versions(), "commit": provenance.commit_hash()}
        kept.start(judge.identity, force=force, notes=notes)
        judge.sweep()
        found = {fold.name: judge.kept(fold) for fold in judge.folds}
        missing = [fold for fold in judge.folds if found[fold.name] is None]
        judged = [one for one in found.values() if one]
        if judged:
            results = _write(folder, config, judge, judged, done=not missing)
        for fold, learned, answers in pool.learned(missing):
            found[fold.name] = judge.completed(fold, learned, answers)
            judged = [one for one in found.values() if one]
            done = len(judged) == len(found)
            results = _write(folder, config, judge, judged, done=done)
        for line in results["warnings"]:
            log.warning(line)
        return results


def plan(config: CrossValidateConfig, *, force: bool = False) -> dict[str, Any]:
    """What `cross-validate` would do; nothing is written."""
    kept = _choose(config)
    devices.import_tensorflow()
    judge = Judge(config, None, kept.dir, looks=False)
    judge.check_validation()
    if kept.started and not force:
        kept.check_same(judge.identity)
    return {
        "dry_run": True,
        "cross_validation": str(kept.dir),
        "folds": config.folds,
        "repeats": config.repeats,
        "protocols": [judge.note(grouped) for grouped in config.protocols],
        "trainings": len(judge.folds) * config.seeds,
        "videos": len(judge.clips),
        "settings": config.as_dict(),
    }


def _choose(config: CrossValidateConfig) -> StudyFolder:
    """The folder to fill, or to go on with."""
    if config.features is None:
        raise ConfigError("--features must be given. Received: none")
    return StudyFolder.named(
        config.checkpoint_dir,
        config.name,
        "cross-validation",
        record=_RECORD,
        settings=CrossValidateConfig,
        free=frozenset({"jobs"}),
    )


def _write(
    folder: Path,
    config: CrossValidateConfig,
    judge: Judge,
    judged: list[Judged],
    *,
    done: bool,
) -> dict[str, Any]:
    """Leave the tables and the results so far; pooled intervals and warnings at the end."""
    found, by_fold, predictions = {}, [], []
    for grouped in config.protocols:
        found[grouped] = {"grouped": grouped, "note": judge.note(grouped)}
        of_kind = [one for one in judged if one.grouped == grouped]
        if not of_kind:
            continue
        results = FoldResults(
            of_kind,
            entries=judge.clips.entries,
            labels=judge.clips.labels,
            classes=judge.classes,
            folds=config.folds,
            note=judge.note(grouped),
        )
        by_fold += results.fold_rows()
        predictions += results.prediction_rows()
        found[grouped] |= results.summary()
        if done:
            found[grouped] |= _judgement(config, judge, results, grouped)
    files.write_csv(folder / "predictions.csv", list(predictions[0]), predictions)
    files.write_csv(folder / "folds.csv", list(by_fold[0]), by_fold)
    first = config.protocols[0]
    warnings = [line for one in found.values() for line in one.get("warnings", ())]
    value = {
        "cross_validation": str(folder),
        "folds": config.folds,
        "repeats": config.repeats,
        **found[first],
        **({"random": found[False]} if config.both else {}),
        "complete": done,
        "warnings": warnings,
        "left_out": sorted({line for one in judged for line in one.left_out}),
        "by_fold": by_fold,
        "videos": len(judge.clips),
        "recordings": len(set(judge.clips.groups)),
        "recordings_known": judge.is_known,
        "grouped_by": judge.grouped_by,
        "classes": judge.classes,
        "features": str(Path(config.features)),
        "effective": judged[-1].effective,
        "folds_csv": str(folder / "folds.csv"),
        "predictions_csv": str(folder / "predictions.csv"),
    }
    if done:
        value["report"] = str(folder / "report.html")
        cross_validation_report.write_report(
            Path(value["report"]), result=value, settings=read_json(folder / _RECORD)
        )
    files.write_json(folder / "results.json", value)
    return value


def _judgement(
    config: CrossValidateConfig, judge: Judge, results: FoldResults, grouped: bool
) -> dict[str, Any]:
    """Pooled answers, whether the folds are clean, and what there is to warn of."""
    pooled = results.pooled(seed=config.seed)
    entries = judge.clips.entries
    found = leakage.find_leaks_between_folds(entries, results.draws(), judge.alike)
    warnings = results.warnings(pooled)
    for paths, what in (
        (found.identical, "have the bytes of another"),
        (found.near_duplicates, "look like another of another recording"),
    ):
        if grouped and paths:
            warnings.append(
                f"{counted(len(paths), 'video')} {what}, in another fold: the numbers are too good."
            )
    if not found.searched:
        log.info(f"Near-duplicates were not all looked for: {found.reason}.")
    if not grouped or not judge.is_known:
        warnings.append(f"{judge.note(grouped)[0].upper()}{judge.note(grouped)[1:]}.")
    told = found.as_dict()
    told["clean"] = grouped and judge.is_known and found.clean
    return {"pooled": pooled, **told, "warnings": warnings}
