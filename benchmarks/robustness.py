"""Accuracy on altered real clips: recording-grouped 5-fold, what is learned from is clean.

    python benchmarks/robustness.py FEATURES_DIR --kept altered_features

FEATURES_DIR is what extract-features left; the videos must still be where they were. Each video is
altered, written, and read and encoded as extraction does it, once a condition; the features are
kept in --kept, so that the script can be stopped and started again. The default head learns from
clean features of four folds, all of its epochs, and answers for the fifth as it is and under every
condition. The threshold is 0.5; nothing is chosen on the fold that is reported. Intervals draw
recordings, of the answers of the first fold seed.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from grouped_folds import FOLDS, classifier_scores, read

from violence_detection import registry
from violence_detection.datasets import folds
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.corrupted_features import (
    Task,
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
        default=[CONTROL, *registry.available("corruptions")],
    )
    parser.add_argument("--workers", type=int)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()

    cache = FeatureCache.open(arguments.features)
    clips, classes = read(arguments.features, "none")
    written = {
        name: name if name == CONTROL else corrupted_video.full_condition(name)
        for name in arguments.conditions
    }
    extract(cache, clips, written, Path(arguments.kept), arguments.workers)
    layers = {CLEAN: np.asarray(clips.features[:])} | {
        name: np.stack(
            [np.load(kept_at(Path(arguments.kept), full, entry.path)) for entry in clips.entries]
        )
        for name, full in written.items()
    }
    logging.disable(logging.WARNING)
    answers = [
        answered(clips, layers, seed, classes=classes, epochs=arguments.epochs)
        for seed in arguments.seeds
    ]
    print_table(clips, answers, {CLEAN: CLEAN, **written})


# -- features under conditions


def kept_at(folder: Path, condition: str, key: str) -> Path:
    return folder / condition / f"{key}.npy"


def extract(
    cache: FeatureCache,
    clips: FeatureDataset,
    written: dict[str, str],
    folder: Path,
    workers: int | None,
) -> None:
    """Leave the features of every video under every condition in `folder`.

    Raises:
        SystemExit: If a video cannot be altered: a table is of all of them, or of none.
    """
    settings = cache.settings()
    sources, failures = unchanged_excerpts(cache, clips.entries)
    tasks = [
        Task(key, source, condition)
        for key, source in sources.items()
        for condition in written.values()
        if not kept_at(folder, condition, key).is_file()
    ]
    if tasks:
        extractor = FeatureExtractor.from_space(
            cache.space(),
            weights=settings["weights"]["source"],
            batch_size=64,
            seed=settings["weights"]["seed"],
        )
        files.ensure_writable(folder)
        outcomes = extract_corrupted_features(
            extractor, tasks, folder, seed=42, workers=workers, timeout_s=600.0
        )
        with progress.track("Altering", len(tasks), "clips") as step:
            for task, features, reason in outcomes:
                if features is None:
                    failures.append({"path": task.key, "reason": reason})
                else:
                    path = kept_at(folder, task.condition, task.key)
                    with files.writing(path) as file:
                        np.save(file, features)
                step()
    if failures:
        raise SystemExit(f"Not altered: {failures}")


# -- what classifiers say of them


def answered(
    clips: FeatureDataset,
    layers: dict[str, np.ndarray],
    seed: int,
    *,
    classes: Sequence[str],
    epochs: int,
) -> dict[str, np.ndarray]:
    """Probability of violence of each video under each condition, float (N,), by a classifier
    that has not met its recording."""
    count, names = len(clips), list(layers)
    every = FeatureDataset(
        np.concatenate(list(layers.values())),
        np.tile(clips.labels, len(names)),
        clips.entries * len(names),
    )
    found = np.zeros((len(names), count))
    for test in folds.draw_folds(clips.labels, clips.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(count), test)  # of the first layer, which is clean
        rows = np.concatenate([test + count * number for number in range(len(names))])
        scores = classifier_scores(
            every,
            train,
            rows,
            seed,
            classes=classes,
            settings={"epochs": epochs},
            last=True,
        )
        found[:, test] = scores.reshape(len(names), len(test))
    return dict(zip(names, found, strict=True))


def print_table(
    clips: FeatureDataset, answers: list[dict[str, np.ndarray]], written: dict[str, str]
) -> None:
    """Means over seeds; intervals over recordings, of the first seed."""
    violent = clips.labels > 0
    right = {name: np.array([(one[name] >= 0.5) == violent for one in answers]) for name in written}
    print(f"{'condition':44s} accuracy (sd over seeds)  AUC    difference, 95% over recordings")
    for name, full in written.items():
        accuracy = right[name].mean(axis=1)
        auc = [classification.area_under_curve(violent, one[name]) for one in answers]
        found = paired_tests.accuracy_difference(right[CLEAN][0], right[name][0], clips.groups)
        low, high = (100 * end for end in found["ci"])
        less = 100 * (accuracy - right[CLEAN].mean(axis=1)).mean()
        print(
            f"{full:44s} {accuracy.mean():8.1%} ({100 * accuracy.std():.1f})"
            f"{'':12s} {np.mean(auc):.3f}  {less:+5.1f} ({low:+.1f} to {high:+.1f})"
        )
    altered = [name for name in written if name not in (CLEAN, CONTROL)]
    mean = np.mean([right[name].mean() for name in altered])
    print(f"mean over {len(altered)} conditions: accuracy {mean:.1%}")


if __name__ == "__main__":
    main()
