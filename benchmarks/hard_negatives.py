"""Normal clips of other scenes in the training: the surest false alarms, as many drawn ones, all.

    python benchmarks/hard_negatives.py HOME AWAY [HOME AWAY ...] --results scores

HOME and AWAY are folders of features of one feature space each; of several spaces the logits are
averaged. Folds over the recordings AWAY: a model learns from all of HOME and from normal clips AWAY
of the other folds, which stand for quiet footage, and is scored on the fold. Compared are no such
clips; the `--counts` clips that a model of HOME takes most surely for violence, as `mine` chooses
them; as many drawn at random; all; and all with the violent clips of these folds, which the other
variants never learn from. At home each model is scored on folds over the recordings at home, with
the clips of AWAY added.

With --same-cameras the quiet footage is of the cameras that are watched: of recordings with several
normal clips one half is learned from (every second clip), the other scored, and in turn. Clips of a
recording may be seconds apart, so this is the best case.
"""

import argparse
import functools
import logging
from collections.abc import Sequence

import numpy as np
from grouped_folds import FOLDS
from kept_scores import KeptScores
from other_camera_trials import difference, open_space, regression_scores, spanned
from other_cameras import Space, auc

from violence_detection.datasets.splitting import folds
from violence_detection.metrics import intervals
from violence_detection.metrics.non_maximum_suppression import suppress_non_maxima
from violence_detection.system import devices

