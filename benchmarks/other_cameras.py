"""Scores on a run's own dataset and on other cameras: feature spaces, alone and together.

    python benchmarks/other_cameras.py feature_cache/home feature_cache/elsewhere

Both are folders of datasets in a feature cache, with the same feature spaces (`extract-features`).
For each space and seed, grouped 5-fold at home and one training on all of home, which is scored on
all clips elsewhere; nothing elsewhere is learned from. Spaces together are the mean of the logits
of one model a space (late fusion), which costs no further training, and with --joined also one
model on their features side by side. Settings are chosen on fold seeds 0 to 2 at home and the
clips elsewhere, and reported on seeds 10 to 14.

Scores of single models are kept in --results, so that a stopped study goes on.
"""

import argparse
import functools
import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grouped_folds import FOLDS, classifier_scores, parsed, read_features
from scipy.special import logit

from violence_detection.datasets.splitting import folds
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import intervals
from violence_detection.models import linear_baseline
from violence_detection.system import devices

_TINY = 1e-6  # probabilities are kept this far from 0 and 1, for their logit
_FALSE_ALARMS = 0.1  # at which recall is reported
_RESAMPLES = 2000


@dataclass(frozen=True)
class Scores:
    """Logits of a model, or the mean of several: of each seed, at home and elsewhere.

    Attributes:
        home: Of the held-out clips at home, float (seeds, N).
        away: Of the clips elsewhere, float (seeds, M).
    """

    home: np.ndarray
    away: np.ndarray


