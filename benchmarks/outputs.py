"""Accuracy of several outputs on real clips: recording-grouped 5-fold, each beside classes alone.

    python benchmarks/outputs.py FEATURES_DIR [--rows "classes alone" svdd ...] [--keep FOLDER]

FEATURES_DIR is a folder of features from extract-features. Every training learns from all other
folds and keeps its last epoch; the threshold is 0.5. The one-class rows learn from the normal clips
of the other folds alone, and their scores say what is unusual; `motion energy` is the mean motion
of a clip, which learns nothing. Differences are means over the fold seeds on the same videos, with
intervals from a bootstrap over recordings. `time` is the processor time of a seed's five trainings
and predictions over that of the first row. With --keep a second start goes on where it ended.
"""

import argparse
import functools
import json
import logging
import tempfile
from pathlib import Path

import grouped_folds
import kept_scores
import machine
import numpy as np

from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import classifier
from violence_detection.models.outputs.classes import violence_score
from violence_detection.models.run import Run
from violence_detection.system import devices
from violence_detection.training.config import TrainConfig

ENCODER = "bilstm_attention(projection=256, layers=2, units=256, layer_dropout=0.3, norm=true)"
LABELLED = {
    "classes alone": {},
    "violence": {"outputs": "classes+violence(weight=0.1)"},
    "svdd": {"outputs": "classes+svdd(weight=0.2)"},
    "vae": {"outputs": "classes+vae(weight=0.3)"},
    "future": {"outputs": "classes+future"},
    "mil": {"outputs": "classes+mil(weight=0.3)"},
    "fusion": {"outputs": "fusion"},
    "multitask": {"outputs": "multitask"},
    "multitask, dynamic": {"outputs": "multitask", "output_weights": "dynamic"},
    "fusion, encoder": {"outputs": "fusion", "head": ENCODER},
    "multitask, encoder": {"outputs": "multitask", "head": ENCODER},
}
ONE_CLASS = {
    "one class: svdd": {"outputs": "svdd"},
    "one class: vae": {"outputs": "vae"},
    "one class: future": {"outputs": "future"},
}
MOTION = "motion energy"
ROWS = (*LABELLED, *ONE_CLASS, MOTION)
DEFAULT_ROWS = [row for row in ROWS if "encoder" not in row]  # the encoder takes hours on two cores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=DEFAULT_ROWS)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train settings")
    parser.add_argument("--keep", metavar="FOLDER", help="keeps scores, to go on with")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    print(json.dumps(machine.describe()), flush=True)

    settings = dict(setting.split("=", 1) for setting in arguments.set)
    settings = {name: grouped_folds.parsed(value) for name, value in settings.items()}
    clips, classes = grouped_folds.read_features(arguments.features, "none")
    keep = kept_scores.KeptScores(arguments.keep, [Path(arguments.features).name, settings])
    predictions: dict[str, list[np.ndarray]] = {name: [] for name in arguments.rows}
    times_s: dict[str, list[float]] = {name: [] for name in arguments.rows}
    for seed in arguments.seeds:
        for name in arguments.rows:
            method = method_of(name, arguments.features, classes, settings)
            done = keep.arrays(f"{name} {seed}", functools.partial(scored, clips, seed, method))
            predictions[name].append(done["probability"])
            times_s[name].append(float(done["cpu_s"]))
            accuracy, auc = grouped_folds.rates(clips, done["probability"])
            print(
                f"seed {seed:3d} {name:20s} accuracy {accuracy:.3f} AUC {auc:.3f} "
                f"processor time {times_s[name][-1]:.0f} s",
                flush=True,
            )
    first, *others = arguments.rows
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds, {clips_in_words(clips)}")
    for name in arguments.rows:
        rows = [grouped_folds.rates(clips, probability) for probability in predictions[name]]
        accuracy, auc = np.array(rows).T
        print(
            f"{name:20s} accuracy {accuracy.mean():.3f} ({accuracy.std():.3f}) "
            f"AUC {auc.mean():.3f} ({auc.std():.3f}) "
            f"time {np.sum(times_s[name]) / np.sum(times_s[first]):.1f}"
        )
    for name in others:
        text = grouped_folds.difference(clips, predictions[first], predictions[name])
        print(f"{name} minus {first}: {text}")


def clips_in_words(clips: FeatureDataset) -> str:
    return f"{len(clips)} clips of {len(set(clips.groups))} recordings"


def scored(clips: FeatureDataset, seed: int, method) -> dict[str, np.ndarray]:
    return {"probability": grouped_folds.scores_of_seed(clips, seed, method)[1]}


def method_of(name: str, features: str, classes: list[str], settings: dict):
    """The function of a row: scores (N,) of test clips by what the others teach."""
    if name == MOTION:
        return functools.partial(motion_scores, folder=features)
    if name in ONE_CLASS:
        return functools.partial(
            one_class_scores, classes=classes, settings=settings | ONE_CLASS[name]
        )
    return functools.partial(
        grouped_folds.classifier_scores,
        classes=classes,
        settings=settings | LABELLED[name],
        last=True,
    )


def one_class_scores(
    clips: FeatureDataset,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    *,
    classes: list[str],
    settings: dict,
) -> np.ndarray:
    """Anomaly scores by what the normal clips of `train` teach."""
    import keras

    from violence_detection.training.trainer import Trainer

    normal = train[clips.labels[train] == 0]
    parts = {"train": clips.take(normal), "validation": clips.take(normal[::8])}
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        asked = {"seed": seed, "checkpoint_epochs": 0, "monitor": "none", **settings}
        config = TrainConfig.from_flags(asked)
        device_setup = devices.start(seed=seed, **config.devices.as_dict())
        run = Run(Path(folder))
        Trainer(run, config.training, device_setup, clips=parts, classes=classes).run_epochs()
        model = classifier.load_model(run.model_path)
        return violence_score(classifier.probabilities(model, clips.features[test]))


def motion_scores(
    clips: FeatureDataset, train: np.ndarray, test: np.ndarray, seed: int, *, folder: str
) -> np.ndarray:
    """The mean motion energy of each test clip, as a share of the largest of the others."""
    from violence_detection.evaluation.baselines import motion_statistics

    available = FeatureCache.open(folder).summaries(clips.entries)
    if len(available.rows) < len(clips):
        raise SystemExit(f"motion energy needs all videos: {available.missing_reason}")
    energy = motion_statistics(available.summaries)[:, 0]
    return np.clip(energy[test] / (energy[train].max() + 1e-9), 0, 1)


if __name__ == "__main__":
    main()
