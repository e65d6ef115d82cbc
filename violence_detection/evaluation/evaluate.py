"""What a run is worth on a split: metrics with intervals, predictions, and a report."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.datasets.labels import renamed_labels
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.recordings import Grouping, choose_recordings, find_near_duplicates
from violence_detection.errors import ConfigError
from violence_detection.evaluation import diagnostics, leakage, thresholds
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluation_set import identity_of, open_features, split_entries
from violence_detection.evaluation.normal_footage import NormalFootage
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import calibration, classification, delong, intervals
from violence_detection.models.classifier import decisions, load_classifier, probabilities
from violence_detection.models.run import Run
from violence_detection.reports import evaluation_report, model_card
from violence_detection.reports import figures as figure
from violence_detection.system import devices, files

log = logging.getLogger(__name__)

_COLUMNS = ("path", "label", "group", "probability", "predicted", "correct")


def evaluate_run(
    run_dir: str, config: EvaluateConfig, *, force: bool = False, figures: bool = True
) -> dict[str, Any]:
    """Judge a run on a split, and leave `evaluation/<split>/` in its folder.

    Args:
        run_dir: What training left.
        config: Which split, of which features.
        force: Whether an evaluation of other videos may be replaced.
        figures: Whether the report's figures are drawn, which takes most of the time.

    Returns:
        What metrics.json holds: the keys of the `evaluate` command, and more.

    Raises:
        RunError: If the run cannot be used.
        CacheError: If the features are not of the run's feature space, or the split is empty.
        ConfigError: If another evaluation stands there already.
    """
    # -- of what, on what
    run = Run.open(run_dir)
    trained = run.config()
    cache = open_features(run, config.features)
    recordings = _recordings(cache, config)
    entries = recordings.of(split_entries(run, cache, config.split))
    clips = dataset.read_dataset(cache, entries, trained["classes"])
    folder = run.evaluation_dir(config.split)
    identity = identity_of(run, entries)
    _check_replaceable(folder, identity, force=force)
    judge = thresholds.ThresholdChooser(run, _own_features(run, cache, config), config)

    # -- the answers
    devices.import_tensorflow()
    footage = judge.footage()
    classifier = load_classifier(run.model_path)
    as_trained = probabilities(classifier, clips.features)
    probability = calibration.apply_temperature(as_trained, run.temperature)
    chosen = judge.choose(classifier, footage)
    threshold = chosen["threshold"]
    predicted = decisions(probability, threshold)

    # -- how good they are, and whether that can be believed
    found = leakage.find_leaks(
        run,
        cache,
        entries,
        config.split,
        groups=recordings.groups,
        pictures=config.pictures,
        most_bits=config.near_bits,
    )
    scores = _scores(clips, probability, predicted, trained["classes"], threshold, config)
    examined = diagnostics.examine(
        run, cache, clips, predicted, accuracy_ci=scores["accuracy_ci"], config=config
    )
    result = {
        "run": str(run.dir),
        "split": config.split,
        "videos": len(clips),
        "recordings": len(set(clips.groups)),
        "grouped": recordings.known,
        "grouped_by": recordings.source,
        **found.as_dict(),
        **scores,
        **_calibration(clips.labels > 0, probability, as_trained),
        **examined,
        "temperature": run.temperature,
        "temperature_reason": run.results().get("temperature_reason", ""),
        **chosen,
        **_alarms(footage, threshold, config),
        "classes": trained["classes"],
        "class_mapping": renamed_labels(trained["classes"], dataset.usable_entries(cache)),
        "normal_class": trained["normal_class"],
        "features": str(cache.dir),
        **identity,
        "report": str(folder / "report.html"),
    }

    # -- what stays
    rows = _prediction_rows(entries, probability, predicted, trained["classes"])
    files.write_csv(folder / "predictions.csv", _COLUMNS, rows)
    drawn = {}
    if figures:
        drawn = _draw_figures(folder, run, clips.labels > 0, probability, as_trained, result)
    evaluation_report.write_report(
        folder / "report.html",
        metrics=result,
        figures=drawn,
        worst=diagnostics.worst(
            cache,
            clips,
            rows,
            classifier,
            normal_class=trained["normal_class"],
            config=config,
        ),
        run=diagnostics.settings_told(trained),
        robustness=evaluation_report.read_robustness(folder, identity),
    )
    files.write_json(folder / "metrics.json", result)
    judge.keep(chosen)
    model_card.write_model_card(run)
    return result


def plan(run_dir: str, config: EvaluateConfig, *, force: bool = False) -> dict[str, Any]:
    """What `evaluate_run` would do; nothing is written."""
    run = Run.open(run_dir)
    cache = open_features(run, config.features)
    entries = split_entries(run, cache, config.split)
    if config.group_pattern is not None:
        video_folder.match_recordings(config.group_pattern, [entry.path for entry in entries])
    folder = run.evaluation_dir(config.split)
    _check_replaceable(folder, identity_of(run, entries), force=force)
    thresholds.ThresholdChooser(run, _own_features(run, cache, config), config)
    return {
        "dry_run": True,
        "run": str(run.dir),
        "split": config.split,
        "videos": len(entries),
        "report": str(folder / "report.html"),
    }


def _own_features(run: Run, cache: FeatureCache, config: EvaluateConfig) -> FeatureCache:
    """Features with the run's own videos: those at hand, or what it was trained on."""
    if config.operating_point is None or leakage.is_same_dataset(run, cache):
        return cache
    return open_features(run)


