"""Accuracy on corrupted real clips: recording-grouped 5-fold, trained on clean clips.

    python benchmarks/robustness.py FEATURES_DIR --kept altered_features

FEATURES_DIR is a folder of features from extract-features; the videos must still be in their
folder. Each video is corrupted, written, and read and encoded by the code of extraction, once a
condition; the features are kept in --kept, so that the script can be stopped and started again. The
default head trains on the clean features of four folds, without a choice of epoch, and predicts the
fifth clean and under every condition. The threshold is 0.5; nothing is chosen on the held-out fold.
Intervals are a bootstrap over recordings, for the first fold seed.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from grouped_folds import FOLDS, classifier_scores, read_features

from violence_detection.datasets import folds
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.config import USUAL
from violence_detection.evaluation.robustness.corrupted_features import (
    CorruptionTask,
    extract_corrupted_features,
    unchanged_excerpts,
)
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.metrics import classification, paired_tests
from violence_detection.system import devices, files, progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features")
    parser.add_argument("--kept", default="altered_features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument(
        "--conditions",
        nargs="+",
        default=[CONTROL, *USUAL],
    )
    parser.add_argument("--workers", type=int)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()

    cache = FeatureCache.open(arguments.features)
    clips, classes = read_features(arguments.features, "none")
    conditions = {
        name: name if name == CONTROL else corrupted_video.full_condition(name)
        for name in arguments.conditions
    }
    extract(cache, clips, conditions, Path(arguments.kept), arguments.workers)
    layers = {CLEAN: np.asarray(clips.features[:])} | {
        name: np.stack(
            [
                np.load(features_path(Path(arguments.kept), full, entry.path))
                for entry in clips.entries
            ]
        )
        for name, full in conditions.items()
    }
    logging.disable(logging.WARNING)
    predictions = [
        predict_folds(clips, layers, seed, classes=classes, epochs=arguments.epochs)
        for seed in arguments.seeds
    ]
    print_table(clips, predictions, {CLEAN: CLEAN, **conditions})


# -- features under conditions


def features_path(folder: Path, condition: str, key: str) -> Path:
    return folder / condition / f"{key}.npy"


def extract(
    cache: FeatureCache,
    clips: FeatureDataset,
    conditions: dict[str, str],
    folder: Path,
    workers: int | None,
) -> None:
    """Writes the features of every video under every condition into `folder`.

    Raises:
        SystemExit: If a video cannot be corrupted, since a table is about all videos.
    """
    record = cache.record()
    sources, failures = unchanged_excerpts(cache, clips.entries)
    tasks = [
        CorruptionTask(key, source, condition)
        for key, source in sources.items()
        for condition in conditions.values()
        if not features_path(folder, condition, key).is_file()
    ]
    if tasks:
        extractor = FeatureExtractor.from_space(
            record.space,
            weights=record.weights.source,
            batch_size=64,
            seed=record.weights.seed,
        )
        files.ensure_writable(folder)
        outcomes = extract_corrupted_features(
            extractor, tasks, folder, seed=42, workers=workers, timeout_s=600.0
        )
        with progress.track("Corrupting", len(tasks), "clips") as step:
            for task, features, reason in outcomes:
                if features is None:
                    failures.append({"path": task.key, "reason": reason})
                else:
                    path = features_path(folder, task.condition, task.key)
                    with files.writing(path) as file:
                        np.save(file, features)
                step()
    if failures:
        raise SystemExit(f"Not corrupted: {failures}")


# -- predictions


def predict_folds(
    clips: FeatureDataset,
    layers: dict[str, np.ndarray],
    seed: int,
    *,
    classes: Sequence[str],
    epochs: int,
) -> dict[str, np.ndarray]:
    """Probability of violence of each video under each condition, float (N,), by a classifier not
    trained on its recording."""
    count, names = len(clips), list(layers)
    all_layers = FeatureDataset(
        np.concatenate(list(layers.values())),
        np.tile(clips.labels, len(names)),
        clips.entries * len(names),
    )
    violence = np.zeros((len(names), count))
    for test in folds.draw_folds(clips.labels, clips.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(count), test)  # of the first layer, which is clean
        rows = np.concatenate([test + count * number for number in range(len(names))])
        scores = classifier_scores(
            all_layers,
            train,
            rows,
            seed,
            classes=classes,
            settings={"epochs": epochs},
            last=True,
        )
        violence[:, test] = scores.reshape(len(names), len(test))
    return dict(zip(names, violence, strict=True))


def print_table(
    clips: FeatureDataset, predictions: list[dict[str, np.ndarray]], conditions: dict[str, str]
) -> None:
    """Prints means over seeds, and intervals over recordings for the first seed."""
    violent = clips.labels > 0
    correct = {
        name: np.array([(scores[name] >= 0.5) == violent for scores in predictions])
        for name in conditions
    }
    print(f"{'condition':44s} accuracy (sd over seeds)  AUC    difference, 95% over recordings")
    for name, full in conditions.items():
        accuracy = correct[name].mean(axis=1)
        auc = [classification.area_under_curve(violent, scores[name]) for scores in predictions]
        difference = paired_tests.accuracy_difference(
            correct[CLEAN][0], correct[name][0], clips.groups
        )
        low, high = (100 * end for end in difference.ci)
        gain = 100 * (accuracy - correct[CLEAN].mean(axis=1)).mean()
        print(
            f"{full:44s} {accuracy.mean():8.1%} ({100 * accuracy.std():.1f})"
            f"{'':12s} {np.mean(auc):.3f}  {gain:+5.1f} ({low:+.1f} to {high:+.1f})"
        )
    corrupted = [name for name in conditions if name not in (CLEAN, CONTROL)]
    mean = np.mean([correct[name].mean() for name in corrupted])
    print(f"mean over {len(corrupted)} conditions: accuracy {mean:.1%}")


if __name__ == "__main__":
    main()
