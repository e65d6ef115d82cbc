"""Accuracy of the mean over shifted views (`predict --tta`): recording-grouped 5-fold.

    python benchmarks/tta.py FEATURES_DIR

FEATURES_DIR is a folder of features from extract-features; the videos must still be in their
folder. Each video is read and encoded unshifted and in the views that `predict --tta` averages. The
default head trains on the unshifted clips of four folds, without a choice of epoch, and predicts
the fifth: unshifted, in each view, and by the mean of the probabilities. The threshold is 0.5;
nothing is chosen on the held-out fold.
"""

import argparse
import logging

import numpy as np
from grouped_folds import read_features
from robustness import predict_folds

from violence_detection.evaluation.robustness.corrupted_features import unchanged_excerpts
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.metrics import classification, paired_tests
from violence_detection.system import devices, progress
from violence_detection.video.views import TEST_TIME_VIEWS

UNSHIFTED, MEAN = "unshifted", "mean of all: --tta"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()
    cache = FeatureCache.open(arguments.features)
    clips, classes = read_features(arguments.features, "none")
    layers = {UNSHIFTED: np.asarray(clips.features[:]), **shifted_features(cache, clips)}
    logging.disable(logging.WARNING)
    predictions = [
        predict_folds(clips, layers, seed, classes=classes, epochs=arguments.epochs)
        for seed in arguments.seeds
    ]
    for scores in predictions:
        scores[MEAN] = np.mean(list(scores.values()), axis=0)
    print_table(clips, predictions)


def shifted_features(cache: FeatureCache, clips: FeatureDataset) -> dict[str, np.ndarray]:
    """Features of all videos in each view, float16 (N, T, D), by the name of the view."""
    sources, failures = unchanged_excerpts(cache, clips.entries)
    if failures:
        raise SystemExit(f"Videos are missing or have changed: {failures}")
    record = cache.record()
    extractor = FeatureExtractor.from_space(
        record.space,
        weights=record.weights.source,
        batch_size=64,
        seed=record.weights.seed,
    )

    def view_images():
        for entry in clips.entries:
            views = extractor.reader.read(*sources[entry.path], views=TEST_TIME_VIEWS).views
            for view, images in zip(TEST_TIME_VIEWS, views[1:], strict=True):
                yield str(view), images

    by_view: dict[str, list[np.ndarray]] = {str(view): [] for view in TEST_TIME_VIEWS}
    count = len(clips) * len(TEST_TIME_VIEWS)
    with progress.track("Encoding", count, "clips") as step:
        for view, features in extractor.encode_clips(view_images()):
            by_view[view].append(features)
            step()
    return {view: np.stack(features) for view, features in by_view.items()}


def print_table(clips: FeatureDataset, predictions: list[dict[str, np.ndarray]]) -> None:
    """Prints means over seeds, and intervals over recordings for the first seed."""
    violent = clips.labels > 0
    for name in predictions[0]:
        correct, reference = (
            np.array([(scores[key] >= 0.5) == violent for scores in predictions])
            for key in (name, UNSHIFTED)
        )
        auc = [classification.area_under_curve(violent, scores[name]) for scores in predictions]
        ends = paired_tests.accuracy_difference(reference[0], correct[0], clips.groups)["ci"]
        low, high = (100 * end for end in ends)
        accuracy = correct.mean(axis=1)
        gain = 100 * (accuracy.mean() - reference.mean())
        print(
            f"{name:70s} accuracy {accuracy.mean():.1%} ({100 * accuracy.std():.1f})  AUC "
            f"{np.mean(auc):.4f} ({np.std(auc):.4f})  {gain:+.1f} ({low:+.1f} to {high:+.1f})"
        )


if __name__ == "__main__":
    main()
