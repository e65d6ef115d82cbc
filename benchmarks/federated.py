"""Each site alone, a federation of them, and their pool, on real clips.

    python benchmarks/federated.py FEATURES_DIR --seeds 10 11 12 --head linear

FEATURES_DIR is a folder of features from extract-features, with recordings. For each seed the
recordings are drawn into five folds. Those of the other folds are dealt to four sites, so that each
has recordings of both classes; a classifier of each site alone, one federated over the four, and
one of their pool predict the videos of the fold. All have the settings of `federate` and as many
epochs, and none is chosen on a video. A row is over all videos of a seed, each predicted by a model
that has not seen its recording; the threshold is 0.5. The row of a site alone is the mean over
sites. Differences are means over the seeds, on the same videos, with intervals from a bootstrap
over recordings. `time` is the processor time over that of the pool.
"""

import argparse
import functools
import json
import logging
import shutil
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

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.federated.config import SimulateConfig
from violence_detection.federated.simulation import SimulationStage
from violence_detection.metrics import classification
from violence_detection.models.run import Run
from violence_detection.system import devices

SITES, FOLDS, POOL = 4, 5, "pooled"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--head", default="bilstm_attention")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--local-epochs", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", default=["fedavg", "fedprox"])
    parser.add_argument("--folds", type=int, default=FOLDS, help="folds to run of the five")
    parser.add_argument("--keep", metavar="FOLDER", help="keeps scores, to go on with")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    devices.import_tensorflow()
    print(json.dumps(machine.describe()), flush=True)
    cache = FeatureCache.open(arguments.features)
    entries = dataset.usable_entries(cache)
    classes = classes_of(entries)
    clips = dataset.read_dataset(cache, entries, classes)
    print(
        f"{len(entries)} videos of {len(set(clips.groups))} recordings, {cache.space().name}, "
        f"{arguments.head}, {arguments.rounds} rounds of {arguments.local_epochs} epochs"
    )
    kept = ("head", "rounds", "local_epochs")
    asked = [cache.dir.name, *[getattr(arguments, name) for name in kept]]
    keep = kept_scores.KeptScores(arguments.keep, asked)
    done = defaultdict(list)
    for seed in arguments.seeds:
        for kind, arrays in score_seed(cache, entries, clips, arguments, seed, keep).items():
            done[kind].append(arrays)
            accuracy, auc = rates(clips, arrays["probability"])
            print(f"seed {seed}  {kind:20s} accuracy {accuracy:.3f}  AUC {auc:.3f}", flush=True)
    alone = [name for name in done if name.endswith("alone")]
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds")
    time_s = {kind: sum(row["cpu_s"] for row in rows) for kind, rows in done.items()}
    for kind, rows in done.items():
        show(kind, [rates(clips, row["probability"]) for row in rows], time_s[kind] / time_s[POOL])
    each = [[rates(clips, row["probability"]) for row in done[name]] for name in alone]
    mean_s = np.mean([time_s[name] for name in alone])
    show("a site alone, mean", np.mean(each, axis=0), mean_s / time_s[POOL])
    if arguments.folds < FOLDS:
        return
    for first, second in ((POOL, "fedavg"), ("fedavg", "fedprox"), ("sites", "fedavg")):
        before = alone if first == "sites" else [first]
        if {second, *before} <= set(done):
            before = [row["probability"] for name in before for row in done[name]]
            after = [row["probability"] for row in done[second]]
            text = grouped_folds.difference(clips, before, after)
            print(f"{second} minus {'a site alone' if first == 'sites' else first}: {text}")


def show(kind: str, rows: Sequence[tuple[float, float]], time: float) -> None:
    """Prints a row of the table: accuracy and AUC of each seed, and the time over the pool's."""
    texts = [spread([row[column] for row in rows]) for column in (0, 1)]
    print(f"{kind:20s} accuracy {texts[0]}  AUC {texts[1]}  time {time:.1f}")


def rates(clips: FeatureDataset, probability: np.ndarray) -> tuple[float, float]:
    """Accuracy and AUC of the videos that were scored."""
    known = np.isfinite(probability)
    violent = clips.labels[known] > 0
    auc = classification.area_under_curve(violent, probability[known])
    return (violent == (probability[known] >= 0.5)).mean(), auc


def spread(values: Sequence[float]) -> str:
    sd = statistics.pstdev(values)
    return f"{statistics.fmean(values):.3f} ({sd:.3f})"


def score_seed(cache, entries, clips, arguments, seed: int, keep) -> dict[str, dict]:
    """The out-of-fold score of every video by each kind of training, NaN where it has none."""
    folds = dealt(entries, FOLDS, seed)
    kinds = [f"site {number + 1} alone" for number in range(SITES)]
    probability = defaultdict(lambda: np.full(len(entries), np.nan))
    cpu_s: dict[str, float] = defaultdict(float)
    for fold in range(arguments.folds):
        rows = np.array([row for row, entry in enumerate(entries) if folds[entry.group] == fold])
        train = [entry for entry in entries if folds[entry.group] != fold]
        sites = dealt(train, SITES, 1000 * seed + fold)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            parts = [
                subset(cache, [e for e in train if sites[e.group] == site], folder / f"site{site}")
                for site in range(SITES)
            ]
            trainings = {kind: [part] for kind, part in zip(kinds, parts, strict=True)}
            trainings |= dict.fromkeys(arguments.algorithms, parts)
            trainings[POOL] = [subset(cache, train, folder / "pool")]
            for kind, clients in trainings.items():
                make = functools.partial(
                    scored, clients, folder / "runs", kind, arguments, seed, clips, rows
                )
                done = keep.arrays(f"{kind} seed {seed} fold {fold}", make)
                probability[kind][rows] = done["probability"]
                cpu_s[kind] += float(done["cpu_s"])
    return {kind: {"probability": probability[kind], "cpu_s": cpu_s[kind]} for kind in probability}


def scored(clients, folder, kind, arguments, seed, clips, rows) -> dict[str, np.ndarray]:
    run = train(clients, folder, kind.replace(" ", "_"), arguments, seed)
    return {"probability": run.load_classifier().scores(clips.features[rows])}


def dealt(entries: Sequence[ManifestEntry], parts: int, seed: int) -> dict[str, int]:
    """The part of each recording: those with violence in turn, then those without."""
    violent = {entry.group for entry in entries if entry.label != classes_of(entries)[0]}
    rng, place = np.random.default_rng(seed), {}
    for side in (violent, {entry.group for entry in entries} - violent):
        for number, group in enumerate(rng.permutation(sorted(side)).tolist()):
            place[group] = number % parts
    return place


def subset(cache: FeatureCache, entries: Sequence[ManifestEntry], folder: Path) -> Path:
    """Features of some videos alone, all for training."""
    part = FeatureCache(folder / cache.dir.name)
    for entry in entries:
        path = part.array_path(entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cache.array_path(entry.path), path)
    part.write_manifest([replace(entry, split="train", views="") for entry in entries])
    shutil.copyfile(cache.extraction_path, part.extraction_path)
    return part.dir


def train(clients: Sequence[Path], folder: Path, name: str, arguments, seed: int) -> Run:
    config = SimulateConfig.from_flags(
        {
            "head": arguments.head,
            "rounds": arguments.rounds,
            "local_epochs": arguments.local_epochs,
            "algorithm": "fedprox" if name == "fedprox" else "fedavg",
            "checkpoint_dir": str(folder),
            "run": name,
            "seed": seed,
        }
    )
    result = SimulationStage([str(client) for client in clients], config).run()
    return Run.open(result.results.run)


if __name__ == "__main__":
    main()
