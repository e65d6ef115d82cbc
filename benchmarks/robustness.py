"""Accuracy on corrupted real clips: recording-grouped 5-fold, trained on clean clips, or also on
degraded views of them.

    python benchmarks/robustness.py FEATURES_DIR --kept altered_features --view-kinds blur,noise

FEATURES_DIR is a folder of features from extract-features; the videos must still be in their
folder. Each video is corrupted, written, and read and encoded by the code of extraction, once a
condition; the features are kept in --kept, so that the script can be stopped and started again. The
default head trains on the clean features of four folds, without a choice of epoch, and predicts the
fifth clean and under every condition. The threshold is 0.5; nothing is chosen on the held-out fold.
Intervals are a bootstrap over recordings, for the first fold seed.

Each --view-kinds adds a training in which the augmentation `views` replaces half of the clips of a
batch by a view of these kinds, which FEATURES_DIR must have (`extract-features --views 2
--view-kinds blur,noise`). The last column of a table has another threshold for each condition and
fold: that with the highest balanced accuracy on the other folds' clips under the same condition. It
shows how much of a loss is the threshold's. --reuse-views takes the features of a condition from
the views where it can: no file is written.
"""

import argparse
import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from default_stream import Setting, logits_of, pooled
from grouped_folds import FOLDS, classifier_scores, read_features
from kept_scores import KeptScores
from scipy.special import expit

from violence_detection.datasets.splitting import folds
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
    parser.add_argument(
        "--view-kinds", nargs="*", default=[], metavar="KIND,...", help="views to learn from, too"
    )
    parser.add_argument(
        "--reuse-views",
        action="store_true",
        help="read a condition from the features' view of this kind, if they have one: faster",
    )
    parser.add_argument(
        "--statistics",
        action="store_true",
        help="train the logit of the statistics alone, with each view as a clip: a second each",
    )
    parser.add_argument("--results", help="folder that keeps the predictions of finished trainings")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()

    cache = FeatureCache.open(arguments.features)
    needs_views = arguments.view_kinds or arguments.reuse_views
    clips, classes = read_features(arguments.features, "views" if needs_views else "none")
    of_kinds = dict(zip(view_kinds(cache, len(clips.views)), clips.views, strict=True))
    trainings = {
        kinds: dataclasses.replace(clips, views=views_of(of_kinds, kinds))
        for kinds in ("", *arguments.view_kinds)
    }
    conditions = {
        name: name if name == CONTROL else corrupted_video.full_condition(name)
        for name in arguments.conditions
    }
    reused = of_kinds.keys() if arguments.reuse_views else set()
    written = {name: full for name, full in conditions.items() if full not in reused}
    extract(cache, clips, written, Path(arguments.kept), arguments.workers)
    layers = {CLEAN: np.asarray(clips.features[:])} | {
        name: np.asarray(of_kinds[full][:])
        if full in reused
        else np.stack(
            [
                np.load(features_path(Path(arguments.kept), full, entry.path))
                for entry in clips.entries
            ]
        )
        for name, full in conditions.items()
    }
    logging.disable(logging.WARNING)
    kept = KeptScores(
        arguments.results, [arguments.features, arguments.epochs, *conditions.items()]
    )
    clean = None
    for kinds, of_training in trainings.items():
        predictions = [
            kept.arrays(
                f"{'statistics, ' * arguments.statistics}{kinds or 'clean'}, seed {seed}",
                lambda of_training=of_training, seed=seed: predict_folds(
                    of_training,
                    layers,
                    seed,
                    score=statistics_scores if arguments.statistics else classifier_scores,
                    classes=classes,
                    epochs=arguments.epochs,
                ),
            )
            for seed in arguments.seeds
        ]
        clean = clean or predictions
        print(f"\nlearned from clean clips{' and views: ' if kinds else ''}{kinds}")
        print_table(clips, predictions, {CLEAN: CLEAN, **conditions}, clean, arguments.seeds)


def view_kinds(cache: FeatureCache, count: int) -> list[str]:
    """The kind of each of `count` views, with every severity written out."""
    kinds = cache.record().view_kinds
    if len(kinds) < count:
        raise SystemExit(f"The views must each be of a kind of its own. Received: {kinds}")
    return [corrupted_video.full_condition(kind) for kind in kinds[:count]]


