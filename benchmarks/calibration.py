"""The gain of temperature and threshold that are chosen on folds, on real clips.

    python benchmarks/calibration.py FEATURES_DIR

FEATURES_DIR is a folder of features from extract-features, with recordings. `before` is the
temperature 1 and the threshold 0.5; `after` is what `train --calibrate-by folds` chooses, by one
training and five further ones. They are compared on the test videos of the run, and on the
training and validation videos: there each fold has the temperature and the threshold that the
other folds choose. Intervals are a bootstrap over recordings.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path

import machine
import numpy as np

from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import calibration, intervals
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.classifier import load_model, probabilities
from violence_detection.models.outputs.classes import is_violent, violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--epochs", type=int, help="default: that of train")
    parser.add_argument("--runs", help="folder in which the run is kept, and resumed")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()
    print(json.dumps(machine.describe()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        run = trained_run(arguments, arguments.runs or folder)
        scores, predicted = run.results().scores, CalibrationPredictions.of_run(run)
        point = scores.operating_point
        cache = FeatureCache.open(arguments.features)
        space = cache.space()
        entries = [entry for entry in dataset.usable_entries(cache) if entry.split == "test"]
        clips = dataset.read_dataset(cache, entries, run.record().classes)
        test = probabilities(load_model(run.model_path), clips.features)
    low, high = point.interval or (0.0, 1.0)
    print(
        f"{space.backbone}, {space.stream}, {space.engine} {space.precision}, seed "
        f"{arguments.seed}\nchosen on {len(predicted.paths)} videos of "
        f"{len(set(predicted.groups))} recordings: threshold {scores.threshold:.3f} "
        f"(95%: {low:.3f} to {high:.3f}), temperature {scores.temperature:.3f}"
    )
    print(f"\n{len(clips)} test videos of {len(set(clips.groups))} recordings")
    violent = is_violent(clips.labels)
    print_row("before", violent, violence_score(test), 0.5, clips.groups)
    after = violence_score(calibration.apply_temperature(test, scores.temperature))
    print_row("after", violent, after, scores.threshold, clips.groups)
    print(f"\n{len(predicted.paths)} training and validation videos, out of fold")
    print_row("before", predicted.violent, predicted.scores(1.0), 0.5, predicted.groups)
    print_row("after", predicted.violent, *nested_choice(predicted), predicted.groups)


def trained_run(arguments: argparse.Namespace, folder: str) -> Run:
    from violence_detection.training import train
    from violence_detection.training.config import TrainConfig

    settings = {"epochs": arguments.epochs} if arguments.epochs else {}
    config = TrainConfig.from_flags(
        {
            "features": arguments.features,
            "checkpoint_dir": folder,
            "run": "calibration",
            "resume": (Path(folder) / "calibration").is_dir(),
            "calibrate_by": "folds",
            "seed": arguments.seed,
            **settings,
        }
    )
    return Run.open(train.train_classifier(config).run)


def nested_choice(predicted: CalibrationPredictions) -> tuple[np.ndarray, np.ndarray]:
    """Scores and thresholds (N,), each fold by the choice of the others."""
    scores, thresholds = np.zeros(len(predicted.paths)), np.zeros(len(predicted.paths))
    violent, groups = predicted.violent, predicted.groups
    for fold in np.unique(predicted.folds):
        held_out = predicted.folds == fold
        others = ~held_out
        temperature, _ = calibration.fit_temperature(
            predicted.probability[others],
            predicted.labels[others],
            groups[others],
            violent=violent[others],
        )
        at_temperature = predicted.scores(temperature)
        threshold, _ = threshold_selection.choose_threshold(
            violent[others], at_temperature[others], groups[others]
        )
        scores[held_out], thresholds[held_out] = at_temperature[held_out], threshold
    return scores, thresholds


def print_row(
    name: str,
    violent: np.ndarray,
    scores: np.ndarray,
    threshold: float | np.ndarray,
    groups: np.ndarray,
) -> None:
    alarm = scores >= threshold
    rates = []
    for among in (violent, ~violent):
        ends = intervals.bootstrap_over_recordings(
            groups,
            lambda counts, among=among: intervals.ratio(counts @ (alarm & among), counts @ among),
            resamples=2000,
            seed=42,
        )
        rates.append(
            f"{alarm[among].sum()} of {among.sum()}, {alarm[among].mean():.1%} "
            f"({ends[0]:.1%} to {ends[1]:.1%})"
        )
    error = calibration.expected_calibration_error(violent, scores)
    print(
        f"{name:6s} found {rates[0]}; flagged {rates[1]}; calibration error {error:.3f}; Brier "
        f"score {calibration.brier_score(violent, scores):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
