"""The stream and the regularisation of the default, measured on two datasets.

    python benchmarks/default_stream.py feature_cache/home feature_cache/elsewhere

Both are folders of datasets in a feature cache, with the same feature spaces (`extract-features`):
of `motion(focus=true)` and of `rgb(focus=true)`, by one backbone. A candidate is one stream, both
joined, or both averaged (the mean of the logits of one model a stream), with settings of the
training. What trains is the logit of the statistics over time as the default head has it, with the
loss, weights and schedule of `train`, in NumPy: that takes a second, and at the default rate the
logits of the whole head are nearly these. The rule of choice is in docs/experiments.md.

Settings are chosen on fold seeds 0 to 2 (the default) and reported on 10 to 14. Elsewhere there are
two figures: in folds over its recordings, learned from home and the other folds; and learned from
home alone. Differences are to one stream of motion with the settings of today, and in the last
column to the same streams with these, paired over recordings. Scores are kept in --results, so that
a stopped study goes on.
"""

import argparse
import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kept_scores import KeptScores
from other_cameras import Space, auc, open_spaces
from scipy.special import expit

from violence_detection.datasets.splitting import folds
from violence_detection.metrics import paired_tests
from violence_detection.system import devices
from violence_detection.training.optimisation.learning_rate_schedules import schedule_over_epochs

FOLDS = 5
EPOCHS, BATCH = 60, 32
STREAMS = {"motion": "-motion-focus-true-", "colour": "-rgb-focus-true-"}
_GAMMA = 2.0  # of the focal loss
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # of AdamW


@dataclass(frozen=True)
class Setting:
    """How a logit of the statistics is trained.

    Attributes:
        decay: AdamW's decay of its weights.
        l2: Factor of the sum of the squared weights in the loss.
        dropout: Fraction of the statistics dropped.
        rate: Highest learning rate.
        every: 1 for all frames, 2 for every second one.
    """

    decay: float = 0.01
    l2: float = 0.0
    dropout: float = 0.5
    rate: float = 2e-4
    every: int = 1

    @property
    def name(self) -> str:
        """The values that differ from those of today."""
        today = dataclasses.asdict(Setting())
        changed = [f"{k} {v:g}" for k, v in dataclasses.asdict(self).items() if v != today[k]]
        return ", ".join(changed) or "as today"


SETTINGS = (
    Setting(),
    *(Setting(decay=value) for value in (10.0, 30.0, 100.0, 300.0)),
    *(Setting(l2=value) for value in (3e-4, 1e-3, 3e-3)),
    *(Setting(dropout=value) for value in (0.2, 0.8, 0.9)),
    *(Setting(rate=value) for value in (1e-4, 5e-4, 1e-3)),
    Setting(every=2),
)


@dataclass(frozen=True)
class Clips:
    """The clips of both datasets, those at home first.

    Attributes:
        streams: Features of each stream, float16 (N + M, T, D).
        violent: bool (N + M,).
        groups: Recording of each clip, (N + M,).
        home: N.
    """

    streams: dict[str, np.ndarray]
    violent: np.ndarray
    groups: np.ndarray
    home: int


@dataclass(frozen=True)
class Scores:
    """Logits of a candidate, one row a seed.

    Attributes:
        home: Of the held-out clips at home, (S, N).
        folds: Of the clips elsewhere, learned from home and their other folds, (S, M).
        alone: The same, learned from home alone, (S, M).
    """

    home: np.ndarray
    folds: np.ndarray
    alone: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home")
    parser.add_argument("away")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="*", help="names of settings as printed; default: all")
    parser.add_argument("--results", default="default_stream_scores", help="folder of the scores")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    clips = read_clips(Path(arguments.home), Path(arguments.away), arguments.backbone)
    kept = KeptScores(arguments.results, [arguments.home, arguments.away, arguments.backbone])
    settings = [s for s in SETTINGS if not arguments.settings or s.name in arguments.settings]
    rows = {}
    for setting in settings:
        of = {
            streams: scores_of(clips, streams, setting, arguments.seeds, kept)
            for streams in (("motion",), ("colour",), ("colour", "motion"))
        }
        rows["motion", setting.name] = of["motion",]
        rows["colour", setting.name] = of["colour",]
        rows["joined", setting.name] = of["colour", "motion"]
        rows["averaged", setting.name] = mean_of(of["colour",], of["motion",])
    report(rows, clips)


