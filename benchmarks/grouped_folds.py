"""Accuracy on real clips: recording-grouped 5-fold, the classifier and a linear baseline.

    python benchmarks/grouped_folds.py FEATURES_DIR

FEATURES_DIR is a folder of features from extract-features. Settings are chosen on fold seeds 0 to 2
and reported on 10 and later. `last epoch` trains on all other folds, as the linear baseline does,
and keeps the last epoch; `chosen epoch` chooses the epoch on 15% of their recordings, as `train`
does. The threshold is 0.5; nothing is chosen on the held-out fold. The differences at the end are
means over the seeds, on the same videos, with intervals from a bootstrap over recordings.
"""

import argparse
import functools
import json
import logging
import tempfile
from pathlib import Path

import numpy as np

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.splitting import folds
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import intervals, paired_tests
from violence_detection.models import classifier, linear_baseline
from violence_detection.models.outputs.classes import violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training import batching
from violence_detection.training.config import TrainConfig

FOLDS = 5
METHODS = ("linear", "last epoch", "chosen epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train settings")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)

    settings = dict(setting.split("=", 1) for setting in arguments.set)
    settings = {name: parsed(value) for name, value in settings.items()}
    clips, classes = read_features(arguments.features, settings.get("augment", "none"))
    trained = functools.partial(classifier_scores, classes=classes, settings=settings)
    scores = (
        linear_scores,
        functools.partial(trained, last=True),
        functools.partial(trained, last=False),
    )
    methods = dict(zip(METHODS, scores, strict=True))
    methods = {name: methods[name] for name in arguments.methods}
    rows = {name: [] for name in methods}
    predictions = {name: [] for name in methods}
    for seed in arguments.seeds:
        for name, method in methods.items():
            row, probability = scores_of_seed(clips, seed, method)
            rows[name].append(row)
            predictions[name].append(probability)
            accuracy, auc, folds = row
            print(
                f"seed {seed:3d} {name:12s} accuracy {accuracy:.3f} AUC {auc:.3f} "
                f"folds {' '.join(f'{fold:.2f}' for fold in folds)}",
                flush=True,
            )
    for name, results in rows.items():
        accuracy, auc = np.array([result[:2] for result in results]).T
        folds = np.concatenate([result[2] for result in results])
        print(
            f"{name:12s} accuracy {accuracy.mean():.3f} (sd over seeds {accuracy.std():.3f}, over "
            f"folds {folds.std():.3f}) AUC {auc.mean():.3f} (sd over seeds {auc.std():.3f})"
        )
    first, *others = methods
    for name in others:
        print(f"{name} minus {first}: {difference(clips, predictions[first], predictions[name])}")


def difference(clips: FeatureDataset, before: list[np.ndarray], after: list[np.ndarray]) -> str:
    """Differences between two methods in words; each has the probabilities (N,) of every seed."""
    violent = clips.labels > 0
    correct = [
        np.mean([(scores >= 0.5) == violent for scores in seeds], axis=0)
        for seeds in (before, after)
    ]
    accuracy = paired_tests.accuracy_difference(*correct, clips.groups)
    auc_functions = [
        [intervals.weighted_auc(violent, scores) for scores in seeds] for seeds in (before, after)
    ]

    def gain(counts: np.ndarray) -> np.ndarray:
        old, new = (np.mean([auc(counts) for auc in seeds], axis=0) for seeds in auc_functions)
        return new - old

    recording = np.unique(clips.groups, return_inverse=True)[1]
    ends = intervals.bootstrap_over_recordings(recording, gain, resamples=2000, seed=42)
    whole = gain(np.ones((1, len(clips))))[0]
    points = 100 * accuracy.accuracy_difference
    low, high = (100 * end for end in accuracy.ci)
    return (
        f"accuracy {points:+.1f} points ({low:+.1f} to {high:+.1f}), "
        f"AUC {whole:+.4f} ({ends[0]:+.4f} to {ends[1]:+.4f})"
    )


def parsed(value: str):
    try:
        return json.loads(value)
    except ValueError:
        return value


def read_features(folder: str, augment: str) -> tuple[FeatureDataset, list[str]]:
    cache = FeatureCache.open(folder)
    entries = dataset.usable_entries(cache)
    classes = classes_of(entries)
    clips = dataset.read_dataset(cache, entries, classes)
    if batching.reads_views(augment):
        clips = dataset.with_views(cache, clips)
    return clips, classes


def scores_of_seed(
    clips: FeatureDataset, seed: int, method
) -> tuple[tuple[float, float, list[float]], np.ndarray]:
    """Accuracy and AUC over all videos, each scored by a classifier not trained on its recording,
    and the accuracy of each fold; and the probabilities (N,)."""
    violent = clips.labels > 0
    probability = np.zeros(len(clips))
    accuracies = []
    for test in folds.draw_folds(clips.labels, clips.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(len(clips)), test)
        probability[test] = method(clips, train, test, seed)
        accuracies.append(float(((probability[test] >= 0.5) == violent[test]).mean()))
    return (*rates(clips, probability), accuracies), probability


def rates(clips: FeatureDataset, probability: np.ndarray) -> tuple[float, float]:
    """Accuracy at 0.5, and AUC, of the probabilities (N,) of all clips."""
    from sklearn.metrics import roc_auc_score

    violent = clips.labels > 0
    accuracy = float(((probability >= 0.5) == violent).mean())
    return accuracy, float(roc_auc_score(violent, probability))


def linear_scores(
    clips: FeatureDataset, train: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """StandardScaler and LogisticRegression(C=1) on mean, deviation and mean absolute
    difference over time."""
    from violence_detection.models.heads._layers import statistics_of

    pooled = statistics_of(clips.features[:])
    fit = linear_baseline.fit_logistic_regression(pooled[train], clips.labels[train] > 0)
    return fit.predict_proba(pooled[test])[:, 1]


def classifier_scores(
    clips: FeatureDataset,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    *,
    classes: list[str],
    settings: dict,
    last: bool,
) -> np.ndarray:
    """Scores of a classifier: its last epoch, or the epoch chosen on recordings out of `train`."""
    import keras

    from violence_detection.training.trainer import Trainer

    if last:  # nothing is chosen on validation, so a few videos do
        parts = {"train": clips.take(train), "validation": clips.take(train[::8])}
        settings = {**settings, "monitor": "none"}
    else:
        parts = split_clips(clips, train, seed)
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig.from_flags({"seed": seed, "checkpoint_epochs": 0, **settings})
        device_setup = devices.start(seed=seed, **config.devices.as_dict())
        run = Run(Path(folder))
        Trainer(run, config.training, device_setup, clips=parts, classes=classes).run_epochs()
        best = classifier.load_model(run.model_path)
        return violence_score(classifier.probabilities(best, clips.features[test]))


def split_clips(clips: FeatureDataset, rows: np.ndarray, seed: int) -> dict[str, FeatureDataset]:
    """Clips of some rows, with 15% of their recordings for validation."""
    assigned = folds.draw_validation([clips.entries[row] for row in rows], fraction=0.15, seed=seed)
    return {
        split: clips.take([row for row in rows if assigned[clips.entries[row].path] == split])
        for split in ("train", "validation")
    }


if __name__ == "__main__":
    main()
