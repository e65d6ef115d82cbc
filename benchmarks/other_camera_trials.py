"""Trials of ways to be right on cameras that were not met, beside the baseline, here and there.

    python benchmarks/other_camera_trials.py --space motion HOME AWAY [--space flow HOME AWAY ...]

HOME and AWAY are folders of features of one feature space. The first space is the baseline's; each
other one is tried alone, its logit averaged with the baseline's (late fusion), and side by side.
`--trials` tries other classifiers on the first space. As in other_cameras.py: grouped 5-fold at
home, one training on all of home for the clips elsewhere, of which nothing is learned; but the
differences have intervals over recordings at home, too. `--extra NAME FILE` is a table of numbers a
clip in place of features (npz: `home` (N, D), `away` (M, D), in the order of the paths), of
`clip_numbers.py`; `--statistics NAME FILE` one of statistics over time, of `clip_inputs.py`.

Scores of single trainings are kept in --results, so that a stopped study goes on.
"""

import argparse
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from grouped_folds import FOLDS, read_features
from kept_scores import KeptScores
from other_cameras import Scores, Space, auc, averaged, side_by_side
from scipy.special import logit

from violence_detection.datasets.splitting import folds
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import intervals
from violence_detection.system import devices

_TINY = 1e-6
_FALSE_ALARMS = 0.1  # at which recall is reported
_STEPS, _RATE, _DECAY = 200, 1e-3, 1e-2  # of full-batch Adam in the networks
_UNITS, _DROPOUT = 64, 0.5

# The scores (m,) of test clips: of statistics (N, D), labels (N,) bool, groups (N,), rows, a seed.
Method = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--space", nargs=3, action="append", required=True, metavar=("NAME", "HOME", "AWAY")
    )
    parser.add_argument("--extra", nargs=2, action="append", default=[], metavar=("NAME", "FILE"))
    parser.add_argument(
        "--statistics", nargs=2, action="append", default=[], metavar=("NAME", "FILE")
    )
    parser.add_argument("--trials", nargs="*", default=[], choices=sorted(METHODS))
    parser.add_argument(
        "--together", nargs="+", action="append", default=[], metavar="ROW", help="rows to average"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--results", help="folder of the scores")
    arguments = parser.parse_args()
    devices.import_tensorflow()
    logging.disable(logging.WARNING)
    spaces = [open_space(*space) for space in arguments.space]
    study = functools.partial(scores_of, seeds=arguments.seeds, folder=arguments.results)
    base, *others = spaces
    rows = {base.name: study(base, "linear")}
    for space in others:
        alone = study(space, "linear")
        rows[space.name] = alone
        rows[f"{base.name} + {space.name}"] = averaged([rows[base.name], alone])
        rows[f"{base.name} , {space.name}"] = study(side_by_side([base, space]), "linear")
    for name, path in arguments.statistics:
        alone = scores_of_table(base, name, Path(path), arguments.seeds, strength=1.0)
        rows[name] = alone
        for partner in [space.name for space in spaces]:
            rows[f"{partner} + {name}"] = averaged([rows[partner], alone])
    for name, path in arguments.extra:
        alone = scores_of_table(base, name, Path(path), arguments.seeds)
        rows[name] = alone
        for partner in [row for row in rows if "," not in row and name not in row]:
            rows[f"{partner} + {name}"] = averaged([rows[partner], alone])
    for names in arguments.together:
        rows[" + ".join(names)] = averaged([rows[name] for name in names])
    for method in arguments.trials:
        rows[f"{base.name}: {method}"] = study(base, method)
    report(rows, base, arguments.resamples)


def open_space(name: str, home: str, away: str) -> Space:
    spaces = [FeatureCache.open(folder).space().fingerprint for folder in (home, away)]
    if spaces[0] != spaces[1]:
        raise SystemExit(f"{home} and {away} are not of one feature space")
    (at_home, classes), (elsewhere, _) = (read_features(folder, "none") for folder in (home, away))
    return Space(name, at_home, elsewhere, classes)


# -- scores


def scores_of(space: Space, method: str, *, seeds: Sequence[int], folder: str | None) -> Scores:
    """The logits of a method on a space."""
    clips, count = space.all, len(space.home)
    kept = KeptScores(folder, [space.name, method, _STEPS, _RATE, _DECAY, _UNITS])
    pooled: list[np.ndarray] = []

    def make(seed: int) -> dict[str, np.ndarray]:
        from violence_detection.models.heads._layers import statistics_of

        if not pooled:
            pooled.append(statistics_of(clips.features[:]))
        score = functools.partial(METHODS[method], pooled[0], clips.labels > 0, clips.groups)
        return home_and_away(space, score, count, seed)

    parts = [
        kept.arrays(f"{space.name} {method} {seed}", functools.partial(make, seed))
        for seed in seeds
    ]
    print(f"{space.name}: {method}", flush=True)
    return Scores(*(np.array([part[where] for part in parts]) for where in ("home", "away")))


def home_and_away(
    space: Space, score: Callable[..., np.ndarray], count: int, seed: int
) -> dict[str, np.ndarray]:
    home = np.zeros(count)
    for test in folds.draw_folds(space.home.labels, space.home.groups, FOLDS, seed=seed):
        home[test] = score(np.setdiff1d(np.arange(count), test), test, seed)
    away = score(np.arange(count), np.arange(count, count + len(space.away)), seed)
    return {"home": home, "away": away}


def scores_of_table(
    space: Space, name: str, path: Path, seeds: Sequence[int], *, strength: float = 0.1
) -> Scores:
    """The logits of a logistic regression (C = `strength`) on numbers of each clip."""
    with np.load(path) as table:
        values = np.concatenate([table["home"], table["away"]])
    clips, count = space.all, len(space.home)
    score = functools.partial(
        table_scores, values, clips.labels > 0, clips.groups, strength=strength
    )
    parts = [home_and_away(space, score, count, seed) for seed in seeds]
    print(name, flush=True)
    return Scores(*(np.array([part[where] for part in parts]) for where in ("home", "away")))


def table_scores(values, violent, groups, train, test, seed, *, strength: float):
    return regression_scores(spanned(values, train), violent, train, test, strength=strength)


def logits(probability: np.ndarray) -> np.ndarray:
    return logit(np.clip(probability, _TINY, 1 - _TINY))


# -- methods


def linear_scores(pooled, violent, groups, train, test, seed) -> np.ndarray:
    """The linear baseline."""
    return regression_scores(spanned(pooled, train), violent, train, test)


def regression_scores(features, violent, train, test, *, strength: float = 1.0) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=strength, max_iter=1000).fit(features[train], violent[train])
    return logits(fit.predict_proba(features[test])[:, 1])


