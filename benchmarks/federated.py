"""Each site alone, a federation of them, and their pool, on real clips.

    python benchmarks/federated.py FEATURES_DIR --seeds 10 11 12 --head linear

FEATURES_DIR is a folder of features from extract-features, with recordings. For each seed the
recordings are drawn into five folds. Those of the other folds are dealt to four sites, so that each
has recordings of both classes; a classifier of each site alone, one federated over the four, and
one of their pool predict the videos of the fold. All have the settings of `federate` and as many
epochs, and none is chosen on a video. A row is over all videos of a seed, each predicted by a model
that has not seen its recording; the threshold is 0.5. The row of a site alone is the mean over
sites.
"""

import argparse
import json
import logging
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import machine
import numpy as np

from violence_detection.datasets.labels import classes_of
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.federated.config import SimulateConfig
from violence_detection.federated.simulation import SimulationStage
from violence_detection.metrics import classification
from violence_detection.models.run import Run
from violence_detection.system import devices

SITES, FOLDS = 4, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--head", default="bilstm_attention")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--local-epochs", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", default=["fedavg", "fedprox"])
    parser.add_argument("--folds", type=int, default=FOLDS, help="folds to run of the five")
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
    rows = defaultdict(list)
    for seed in arguments.seeds:
        scores = score_seed(cache, entries, clips, arguments, seed)
        for name, score in scores.items():
            known = np.isfinite(score)
            violent = clips.labels[known] > 0
            auc = classification.area_under_curve(violent, score[known])
            rows[name].append(((violent == (score[known] >= 0.5)).mean(), auc))
        alone = [rows[f"site {site + 1} alone"][-1] for site in range(SITES)]
        rows["a site alone, mean"].append(tuple(np.mean(alone, axis=0)))
        for name, values in rows.items():
            print(f"seed {seed}  {name:20s} accuracy {values[-1][0]:.3f}  AUC {values[-1][1]:.3f}")
    print(f"\nmean (sd) over {len(arguments.seeds)} seeds")
    for name, values in rows.items():
        texts = [spread([row[column] for row in values]) for column in (0, 1)]
        print(f"{name:20s} accuracy {texts[0]}  AUC {texts[1]}")


def spread(values: Sequence[float]) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ({sd:.3f})"


def score_seed(cache, entries, clips, arguments, seed: int) -> dict[str, np.ndarray]:
    """The out-of-fold score of every video by each kind of training, NaN where it has none."""
    folds = dealt(entries, FOLDS, seed)
    scores: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(entries), np.nan))
    for fold in range(arguments.folds):
        kept = [entry for entry in entries if folds[entry.group] != fold]
        sites = dealt(kept, SITES, 1000 * seed + fold)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            parts = [
                subset(cache, [e for e in kept if sites[e.group] == site], folder / f"site{site}")
                for site in range(SITES)
            ]
            pool = subset(cache, kept, folder / "pool")
            trainings = {f"site {number + 1} alone": [part] for number, part in enumerate(parts)}
            trainings |= dict.fromkeys(arguments.algorithms, parts)
            trainings["pooled"] = [pool]
            rows = [row for row, entry in enumerate(entries) if folds[entry.group] == fold]
            for kind, clients in trainings.items():
                run = train(clients, folder / "runs", kind.replace(" ", "_"), arguments, seed)
                scores[kind][rows] = run.load_classifier().scores(clips.features[np.array(rows)])
    return scores


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