@dataclass(frozen=True)
class Space:
    """The clips of a feature space at home and elsewhere, in the order of their paths."""

    name: str
    home: FeatureDataset
    away: FeatureDataset
    classes: list[str]

    @property
    def all(self) -> FeatureDataset:
        """The clips at home, then those elsewhere."""
        return FeatureDataset(
            np.concatenate([self.home.features[:], self.away.features[:]]),
            np.concatenate([self.home.labels, self.away.labels]),
            (*self.home.entries, *self.away.entries),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home")
    parser.add_argument("away")
    parser.add_argument("--spaces", nargs="*", help="parts of the names of feature spaces")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--method", choices=("linear", "classifier"), default="linear")
    parser.add_argument("--strength", type=float, default=1.0, help="C of the linear method")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train settings")
    parser.add_argument(
        "--joined", action="store_true", help="models on features side by side, too"
    )
    parser.add_argument("--most", type=int, default=3, help="spaces in a combination")
    parser.add_argument("--results", default="other_cameras_scores", help="folder of the scores")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    spaces = open_spaces(Path(arguments.home), Path(arguments.away), arguments.spaces)
    settings = {
        name: parsed(value) for name, value in (item.split("=", 1) for item in arguments.set)
    }
    study = functools.partial(
        scores_of_space,
        seeds=arguments.seeds,
        method=arguments.method,
        strength=arguments.strength,
        settings=settings,
        folder=Path(arguments.results),
    )
    scores = {space.name: study(space) for space in spaces}
    rows = {}
    for count in range(1, arguments.most + 1):
        for chosen in itertools.combinations(spaces, count):
            names = [space.name for space in chosen]
            rows[" + ".join(names)] = averaged([scores[name] for name in names])
            if arguments.joined and count > 1:
                rows[" , ".join(names)] = study(side_by_side(chosen))
    report(rows, spaces[0])


def open_spaces(home: Path, away: Path, asked: Sequence[str] | None) -> list[Space]:
    """The feature spaces that both datasets have, of the same clips each."""
    by_fingerprint = [
        {
            cache.space().fingerprint: cache
            for path in sorted(folder.glob("*/extraction.json"))
            for cache in [FeatureCache.open(path.parent)]
            if not cache.space().parts
        }
        for folder in (home, away)
    ]
    spaces = []
    for fingerprint in by_fingerprint[0].keys() & by_fingerprint[1].keys():
        name = by_fingerprint[0][fingerprint].space().name
        if asked and not any(word in name for word in asked):
            continue
        (at_home, classes), (elsewhere, _) = (
            read_features(str(caches[fingerprint].dir), "none") for caches in by_fingerprint
        )
        spaces.append(Space(name, at_home, elsewhere, classes))
    if not spaces:
        raise SystemExit(f"{home} and {away} have no feature space in common")
    return sorted(spaces, key=lambda space: space.name)


def side_by_side(spaces: Sequence[Space]) -> Space:
    """The features of several spaces as one."""

    def joined(parts: Sequence[FeatureDataset]) -> FeatureDataset:
        paths = {tuple(entry.path for entry in part.entries) for part in parts}
        if len(paths) > 1:
            raise SystemExit("The spaces must hold the same clips")
        features = np.concatenate([part.features[:] for part in parts], axis=-1)
        return FeatureDataset(features, parts[0].labels, parts[0].entries)

    return Space(
        " , ".join(space.name for space in spaces),
        joined([space.home for space in spaces]),
        joined([space.away for space in spaces]),
        spaces[0].classes,
    )


def scores_of_space(
    space: Space,
    *,
    seeds: Sequence[int],
    method: str,
    strength: float,
    settings: dict,
    folder: Path,
) -> Scores:
    """Trains on a space, or reads what an earlier start has trained."""
    folder.mkdir(parents=True, exist_ok=True)
    home, away = [], []
    for seed in seeds:
        asked = json.dumps([space.name, method, strength, settings, seed], sort_keys=True)
        path = folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.npz"
        if not path.is_file():
            of_home, of_away = trained_scores(space, seed, method, strength, settings)
            np.savez(path, home=of_home, away=of_away, asked=asked)
        with np.load(path) as kept:
            home.append(kept["home"])
            away.append(kept["away"])
        print(f"{space.name} seed {seed}", flush=True)
    return Scores(np.array(home), np.array(away))


def trained_scores(
    space: Space, seed: int, method: str, strength: float, settings: dict
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of each clip at home by a model of other recordings, and of those elsewhere."""
    score: Callable = functools.partial(linear_scores, strength=strength)
    if method == "classifier":
        score = functools.partial(
            classifier_scores, classes=space.classes, settings=settings, last=True
        )
    clips, count = space.all, len(space.home)
    home = np.zeros(count)
    for test in folds.draw_folds(space.home.labels, space.home.groups, FOLDS, seed=seed):
        train = np.setdiff1d(np.arange(count), test)
        home[test] = score(clips, train, test, seed)
    away = score(clips, np.arange(count), np.arange(count, len(clips)), seed)
    return tuple(logit(np.clip(part, _TINY, 1 - _TINY)) for part in (home, away))


def linear_scores(
    clips: FeatureDataset, train: np.ndarray, test: np.ndarray, seed: int, *, strength: float
) -> np.ndarray:
    """The linear baseline with another strength of regularisation."""
    from violence_detection.models.heads._layers import statistics_of

    pooled = statistics_of(clips.features[:])
    fit = linear_baseline.fit_logistic_regression(pooled[train], clips.labels[train] > 0)
    if strength != 1.0:
        fit.set_params(logisticregression__C=strength).fit(pooled[train], clips.labels[train] > 0)
    return fit.predict_proba(pooled[test])[:, 1]


def averaged(scores: Sequence[Scores]) -> Scores:
    """The means of the logits of several models."""
    return Scores(
        np.mean([part.home for part in scores], axis=0),
        np.mean([part.away for part in scores], axis=0),
    )


def report(rows: dict[str, Scores], space: Space) -> None:
    """Prints a table; differences are to the first row, paired over the recordings elsewhere."""
    first = next(iter(rows.values()))
    print(
        "\n| | home accuracy (sd) / AUC | elsewhere accuracy / AUC | false alarms | recall at 10% |"
    )
    print("|---|---|---|---|---|")
    for name, scores in rows.items():
        print(f"| {name} | {home_text(scores, space)} | {away_text(scores, first, space)} |")


def home_text(scores: Scores, space: Space) -> str:
    violent = space.home.labels > 0
    accuracies = ((scores.home >= 0) == violent).mean(1)
    areas = [auc(violent, row) for row in scores.home]
    return f"{accuracies.mean():.3f} ({accuracies.std():.3f}) / {np.mean(areas):.3f}"


def away_text(scores: Scores, first: Scores, space: Space) -> str:
    violent = space.away.labels > 0
    mean, before = scores.away.mean(0), first.away.mean(0)
    cut = np.quantile(mean[~violent], 1 - _FALSE_ALARMS)
    text = f"{((mean >= 0) == violent).mean():.3f} / {auc(violent, mean):.3f}"
    if scores is not first:
        old, new = (intervals.weighted_auc(violent, row) for row in (before, mean))
        recording = np.unique(space.away.groups, return_inverse=True)[1]
        low, high = intervals.bootstrap_over_recordings(
            recording, lambda counts: new(counts) - old(counts), resamples=_RESAMPLES, seed=42
        )
        text += f" ({auc(violent, mean) - auc(violent, before):+.3f}: {low:+.3f} to {high:+.3f})"
    return f"{text} | {(mean[~violent] >= 0).mean():.2f} | {(mean[violent] > cut).mean():.2f}"


def auc(violent: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(violent, scores))


if __name__ == "__main__":
    main()
