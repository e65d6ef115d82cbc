"""Every video answered once by a classifier that has not met it: k folds, repeated, with trivial
baselines on the same ones."""

import logging
from pathlib import Path
from typing import Any

from violence_detection import files, fold_report, runtime
from violence_detection.errors import ConfigError
from violence_detection.fold_config import CrossValidateConfig
from violence_detection.fold_judge import Judge
from violence_detection.fold_results import FoldResults, Judged
from violence_detection.kept_folder import KeptFolder
from violence_detection.runs import read_json
from violence_detection.units import counted

log = logging.getLogger(__name__)

_RECORD = "cross_validation.json"


def cross_validate(
    config: CrossValidateConfig, *, force: bool = False
) -> dict[str, Any]:
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
    machine = runtime.start_training(config)
    judge = Judge(config, machine, folder)

    # -- the folds
    with kept.held():
        if force or not kept.begun:
            judge.check_buildable()
        kept.begin(judge.identity, force=force)
        judged = []
        for number, fold in enumerate(judge.folds, 1):
            one = judge.kept(fold)
            if one is None:
                log.info(f"Fold {number} of {len(judge.folds)}: {fold.name}")
                one = judge.judge(fold)
            judged.append(one)
            done = number == len(judge.folds)
            results = _write(folder, config, judge, judged, done=done)
        for line in results["warnings"]:
            log.warning(line)
        return results


def plan(config: CrossValidateConfig, *, force: bool = False) -> dict[str, Any]:
    """What `cross-validate` would do; nothing is written."""
    kept = _choose(config)
    runtime.import_tensorflow()
    judge = Judge(config, None, kept.dir)
    if kept.begun and not force:
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


def _choose(config: CrossValidateConfig) -> KeptFolder:
    """The folder to fill, or to go on with."""
    if config.features is None:
        raise ConfigError("--features must be given. Received: none")
    folder = (Path(config.checkpoint_dir) / config.name).resolve()
    return KeptFolder(folder, _RECORD, "cross-validation")


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
        "classes": judge.classes,
        "features": str(Path(config.features)),
        "effective": judged[-1].effective,
        "folds_csv": str(folder / "folds.csv"),
        "predictions_csv": str(folder / "predictions.csv"),
    }
    if done:
        value["report"] = str(folder / "report.html")
        fold_report.write_report(
            Path(value["report"]), result=value, settings=read_json(folder / _RECORD)
        )
    files.write_json(folder / "results.json", value)
    return value


def _judgement(
    config: CrossValidateConfig, judge: Judge, results: FoldResults, grouped: bool
) -> dict[str, Any]:
    """Pooled answers, whether the folds are clean, and what there is to warn of."""
    pooled = results.pooled(seed=config.seed)
    copies = results.copies()
    warnings = results.warnings(pooled)
    if grouped and copies:
        warnings.append(
            f"{counted(copies, 'video')} have the bytes of another, in another fold: the numbers "
            "are too good."
        )
    if not grouped or not judge.is_known:
        warnings.append(f"{judge.note(grouped)[0].upper()}{judge.note(grouped)[1:]}.")
    clean = grouped and judge.is_known and not copies
    return {"pooled": pooled, "clean": clean, "warnings": warnings}