def _recordings(cache: FeatureCache, config: EvaluateConfig) -> Grouping:
    """Of all videos of the cache, as they are asked for."""
    entries, found = dataset.usable_entries(cache), None
    if config.group_near_duplicates:
        found, _ = find_near_duplicates(
            entries,
            video_dir=cache.video_dir,
            kept=cache.summaries_path,
            pictures=True,
            most_bits=config.near_bits,
        )
    return choose_recordings(
        entries,
        known=dataset.has_all_recordings(cache),
        pattern=config.group_pattern,
        by_likeness=found,
    )


def _check_replaceable(folder: Path, identity: dict[str, str], *, force: bool) -> None:
    """The same evaluation may be made again; another one is not overwritten."""
    path = folder / "metrics.json"
    if force or not path.is_file():
        return
    try:
        there = json.loads(path.read_text())
        same = all(there.get(name) == value for name, value in identity.items())
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise ConfigError(
            "An evaluation of other videos or another model is replaced with --force only. "
            f"Received: {folder}"
        )


def _scores(
    clips: dataset.FeatureDataset,
    probability: np.ndarray,
    predicted: np.ndarray,
    classes: list[str],
    threshold: float,
    config: EvaluateConfig,
) -> dict[str, Any]:
    violent, score = clips.labels > 0, 1 - probability[:, 0]
    correct = predicted == clips.labels
    draw = {"resamples": config.bootstrap, "seed": config.seed}
    by_class = classification.class_metrics(clips.labels, predicted, classes)
    return {
        **classification.binary_metrics(violent, score, threshold),
        **by_class,
        "undefined": undefined_rates(by_class["confusion"], classes),
        "accuracy_ci": intervals.accuracy_interval(correct, clips.groups, **draw),
        "accuracy_ci_wilson": intervals.wilson_interval(int(correct.sum()), len(correct)),
        "auc_ci": intervals.auc_interval(violent, score, clips.groups, **draw),
        "auc_ci_delong": delong.interval(violent, score),
    }


def _alarms(
    footage: NormalFootage | None, threshold: float, config: EvaluateConfig
) -> dict[str, Any]:
    """`normal_footage`, where some was given."""
    if footage is None:
        return {}
    draw = {"resamples": config.bootstrap, "seed": config.seed}
    return {"normal_footage": footage.told(threshold, **draw)}


def _calibration(
    violent: np.ndarray, probability: np.ndarray, as_trained: np.ndarray
) -> dict[str, float]:
    error, before = (
        calibration.expected_calibration_error(violent, 1 - one[:, 0])
        for one in (probability, as_trained)
    )
    return {
        "calibration_error": error,
        "calibration_error_as_trained": before,
        "brier_score": calibration.brier_score(violent, 1 - probability[:, 0]),
    }


def undefined_rates(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    """Names of the rates that are 0.0 only because nothing stands in their denominator.

    Args:
        confusion: K lists of K counts, rows true and columns predicted.
        classes: The K names, the normal class first.

    Returns:
        Of recall, precision, f1, average_precision and false_alarm_rate, and
        `recall_per_class.<name>` for a class without videos.
    """
    totals = [sum(row) for row in confusion]
    violent, normal = sum(totals[1:]), totals[0]
    empty = {
        "recall": not violent,
        "precision": not sum(sum(row[1:]) for row in confusion),
        "f1": not violent,
        "average_precision": not (violent and normal),
        "false_alarm_rate": not normal,
    }
    empty |= {
        f"recall_per_class.{name}": not total for name, total in zip(classes, totals, strict=True)
    }
    return [name for name, is_empty in empty.items() if is_empty]


def _prediction_rows(
    entries: list[ManifestEntry],
    probability: np.ndarray,
    predicted: np.ndarray,
    classes: list[str],
) -> list[dict[str, Any]]:
    return [
        {
            "path": entry.path,
            "label": entry.label,
            "group": entry.group,
            "probability": float(1 - row[0]),
            "predicted": classes[answer],
            "correct": classes[answer] == entry.label,
        }
        for entry, row, answer in zip(entries, probability, predicted, strict=True)
    ]


def _draw_figures(
    folder: Path,
    run: Run,
    violent: np.ndarray,
    probability: np.ndarray,
    as_trained: np.ndarray,
    result: dict[str, Any],
) -> dict[str, Path]:
    """The pictures of the report, by name."""
    names = "roc precision_recall confusion score_histogram reliability history".split()
    paths = {name: folder / f"{name}.png" for name in names}
    score = 1 - probability[:, 0]
    figure.draw_roc(paths["roc"], violent, score, result["auc"])
    figure.draw_precision_recall(
        paths["precision_recall"], violent, score, result["average_precision"]
    )
    figure.draw_confusion(paths["confusion"], result["confusion"], result["classes"])
    figure.draw_score_histogram(paths["score_histogram"], violent, score, result["threshold"])
    shown = {"": score}
    if result["temperature"] != 1.0:
        shown = {"calibrated": score, "as trained": 1 - as_trained[:, 0]}
    figure.draw_reliability(
        paths["reliability"],
        {name: calibration.reliability_curve(violent, one) for name, one in shown.items()},
        result["calibration_error"],
    )
    rows = [
        {name: float(value) for name, value in row.items() if value}
        for row in files.read_own_csv(run.history_path, ("epoch",))
    ]
    figure.draw_history(paths["history"], rows)
    return paths
