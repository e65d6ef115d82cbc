"""Detectors that learn from normal clips alone, beside the amount of motion, on real clips.

    python benchmarks/one_class.py FEATURES_DIR

FEATURES_DIR is a folder of features from extract-features, of both classes; the videos must exist
for the amount of motion, or have been summarised. Each fold of recordings is scored by detectors
that learned from the normal clips of the other recordings, 15% of which give the border and the
threshold: the 95% quantile of the errors. `motion energy` is the mean motion energy of a clip, with
the same border. AUC is over all clips of a seed; `found` and `flagged` are the violent and the
normal clips at the threshold. Differences are means over the seeds, on the same clips, with
intervals from a bootstrap over recordings. Nothing is chosen on the held-out fold, and no violent
clip is learned from. `time` is the processor time of all folds over that of the first detector.
"""

import argparse
import functools
import json
import logging
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import machine
import numpy as np
from grouped_folds import FOLDS, difference, parsed, read_features
from kept_scores import KeptScores

from violence_detection.evaluation.baselines import complete_summaries, motion_statistics
from violence_detection.experiments.cross_validation.drawn_folds import FoldPlan
from violence_detection.experiments.cross_validation.fold_runner import FoldRunner, FoldSetup
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.system import devices
from violence_detection.training.config import ONE_CLASS_OUTPUTS, TrainConfig

MOTION = "motion energy"
DETECTORS = ("mahalanobis", "knn", *ONE_CLASS_OUTPUTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--detectors", nargs="+", default=DETECTORS)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train settings")
    parser.add_argument("--keep", metavar="FOLDER", help="keeps scores, to go on with")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    print(json.dumps(machine.describe()), flush=True)
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    settings = {name: parsed(value) for name, value in settings.items()}

    energy = motion_energy(arguments.features)
    clips, _ = read_features(arguments.features, "none")
    keep = KeptScores(arguments.keep, [Path(arguments.features).name, settings])
    names = ([] if energy is None else [MOTION]) + [*arguments.detectors]
    done = defaultdict(list)
    for seed in arguments.seeds:
        for name in names:
            make = functools.partial(
                scores_of_seed, arguments.features, name, seed, energy, settings
            )
            done[name].append(keep.arrays(f"one class {name} {seed}", make))
            auc, found, flagged = rates(clips, done[name][-1])
            print(
                f"seed {seed:3d} {name:14s} AUC {auc:.3f} found {found:.1%} flagged {flagged:.1%} "
                f"processor time {float(done[name][-1]['cpu_s']):.0f} s",
                flush=True,
            )
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds")
    times_s = {name: sum(float(row["cpu_s"]) for row in done[name]) for name in names}
    for name in names:
        auc, found, flagged = np.array([rates(clips, row) for row in done[name]]).T
        ratio = times_s[name] / times_s[arguments.detectors[0]]
        print(
            f"{name:14s} AUC {auc.mean():.3f} ({auc.std():.3f}) found {found.mean():.1%} "
            f"({found.std():.1%}) flagged {flagged.mean():.1%} ({flagged.std():.1%}) "
            f"time {ratio:.1f}"
        )
    scores = {name: [row["score"] for row in done[name]] for name in names}
    for name in names[1:]:
        print(f"{name} minus {names[0]}: {difference(clips, scores[names[0]], scores[name])}")


def motion_energy(features: str) -> np.ndarray | None:
    """The mean motion energy of each clip, float (N,); None where clips have no summary."""
    cache = FeatureCache.open(features)
    summaries = complete_summaries(cache, dataset.usable_entries(cache))
    if isinstance(summaries, str):
        print(f"{MOTION} is left out: {summaries}")
        return None
    return motion_statistics(summaries)[:, 0]


def scores_of_seed(features, name, seed, energy, settings) -> dict[str, np.ndarray]:
    """The score and the threshold of each clip, (N,), by a detector of other recordings."""
    own = settings if name in ONE_CLASS_OUTPUTS else {}
    detector = "knn" if name == MOTION else name
    config = TrainConfig.from_flags({"features": features, "one_class": detector, **own})
    plan = FoldPlan(FOLDS, 1, (True,), seed, validation_fraction=0.15)
    entries = tuple(dataset.usable_entries(FeatureCache.open(features)))
    with tempfile.TemporaryDirectory() as folder:
        device_setup = devices.start(seed=seed, **config.devices.as_dict())
        runner = FoldRunner(FoldSetup(config, plan, Path(folder), entries), device_setup)
        score, threshold = np.zeros(len(entries)), np.zeros(len(entries))
        for fold in runner.folds:
            test = fold.rows("test")
            if name == MOTION:
                validation = fold.rows("validation")
                normal = validation[runner.clips.labels[validation] == 0]
                border = np.quantile(energy[normal], 0.95)
                score[test], threshold[test] = energy[test] / (energy[test] + border), 0.5
                continue
            trained = runner.train_fold(fold)
            score[test], threshold[test] = trained.probability[:, 1], trained.threshold
    return {"score": score, "threshold": threshold}


def rates(clips: FeatureDataset, done: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """AUC, and the fractions of the violent and of the normal clips at or above the threshold."""
    from sklearn.metrics import roc_auc_score

    violent = clips.labels > 0
    alarm = done["score"] >= done["threshold"]
    auc = float(roc_auc_score(violent, done["score"]))
    return auc, float(alarm[violent].mean()), float(alarm[~violent].mean())


if __name__ == "__main__":
    main()