_RANDOM_DRAWS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spaces", nargs="+", metavar="HOME AWAY")
    parser.add_argument("--counts", type=int, nargs="+", default=[10])
    parser.add_argument("--per-recording", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--same-cameras", action="store_true")
    parser.add_argument("--strength", type=float, default=1.0, help="C of the regression")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--results", help="folder of the scores")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    pairs = zip(arguments.spaces[::2], arguments.spaces[1::2], strict=True)
    spaces = [open_space(str(number), *pair) for number, pair in enumerate(pairs)]
    if arguments.same_cameras:
        spaces = [of_watched_cameras(space) for space in spaces]
    settings = [arguments.spaces, arguments.strength]
    kept = KeptScores(arguments.results, settings + ["same"] * arguments.same_cameras)
    variants = ["none"]
    variants += [f"{kind} {count}" for count in arguments.counts for kind in ("surest", "drawn")]
    variants += ["all"] + ["all and violent"] * (not arguments.same_cameras)
    rows: dict[str, dict[str, np.ndarray]] = {}
    for variant in variants:
        parts = []
        for seed in arguments.seeds:
            make = functools.partial(
                scores_of,
                spaces,
                variant,
                seed,
                arguments.per_recording,
                arguments.strength,
                arguments.same_cameras,
            )
            parts.append(kept.arrays(f"{variant} {seed} {arguments.per_recording}", make))
        rows[variant] = {
            where: np.concatenate([part[where] for part in parts]) for where in ("home", "away")
        }
        print(variant, [int(part["added"].mean()) for part in parts], flush=True)
    report(rows, spaces[0], arguments.resamples)


def scores_of(
    spaces: Sequence[Space],
    variant: str,
    seed: int,
    per_recording: int,
    strength: float,
    same_cameras: bool,
) -> dict[str, np.ndarray]:
    """The logits of all clips at home (draws, N) and elsewhere (draws, M), and the numbers of clips
    that were added."""
    from violence_detection.models.heads._layers import statistics_of

    tables = [statistics_of(space.all.features[:]) for space in spaces]
    clips, count = spaces[0].all, len(spaces[0].home)
    violent, groups = clips.labels > 0, clips.groups
    at_home, away = np.arange(count), np.arange(count, len(clips))

    def score(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        parts = []
        for table in tables:
            features = spanned(table, train)
            parts.append(regression_scores(features, violent, train, test, strength=strength))
        return np.mean(parts, axis=0)

    of_home = score(at_home, away)  # by a model that knows nothing of them
    draws = _RANDOM_DRAWS if variant.startswith("drawn") else 1
    rng = np.random.default_rng(seed)
    added: list[int] = []

    def extra(quiet: np.ndarray) -> np.ndarray:
        of_fights, quiet = quiet[violent[quiet]], quiet[~violent[quiet]]
        kind, _, number = variant.partition(" ")
        if number == "and violent":
            chosen = np.concatenate([quiet, of_fights])
        elif kind == "none":
            chosen = quiet[:0]
        elif kind == "all":
            chosen = quiet
        elif kind == "drawn":
            chosen = rng.choice(quiet, int(number), replace=False)
        else:
            sure = quiet[of_home[quiet - count] >= 0]
            spans = np.tile([0.0, 1.0], (len(sure), 1))
            chosen = sure[
                list(
                    suppress_non_maxima(
                        of_home[sure - count],
                        spans,
                        [str(row) for row in sure],
                        groups[sure].tolist(),
                        count=int(number),
                        per_recording=per_recording,
                        apart_s=0.0,
                    ).rows
                )
            ]
        added.append(len(chosen))
        return chosen

    home_scores, away_scores = np.zeros((draws, count)), np.zeros((draws, len(away)))
    for draw in range(draws):
        labels, recordings = clips.labels[away], groups[away]
        if same_cameras:
            half = halves(violent[away], recordings)
            for tested in (0, 1):
                train = np.concatenate([at_home, extra(away[half == 1 - tested])])
                scores = score(train, away)
                away_scores[draw] += np.where(half < 0, scores / 2, scores * (half == tested))
        else:
            for test in folds.draw_folds(labels, recordings, FOLDS, seed=seed):
                quiet = np.setdiff1d(away, away[test])
                train = np.concatenate([at_home, extra(quiet)])
                away_scores[draw, test] = score(train, away[test])
        for test in folds.draw_folds(clips.labels[at_home], groups[at_home], FOLDS, seed=seed):
            train = np.concatenate([np.setdiff1d(at_home, test), extra(away)])
            home_scores[draw, test] = score(train, test)
    return {"home": home_scores, "away": away_scores, "added": np.array(added)}


def halves(violent: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """0 and 1 in turn for the normal clips of each recording, -1 for violent ones, int (N,)."""
    half = np.full(len(groups), -1)
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & ~violent)
        half[rows] = np.arange(len(rows)) % 2
    return half


def of_watched_cameras(space: Space) -> Space:
    """The space with the violent clips elsewhere and the normal ones of recordings with several."""
    violent, groups = space.away.labels > 0, space.away.groups
    several = [
        violent[row] or sum((groups == groups[row]) & ~violent) > 1 for row in range(len(groups))
    ]
    return Space(space.name, space.home, space.away.take(np.flatnonzero(several)), space.classes)


def report(rows: dict[str, dict[str, np.ndarray]], space: Space, resamples: int) -> None:
    """Prints a table; differences are to the first row, paired over recordings."""
    first = next(iter(rows.values()))
    print(
        "\n| added | home accuracy / AUC | elsewhere accuracy / AUC | difference | flagged | "
        "difference, points | found | difference, points |\n|---|---|---|---|---|---|---|---|"
    )
    home, away = space.home.labels > 0, space.away.labels > 0
    for name, scores in rows.items():
        cells = [
            f"{((scores['home'] >= 0) == home).mean():.3f} / {_area(home, scores['home']):.3f}",
            f"{((scores['away'] >= 0) == away).mean():.3f} / {_area(away, scores['away']):.3f}",
            "" if scores is first else _difference(away, first, scores, space, resamples),
        ]
        for of_class in (~away, away):
            alarms = (scores["away"] >= 0).mean(0)
            before = (first["away"] >= 0).mean(0)
            cells.append(f"{alarms[of_class].mean():.1%}")
            gain, groups = (alarms - before)[of_class], space.away.groups[of_class]
            cells.append("" if scores is first else _points(gain, groups, resamples))
        print(f"| {name} | {' | '.join(cells)} |")


def _area(violent: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean([auc(violent, row) for row in scores]))


def _difference(violent, first, scores, space: Space, resamples: int) -> str:
    return difference(violent, first["away"], scores["away"], space.away.groups, resamples)


def _points(gain: np.ndarray, groups: np.ndarray, resamples: int) -> str:
    low, high = intervals.bootstrap_over_recordings(
        groups, lambda counts: 100 * (counts @ gain) / counts.sum(1), resamples=resamples, seed=42
    )
    return f"{100 * gain.mean():+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    main()