def read_clips(home: Path, away: Path, backbone: str) -> Clips:
    spaces = {
        name: open_spaces(home, away, [f"{backbone}{mark}"])[0] for name, mark in STREAMS.items()
    }
    first: Space = next(iter(spaces.values()))
    entries = (*first.home.entries, *first.away.entries)
    for space in spaces.values():
        if [e.path for e in (*space.home.entries, *space.away.entries)] != [
            e.path for e in entries
        ]:
            raise SystemExit("The spaces must hold the same clips")
    return Clips(
        {name: space.all.features for name, space in spaces.items()},
        np.concatenate([first.home.labels, first.away.labels]) > 0,
        np.array([entry.group for entry in entries], dtype=object),
        len(first.home),
    )


def scores_of(
    clips: Clips, streams: tuple[str, ...], setting: Setting, seeds: Sequence[int], kept: KeptScores
) -> Scores:
    """The logits of one model on some streams, or those that an earlier start has kept."""
    inputs = functools.cache(lambda: statistics(clips, streams, setting.every))
    by_seed = [
        kept.arrays(
            f"{' '.join(streams)}: {setting.name}, seed {seed}",
            lambda seed=seed: scores_of_seed(clips, inputs(), setting, seed),
        )
        for seed in seeds
    ]
    print(f"{' '.join(streams)}: {setting.name}", flush=True)
    return Scores(
        *(np.stack([arrays[name] for arrays in by_seed]) for name in ("home", "folds", "alone"))
    )


