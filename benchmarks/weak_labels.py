"""Localisation from labels of whole videos, on minutes joined from real clips.

    python benchmarks/weak_labels.py FEATURES_DIR --seeds 10 11 --head linear

FEATURES_DIR is a folder of features of two-second clips, with recordings. A video of a minute is 30
clips in random order: without violence all of them are normal; with violence one of them is a
fight, two seconds of sixty. Its features in 30 segments are those of the clips. Videos for training
are joined from the clips of four fifths of the recordings, those for the test from the rest.
Compared are trainings that know only the label of each minute, with the loss of the highest segment
(`classes`), the ranking of segments (`mil`) and both; and, as the upper limit, the training that
knows the label of each clip. `segments` is the area under the ROC curve and the average precision
of the two-second segments of the violent test minutes and of the normal ones together, `minutes`
the area of whole minutes by their highest segment, `found` the fraction of violent minutes whose
highest segment is the fight. Differences are those of the same draw: their mean, the smallest and
the largest. `time` is the processor time over that of `classes`.
"""

import argparse
import functools
import json
import logging
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import grouped_folds
import kept_scores
import machine
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from violence_detection.datasets.labels import classes_of
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.run import Run
from violence_detection.system import devices, files
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import train_classifier

SEGMENTS = 30
KINDS = ("classes", "mil", "classes+mil", "clips labelled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--head", default="bilstm_attention")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--minutes", type=int, default=120, help="for training, half violent")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train settings")
    parser.add_argument("--keep", metavar="FOLDER", help="keeps scores, to go on with")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    devices.import_tensorflow()
    print(json.dumps(machine.describe()), flush=True)
    cache = FeatureCache.open(arguments.features)
    entries = dataset.usable_entries(cache)
    clips = dataset.read_dataset(cache, entries, classes_of(entries))
    print(
        f"{len(clips)} clips of {len(set(clips.groups))} recordings, {cache.space().name}, "
        f"{arguments.head}, {arguments.epochs} epochs, {arguments.minutes} minutes, "
        f"{arguments.set}"
    )
    kept = ("head", "epochs", "minutes", "set")
    asked = [cache.dir.name, *[getattr(arguments, name) for name in kept]]
    keep = kept_scores.KeptScores(arguments.keep, asked)
    rows, times_s = defaultdict(list), defaultdict(float)
    for seed in arguments.seeds:
        for kind, done in score_seed(cache, clips, arguments, seed, keep).items():
            rows[kind].append(rates(done["truth"], done["score"]))
            times_s[kind] += float(done["cpu_s"])
            print(f"seed {seed}  {kind:15s} {in_words([[v] for v in rows[kind][-1]])}", flush=True)
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds")
    for kind, values in rows.items():
        time = times_s[kind] / times_s[KINDS[0]]
        print(f"{kind:15s} {in_words(list(zip(*values, strict=True)))} time {time:.1f}")
    for kind in KINDS[1:]:
        change = np.subtract(rows[kind], rows[KINDS[0]])
        texts = [f"{c.mean():+.3f} ({c.min():+.3f} to {c.max():+.3f})" for c in change.T[:2]]
        print(f"{kind} minus {KINDS[0]}: segments AUC {texts[0]}, AP {texts[1]}")


def in_words(columns: Sequence[Sequence[float]]) -> str:
    """The mean of each measure over seeds, with its deviation where there are several."""
    texts = [
        f"{statistics.fmean(column):.3f}"
        + (f" ({statistics.pstdev(column):.3f})" if len(column) > 1 else "")
        for column in columns
    ]
    return "segments AUC {}  AP {}  minutes AUC {}  found {}".format(*texts)


def rates(truth: np.ndarray, score: np.ndarray) -> tuple[float, float, float, float]:
    """AUC and average precision of segments, AUC of minutes, and the fraction of violent minutes
    whose highest segment is the fight; from labels and scores (minutes, 30)."""
    violent = truth.any(1)
    highest = score[violent].argmax(1)
    return (
        float(roc_auc_score(truth.ravel(), score.ravel())),
        float(average_precision_score(truth.ravel(), score.ravel())),
        float(roc_auc_score(violent, score.max(1))),
        float(truth[violent][np.arange(len(highest)), highest].mean()),
    )


