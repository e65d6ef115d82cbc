"""What the mean over shifted views (`predict --tta`) gives: recording-grouped 5-fold on real clips.

    python benchmarks/tta.py FEATURES_DIR

FEATURES_DIR is what extract-features left; the videos must still be where they were. Each is read
and encoded as it is and in the views that `predict --tta` averages. The default head learns from
the clips as they are of four folds, all of its epochs, and answers for the fifth: as it is, in each
view, and by the mean of the probabilities. The threshold is 0.5; nothing is chosen on the fold that
is reported.
"""

import argparse
import logging

import numpy as np
from grouped_folds import read
from robustness import answered

from violence_detection.evaluation.robustness.corrupted_features import unchanged_excerpts
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.metrics import classification, paired_tests
from violence_detection.system import devices, progress
from violence_detection.video.views import TEST_TIME_VIEWS

AS_IT_IS, MEAN = "as it is", "mean of all: --tta"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices.import_tensorflow()
    cache = FeatureCache.open(arguments.features)
    clips, classes = read(arguments.features, "none")
    layers = {AS_IT_IS: np.asarray(clips.features[:]), **shifted(cache, clips)}
    logging.disable(logging.WARNING)
    answers = [
        answered(clips, layers, seed, classes=classes, epochs=arguments.epochs)
        for seed in arguments.seeds
    ]
    for one in answers:
        one[MEAN] = np.mean(list(one.values()), axis=0)
    print_table(clips, answers)


def shifted(cache: FeatureCache, clips: FeatureDataset) -> dict[str, np.ndarray]:
    """Features of all videos in each view, float16 (N, T, D), by what the view is."""
    sources, failures = unchanged_excerpts(cache, clips.entries)
    if failures:
        raise SystemExit(f"Not there any more: {failures}")
    settings = cache.settings()
    extractor = FeatureExtractor.from_space(
        cache.space(),
        weights=settings["weights"]["source"],
        batch_size=64,
        seed=settings["weights"]["seed"],
    )

    def pictures():
        for entry in clips.entries:
            views = extractor.reader.read(*sources[entry.path], views=TEST_TIME_VIEWS).views
            for view, seen in zip(TEST_TIME_VIEWS, views[1:], strict=True):
                yield str(view), seen

    found: dict[str, list[np.ndarray]] = {str(view): [] for view in TEST_TIME_VIEWS}
    count = len(clips) * len(TEST_TIME_VIEWS)
    with progress.track("Encoding", count, "clips") as step:
        for view, features in extractor.encode_clips(pictures()):
            found[view].append(features)
            step()
    return {view: np.stack(features) for view, features in found.items()}


def print_table(clips: FeatureDataset, answers: list[dict[str, np.ndarray]]) -> None:
    """Means over seeds; intervals over recordings, of the first seed."""
    violent = clips.labels > 0
    for name in answers[0]:
        right = np.array([(one[name] >= 0.5) == violent for one in answers])
        usual = np.array([(one[AS_IT_IS] >= 0.5) == violent for one in answers])
        auc = [classification.area_under_curve(violent, one[name]) for one in answers]
        ends = paired_tests.accuracy_difference(usual[0], right[0], clips.groups)["ci"]
        low, high = (100 * end for end in ends)
        accuracy = right.mean(axis=1)
        less = 100 * (accuracy.mean() - usual.mean())
        print(
            f"{name:70s} accuracy {accuracy.mean():.1%} ({100 * accuracy.std():.1f})  AUC "
            f"{np.mean(auc):.4f} ({np.std(auc):.4f})  {less:+.1f} ({low:+.1f} to {high:+.1f})"
        )


if __name__ == "__main__":
    main()