def scores_of_seed(
    clips: Clips, inputs: np.ndarray, setting: Setting, seed: int
) -> dict[str, np.ndarray]:
    count = clips.home
    home, away = np.arange(count), np.arange(count, len(inputs))

    def learned(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        labels = clips.violent[train], clips.groups[train]
        return logits_of(inputs[test], inputs[train], *labels, setting, seed)

    scores = {"home": np.zeros(count), "folds": np.zeros(len(away))}
    for name, rows, further in (("home", home, home[:0]), ("folds", away, home)):
        for fold in folds.draw_folds(clips.violent[rows], clips.groups[rows], FOLDS, seed=seed):
            train = np.concatenate([further, np.delete(rows, fold)])
            scores[name][fold] = learned(train, rows[fold])
    return scores | {"alone": learned(home, away)}


def mean_of(first: Scores, second: Scores) -> Scores:
    names = [field.name for field in dataclasses.fields(Scores)]
    return Scores(*((getattr(first, name) + getattr(second, name)) / 2 for name in names))


# -- the logit of the statistics, trained as `train` does


def statistics(clips: Clips, streams: Sequence[str], every: int) -> np.ndarray:
    """The statistics of the features of some streams, float32 (N + M, F)."""
    return np.concatenate([pooled(clips.streams[name][:, ::every]) for name in streams], axis=1)


def pooled(features: np.ndarray) -> np.ndarray:
    """Mean, deviation, and mean absolute first and second difference over time, float32 (N, F)."""
    from violence_detection.models.heads._layers import TemporalStatistics

    pool = TemporalStatistics(second_difference=True, dtype="float32")
    return pool(features.astype(np.float32)).numpy()


def logits_of(
    asked: np.ndarray,
    learned: np.ndarray,
    violent: np.ndarray,
    groups: np.ndarray,
    setting: Setting,
    seed: int,
) -> np.ndarray:
    """Logits of some clips, float (R,), by a model of others.

    Args:
        asked, learned: Statistics (R, F), and those that are learned from, (N, F).
        violent, groups: Of these, (N,).
    """
    from violence_detection.models.heads._layers import floored_variance

    mean = learned.mean(0)
    deviation = np.sqrt(floored_variance(learned.var(0)))
    weights = weights_of(violent, groups)
    kernel, bias = fit((learned - mean) / deviation, violent, weights, setting, seed)
    return (asked - mean) / deviation @ kernel + bias


def weights_of(violent: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weight of each clip: 1/sqrt(n) for a recording of n clips, and both classes alike."""
    _, recording, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = counts[recording] ** -0.5
    for of_class in (violent, ~violent):
        weights[of_class] *= 0.5 * len(violent) / weights[of_class].sum()
    return weights


def fit(
    rows: np.ndarray, violent: np.ndarray, weights: np.ndarray, setting: Setting, seed: int
) -> tuple[np.ndarray, float]:
    """Weights (F,) and bias of a logit: AdamW on the focal loss, gradients of norm 1 at most."""
    count, size = rows.shape
    steps = -(-count // BATCH)
    rate_at = schedule_over_epochs(
        "warmup_cosine",
        peak=setting.rate,
        warmup_epochs=None,
        epochs=EPOCHS,
        steps_per_epoch=steps,
    )
    rng = np.random.default_rng(seed)
    values, first, second = (np.zeros(size + 1, np.float32) for _ in range(3))
    for step in range(EPOCHS * steps):
        if step % steps == 0:
            order = rng.permutation(count)
        batch = order[step % steps * BATCH :][:BATCH]
        kept = rng.integers(256, size=(len(batch), size), dtype=np.uint8) >= 256 * setting.dropout
        inputs = rows[batch] * kept
        logits = inputs @ values[:-1] / (1 - setting.dropout) + values[-1]
        slope = np.float32(weights[batch] * focal_slope(logits, violent[batch]) / len(batch))
        gradient = np.append(slope @ inputs / np.float32(1 - setting.dropout), slope.sum())
        gradient[:-1] += 2 * setting.l2 * values[:-1]
        gradient /= max(1.0, float(np.linalg.norm(gradient)))
        rate = rate_at(step + 0.5)
        values[:-1] -= rate * setting.decay * values[:-1]
        first += (1 - _BETA_1) * (gradient - first)
        second += (1 - _BETA_2) * (gradient**2 - second)
        scale = rate * np.sqrt(1 - _BETA_2 ** (step + 1)) / (1 - _BETA_1 ** (step + 1))
        values -= np.float32(scale) * first / (np.sqrt(second) + _EPSILON)
    return values[:-1], float(values[-1])


def focal_slope(logits: np.ndarray, violent: np.ndarray) -> np.ndarray:
    """The derivative of half the focal loss by the logit, (B,)."""
    sign = np.where(violent, 1.0, -1.0)
    right = expit(sign * logits)
    log_right = -np.logaddexp(0, -sign * logits)
    wrong = 1 - right
    slope = _GAMMA * right * wrong**_GAMMA * log_right - wrong ** (_GAMMA + 1)
    return 0.5 * sign * slope


# -- the table


def report(rows: dict[tuple[str, str], Scores], clips: Clips) -> None:
    """Prints a table, and the differences to the first row: motion as today."""
    home, away = slice(clips.home), slice(clips.home, None)
    first = next(iter(rows.values()))
    print(
        "\n| streams | settings | home: accuracy (sd) / AUC | elsewhere, folds: accuracy / AUC "
        "(difference) | from home alone: accuracy / AUC (difference) | normal clips flagged | "
        "folds: AUC to today's |"
    )
    print("|---|---|---|---|---|---|---|")
    today = {streams: scores for (streams, _), scores in reversed(rows.items())}
    for (streams, setting), scores in rows.items():
        accuracies = ((scores.home >= 0) == clips.violent[home]).mean(1)
        areas = [auc(clips.violent[home], row) for row in scores.home]
        cells = [
            f"{away_text(part, clips.violent[away])} ({difference_text(part, before, clips)})"
            for part, before in ((scores.folds, first.folds), (scores.alone, first.alone))
        ]
        flagged = (scores.alone[:, ~clips.violent[away]] >= 0).mean()
        print(
            f"| {streams} | {setting} | {accuracies.mean():.3f} ({accuracies.std():.3f}) / "
            f"{np.mean(areas):.3f} | {' | '.join(cells)} | {flagged:.0%} | "
            f"{difference_text(scores.folds, today[streams].folds, clips)} |"
        )


def away_text(scores: np.ndarray, violent: np.ndarray) -> str:
    accuracy = ((scores >= 0) == violent).mean()
    return f"{accuracy:.3f} / {np.mean([auc(violent, row) for row in scores]):.3f}"


def difference_text(scores: np.ndarray, before: np.ndarray, clips: Clips) -> str:
    if scores is before:
        return "-"
    away = slice(clips.home, None)
    difference = paired_tests.auc_difference(
        clips.violent[away], expit(before), expit(scores), clips.groups[away]
    )
    low, high = difference.auc_ci
    return f"{difference.auc_difference:+.3f}: {low:+.3f} to {high:+.3f}"


if __name__ == "__main__":
    main()