def score_seed(
    cache: FeatureCache, clips: FeatureDataset, arguments: argparse.Namespace, seed: int, keep
) -> dict[str, dict[str, np.ndarray]]:
    """The labels and the scores of the segments of the test minutes, by each kind."""
    rng = np.random.default_rng(seed)
    held_out = set()
    for side in (0, 1):  # a fifth of the recordings of each class
        groups = sorted({clips.groups[row] for row in np.flatnonzero(clips.labels == side)})
        held_out |= set(rng.permutation(groups)[: max(1, len(groups) // 5)].tolist())
    is_test = np.array([group in held_out for group in clips.groups])
    train = joined(clips, ~is_test, arguments.minutes, rng)
    test = joined(clips, is_test, 40, rng)
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        bags = write_bags(cache, clips, train, Path(folder) / "bags")
        alone = write_clips(cache, clips, ~is_test, Path(folder) / "clips")
        for kind in KINDS:
            source = alone if kind == KINDS[-1] else bags
            make = functools.partial(scored, source, Path(folder), kind, arguments, seed, clips)
            done = keep.arrays(f"{kind} {seed}", make)
            score = done["score"][test]  # of each clip; a minute is its clips
            truth = clips.labels[test] > 0
            scores[kind] = {"truth": truth, "score": score, "cpu_s": done["cpu_s"]}
    return scores


def scored(
    source: Path, folder: Path, kind: str, arguments, seed: int, clips: FeatureDataset
) -> dict[str, np.ndarray]:
    """The score of every clip by a training on a cache of minutes or of clips."""
    settings = {
        "features": str(source),
        "checkpoint_dir": str(folder / "runs"),
        "run": kind.replace("+", "_").replace(" ", "_"),
        "head": arguments.head,
        "outputs": "classes" if kind == KINDS[-1] else kind,
        "epochs": arguments.epochs,
        "monitor": "none",
        "calibrate_by": "validation",
        "checkpoint_epochs": 0,
        "seed": seed,
    }
    asked = dict(setting.split("=", 1) for setting in arguments.set)
    settings |= {name: grouped_folds.parsed(value) for name, value in asked.items()}
    run = Run.open(train_classifier(TrainConfig.from_flags(settings)).run)
    return {"score": run.load_classifier().scores(clips.features[:])}


def joined(
    clips: FeatureDataset, chosen: np.ndarray, minutes: int, rng: np.random.Generator
) -> np.ndarray:
    """The rows of the clips of each minute, int (minutes, 30); every second minute has a fight."""
    normal, violent = (np.flatnonzero(chosen & (clips.labels == side)) for side in (0, 1))
    rows = np.stack(
        [rng.choice(normal, SEGMENTS, replace=len(normal) < SEGMENTS) for _ in range(minutes)]
    )
    for number in range(1, minutes, 2):
        rows[number, rng.integers(SEGMENTS)] = rng.choice(violent)
    return rows


def write_bags(cache: FeatureCache, clips: FeatureDataset, rows: np.ndarray, folder: Path) -> Path:
    """A cache of minutes in segments. A tenth is validation, which nothing is chosen on."""
    part, entries = FeatureCache(folder / "drawn"), []
    for number, of_minute in enumerate(rows):
        label = classes_of(list(clips.entries))[int((clips.labels[of_minute] > 0).any())]
        features = np.stack([clips.features[row] for row in of_minute])
        key = f"{label}/{number}.mp4"
        entries.append(
            replace(
                clips.entries[of_minute[0]],
                path=key,
                label=label,
                group=key,
                split="validation" if number % 20 < 2 else "train",
                digest=f"{number:064x}",
                array_digest=part.write_arrays(key, features[None])[0],
                duration_s=2.0 * SEGMENTS,
                views="",
            )
        )
    part.write_manifest(entries)
    write_record(cache, part, segments=SEGMENTS)
    return part.dir


def write_clips(
    cache: FeatureCache, clips: FeatureDataset, chosen: np.ndarray, folder: Path
) -> Path:
    """A cache of the clips themselves, one in ten of a class for validation."""
    part, entries, counts = FeatureCache(folder / "drawn"), [], defaultdict(int)
    for row in np.flatnonzero(chosen):
        entry = clips.entries[row]
        counts[entry.label] += 1
        split = "validation" if counts[entry.label] % 10 == 0 else "train"
        digest = part.write_arrays(entry.path, np.asarray(clips.features[row])[None])[0]
        entries.append(replace(entry, split=split, array_digest=digest, views=""))
    part.write_manifest(entries)
    write_record(cache, part, segments=1)
    return part.dir


def write_record(cache: FeatureCache, part: FeatureCache, *, segments: int) -> None:
    record = cache.record()
    space = replace(record.space, segments=segments)
    files.write_json(part.extraction_path, replace(record, space=space).to_json())


if __name__ == "__main__":
    main()