def views_of(of_kinds: dict[str, np.ndarray], kinds: str) -> tuple[np.ndarray, ...]:
    """The views of some kinds, whose names are separated by commas."""
    full = [corrupted_video.full_condition(kind) for kind in kinds.split(",") if kind]
    if missing := [kind for kind in full if kind not in of_kinds]:
        raise SystemExit(f"The features have no views of {missing}, but of {list(of_kinds)}")
    return tuple(of_kinds[kind] for kind in full)


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
    score: Callable[..., np.ndarray],
    classes: Sequence[str],
    epochs: int,
) -> dict[str, np.ndarray]:
    """Probability of violence of each video under each condition, float (N,), by a classifier not
    trained on its recording; it learns from the clips' views, too, if they have any."""
    count, names = len(clips), list(layers)
    all_layers = FeatureDataset(
        np.concatenate(list(layers.values())),
        np.tile(clips.labels, len(names)),
        clips.entries * len(names),
        clips.views,  # of the first layer
    )
    violence = np.zeros((len(names), count))
    for test in folds.draw_folds(clips.labels, clips.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(count), test)  # of the first layer, which is clean
        rows = np.concatenate([test + count * number for number in range(len(names))])
        scores = score(
            all_layers,
            train,
            rows,
            seed,
            classes=classes,
            settings={"epochs": epochs, "augment": "views" if clips.views else "none"},
            last=True,
        )
        violence[:, test] = scores.reshape(len(names), len(test))
    return dict(zip(names, violence, strict=True))


def statistics_scores(
    clips: FeatureDataset, train: np.ndarray, test: np.ndarray, seed: int, **_: object
) -> np.ndarray:
    """The probability of violence by the logit of the statistics alone."""
    layers = [clips.features, *clips.views]
    logits = logits_of(
        pooled(clips.features[test]),
        np.concatenate([pooled(layer[train]) for layer in layers]),
        np.tile(clips.labels[train] > 0, len(layers)),
        np.tile(clips.groups[train], len(layers)),
        Setting(),
        seed,
    )
    return expit(logits)


def print_table(
    clips: FeatureDataset,
    predictions: list[dict[str, np.ndarray]],
    conditions: dict[str, str],
    clean: list[dict[str, np.ndarray]],
    seeds: Sequence[int],
) -> None:
    """Prints means over seeds; differences are to `clean`, the predictions of the first training
    of the unchanged clips, with intervals over recordings for the first seed."""
    violent = clips.labels > 0

    def correct(of: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
        return np.array([(scores[name] >= 0.5) == violent for scores in of])

    print(
        f"{'condition':44s} accuracy (sd over seeds)  AUC    difference, 95% over recordings  "
        "own threshold"
    )
    unchanged, means = correct(clean, CLEAN), []
    for name, full in conditions.items():
        right = correct(predictions, name)
        accuracy = right.mean(axis=1)
        auc = [classification.area_under_curve(violent, scores[name]) for scores in predictions]
        own = [
            own_threshold_accuracy(clips, scores[name], seed)
            for scores, seed in zip(predictions, seeds, strict=True)
        ]
        difference = paired_tests.accuracy_difference(unchanged[0], right[0], clips.groups)
        low, high = (100 * end for end in difference.ci)
        gain = 100 * (right.mean() - unchanged.mean())
        print(
            f"{full:44s} {accuracy.mean():8.1%} ({100 * accuracy.std():.1f})"
            f"{'':12s} {np.mean(auc):.3f}  {gain:+5.1f} ({low:+.1f} to {high:+.1f})"
            f"{'':10s} {np.mean(own):6.1%}"
        )
        if name not in (CLEAN, CONTROL):
            means.append((accuracy.mean(), np.mean(auc), np.mean(own)))
    accuracy, auc, own = np.mean(means, axis=0)
    print(
        f"mean over {len(means)} conditions: accuracy {accuracy:.1%}, AUC {auc:.3f}, with own "
        f"thresholds {own:.1%}"
    )


def own_threshold_accuracy(clips: FeatureDataset, scores: np.ndarray, seed: int) -> float:
    """Accuracy where the threshold of each fold is the best one of the other folds."""
    violent = clips.labels > 0
    right = np.zeros(len(clips), bool)
    for test in folds.draw_folds(clips.labels, clips.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(len(clips)), test)
        cuts = np.unique(scores[train])
        cuts = (cuts[1:] + cuts[:-1]) / 2
        alarms = scores[train] >= cuts[:, None]
        balanced = alarms[:, violent[train]].mean(1) - alarms[:, ~violent[train]].mean(1)
        right[test] = (scores[test] >= cuts[balanced.argmax()]) == violent[test]
    return float(right.mean())


if __name__ == "__main__":
    main()