def spanned(pooled: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Statistics (N, D), standardised by training clips (n,), along the directions that these span,
    float64 (N, n): what is left out changes no linear model with an L2 penalty, and n is small."""
    mean, deviation = pooled[train].mean(0), pooled[train].std(0)
    standard = ((pooled - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float64)
    values, vectors = np.linalg.eigh(standard[train] @ standard[train].T)
    kept = values > 1e-9 * values[-1]
    axes = standard[train].T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return standard @ axes


def mixed_scores(pooled, violent, groups, train, test, seed, *, alpha: float, across: bool):
    """The linear baseline on its clips and, for each, three mixtures of it with another clip of its
    class; of another recording with `across`, else of any."""
    rng = np.random.default_rng(seed)
    pooled = spanned(pooled, train)
    mixed, labels = [pooled[train]], [violent[train]]
    for _ in range(3):
        partner = np.array([_partner(row, train, violent, groups, across, rng) for row in train])
        share = rng.beta(alpha, alpha, len(train))[:, None]
        mixed.append(share * pooled[train] + (1 - share) * pooled[partner])
        labels.append(violent[train])
    features, labels = np.concatenate(mixed), np.concatenate(labels)
    everything = np.concatenate([features, pooled[test]])
    rows = np.arange(len(everything))
    labels = np.concatenate([labels, violent[test]])
    return regression_scores(everything, labels, rows[: len(features)], rows[len(features) :])


def _partner(row, train, violent, groups, across, rng) -> int:
    same = train[violent[train] == violent[row]]
    if across and (apart := same[groups[same] != groups[row]]).size:
        same = apart
    return int(rng.choice(same))


def network_scores(
    pooled,
    violent,
    groups,
    train,
    test,
    seed,
    *,
    units: int = _UNITS,
    reversal: float = 0.0,
    by_class: bool = False,
    spread: float = 0.0,
) -> np.ndarray:
    """A network on the statistics: one hidden layer (`units`, 0 for none), a logit of violence.

    Args:
        reversal: Weight of a classifier of the recording behind a reversed gradient (Ganin et al.,
            2016): the hidden layer is to forget the recording.
        by_class: That classifier sees the class as well, so that it need not forget that.
        spread: Weight of the variance of the loss over recordings (V-REx; Krueger et al., 2021).
    """
    import keras
    import tensorflow as tf
    from keras import ops

    keras.utils.set_random_seed(seed)
    standard = spanned(pooled, train)
    standard = (standard / np.sqrt(np.square(standard[train]).mean())).astype(np.float32)
    x, y = ops.convert_to_tensor(standard[train]), violent[train].astype(np.float32)[:, None]
    recording = np.unique(groups[train], return_inverse=True)[1]
    count = int(recording.max()) + 1
    weight = (1 / np.sqrt(np.bincount(recording)))[recording].astype(np.float32)
    weight /= weight.mean()
    member = np.eye(count, dtype=np.float32)[recording]
    member /= member.sum(0)

    hidden = keras.layers.Dense(units, activation="relu") if units else lambda value: value
    drop, answer = keras.layers.Dropout(_DROPOUT), keras.layers.Dense(1)
    critic = keras.Sequential(
        [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(count)]
    )
    optimizer = keras.optimizers.AdamW(_RATE, weight_decay=_DECAY)

    @tf.function
    def step(strength):
        with tf.GradientTape() as tape:
            encoded = hidden(drop(x, training=True))
            losses = keras.losses.binary_crossentropy(y, answer(encoded), from_logits=True)
            loss = ops.mean(losses * weight)
            if spread:
                loss += spread * ops.var(ops.matmul(ops.transpose(member), losses[:, None]))
            if reversal:
                # The value of `encoded`; its gradient, times -strength.
                reverted = ops.stop_gradient((1 + strength) * encoded) - strength * encoded
                seen = ops.concatenate([reverted, y], -1) if by_class else reverted
                of_recording = keras.losses.sparse_categorical_crossentropy(
                    recording, critic(seen), from_logits=True
                )
                loss += ops.mean(of_recording * weight)
            variables = tape.watched_variables()
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for layer in (hidden, answer, critic):
        if isinstance(layer, keras.layers.Layer):
            width = standard.shape[1] if layer is hidden or not units else units
            layer.build((None, width + (by_class if layer is critic else 0)))
    variables = [*answer.trainable_variables]
    variables += hidden.trainable_variables if units else []
    variables += critic.trainable_variables if reversal else []
    optimizer.build(variables)
    for number in range(_STEPS):  # the strength grows as in the paper
        step(tf.constant(reversal * (2 / (1 + np.exp(-10 * number / _STEPS)) - 1), tf.float32))
    return ops.convert_to_numpy(answer(hidden(ops.convert_to_tensor(standard[test]))))[:, 0]


METHODS: dict[str, Method] = {
    "linear": linear_scores,
    "mixed": functools.partial(mixed_scores, alpha=1.0, across=False),
    "mixed across recordings": functools.partial(mixed_scores, alpha=1.0, across=True),
    "logit": functools.partial(network_scores, units=0),
    "logit, spread 1": functools.partial(network_scores, units=0, spread=1.0),
    "logit, spread 10": functools.partial(network_scores, units=0, spread=10.0),
    "network": network_scores,
    "reversal 0.1": functools.partial(network_scores, reversal=0.1),
    "reversal 1": functools.partial(network_scores, reversal=1.0),
    "reversal by class 0.3": functools.partial(network_scores, reversal=0.3, by_class=True),
    "reversal by class 1": functools.partial(network_scores, reversal=1.0, by_class=True),
}


# -- the table


def report(rows: dict[str, Scores], space: Space, resamples: int) -> None:
    """Prints a table; differences are to the first row, paired over recordings."""
    first = next(iter(rows.values()))
    print(
        "\n| | home accuracy (sd) / AUC | difference | elsewhere accuracy / AUC | difference |"
        " flagged | recall at 10% |\n|---|---|---|---|---|---|---|"
    )
    for name, scores in rows.items():
        violent, away = space.home.labels > 0, space.away.labels > 0
        accuracies = ((scores.home >= 0) == violent).mean(1)
        area = np.mean([auc(violent, row) for row in scores.home])
        mean = scores.away.mean(0)
        cut = np.quantile(mean[~away], 1 - _FALSE_ALARMS)
        differences = ["", ""]
        if scores is not first:
            differences = [
                difference(violent, first.home, scores.home, space.home.groups, resamples),
                difference(
                    away, first.away.mean(0)[None], mean[None], space.away.groups, resamples
                ),
            ]
        print(
            f"| {name} | {accuracies.mean():.3f} ({accuracies.std():.3f}) / {area:.3f} | "
            f"{differences[0]} | {((mean >= 0) == away).mean():.3f} / {auc(away, mean):.3f} | "
            f"{differences[1]} | {(mean[~away] >= 0).mean():.0%} | "
            f"{(mean[away] > cut).mean():.2f} |"
        )


def difference(
    violent: np.ndarray, before: np.ndarray, after: np.ndarray, groups: np.ndarray, resamples: int
) -> str:
    """Differences of accuracy, in points, and of AUC, between two methods' logits (seeds, N)."""
    recording = np.unique(groups, return_inverse=True)[1]
    right = [((part >= 0) == violent).mean(0) for part in (before, after)]
    gain = right[1] - right[0]
    areas = [[intervals.weighted_auc(violent, row) for row in part] for part in (before, after)]

    def of_accuracy(counts: np.ndarray) -> np.ndarray:
        return 100 * (counts @ gain) / counts.sum(1)

    def of_area(counts: np.ndarray) -> np.ndarray:
        old, new = (np.mean([area(counts) for area in part], axis=0) for part in areas)
        return new - old

    whole = np.ones((1, len(violent)), int)
    texts = []
    for statistic, form in ((of_accuracy, "{:+.1f}"), (of_area, "{:+.3f}")):
        ends = intervals.bootstrap_over_recordings(
            recording, statistic, resamples=resamples, seed=42
        )
        value, low, high = (form.format(x) for x in (statistic(whole)[0], *ends))
        texts.append(f"{value} ({low} to {high})")
    return " / ".join(texts)


if __name__ == "__main__":
    main()
