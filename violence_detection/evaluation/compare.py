"""Two runs on the same videos: how much better the second is, and whether these can show it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.evaluation import evaluate, evaluation_set, leakage
from violence_detection.evaluation.config import CompareConfig, EvaluateConfig
from violence_detection.evaluation.leakage import Leaks
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import classification, delong, paired_tests
from violence_detection.models.run import Run
from violence_detection.reports import findings
from violence_detection.system import files
from violence_detection.units import counted

log = logging.getLogger(__name__)

_NAMED = 3  # videos that an error names


@dataclass(frozen=True)
class Predictions:
    """What a run says of its N videos.

    Attributes:
        probability: Of violence, float64 (N,).
        correct: bool (N,), at the run's own threshold.
    """

    probability: np.ndarray
    correct: np.ndarray

    def take(self, rows: Sequence[int]) -> Self:
        """Those of some videos, in this order."""
        return type(self)(self.probability[rows], self.correct[rows])


@dataclass(frozen=True)
class ComparedRun:
    """One of the two runs, the videos that it is judged on, and how."""

    run: Run
    cache: FeatureCache
    entries: list[ManifestEntry]
    config: EvaluateConfig

    @classmethod
    def of(cls, run_dir: str, features: str | None, config: CompareConfig) -> Self:
        run = Run.open(run_dir)
        cache = evaluation_set.open_features(run, features)
        asked = EvaluateConfig(
            split=config.split,
            features=features,
            bootstrap=config.bootstrap,
            seed=config.seed,
            pictures=config.pictures,
        )
        entries = evaluation_set.split_entries(run, cache, config.split)
        return cls(run, cache, entries, asked)

    @property
    def threshold(self) -> float:
        return self.run.record().threshold

    @property
    def grouped(self) -> bool:
        """Whether the recording of every video is known."""
        return dataset.has_all_recordings(self.cache)

    @property
    def operating_point(self) -> str:
        """What the threshold was to reach; a run of an older version does not say."""
        return self.run.record().operating_point

    def leaks(self) -> Leaks:
        """What of the videos the run has learned from."""
        return leakage.find_leaks(
            self.run,
            self.cache,
            self.entries,
            self.config.split,
            read_videos=self.config.pictures,
            max_bits=self.config.near_bits,
        )

    def standing(self) -> Predictions | None:
        """The answers of the evaluation that is there, if it is whole and of the run's present
        model, temperature and videos; of several classes, of its threshold too. With two, answers
        at another threshold are those at the run's own all the same."""
        folder = self.run.evaluation_dir(self.config.split)
        wanted = evaluation_set.identity_of(self.run, self.entries)
        wanted |= {"temperature": self.run.record().temperature}
        classes = self.run.record().classes
        if len(classes) > 2:
            wanted |= {"threshold": self.threshold}
        try:
            there = json.loads((folder / "metrics.json").read_text())
            if any(there[name] != value for name, value in wanted.items()):
                return None
            columns = ("path", "probability", "predicted")
            table = files.read_own_csv(folder / "predictions.csv", columns)
            rows = {row["path"]: row for row in table}
            rows = [rows[entry.path] for entry in self.entries]
            probability = np.array([float(row["probability"]) for row in rows])
        except (OSError, ValueError, KeyError, TypeError, ViolenceDetectionError):
            return None
        if not ((probability >= 0) & (probability <= 1)).all():
            return None
        labels = [entry.label for entry in self.entries]
        predicted = [row["predicted"] for row in rows]
        if there.get("threshold") != self.threshold:
            alarms = probability >= self.threshold
            predicted = [classes[int(alarm)] for alarm in alarms]
        return Predictions(probability, np.array(predicted) == np.array(labels))

    def answers(self, *, force: bool) -> Predictions:
        """The answers, of an evaluation that is made where none stands."""
        found = self.standing()
        if found is None:
            log.info(f"{self.run.dir} is evaluated on {self.config.split} first.")
            evaluate.evaluate_run(str(self.run.dir), self.config, force=force)
            found = self.standing()
        if found is None:
            raise ViolenceDetectionError(
                "An evaluation must stay as it was written. Received: "
                f"{self.run.evaluation_dir(self.config.split)} (altered while it was read)"
            )
        return found


def compare_runs(
    run_a: str, run_b: str, config: CompareConfig, *, force: bool = False
) -> dict[str, Any]:
    """How much better RUN_B is than RUN_A on the same videos, and whether these can show it.

    Differences are B - A. The intervals `ci` and `auc_ci` draw recordings, and both
    `..._exchange_p` exchange them; McNemar's test and DeLong's take every video for independent
    of the others. The runs may be of different feature spaces, and are evaluated first where no
    evaluation of theirs stands.

    Args:
        run_a, run_b: What two trainings left.
        config: Which split, of which features.
        force: Whether an evaluation of other videos may be replaced.

    Returns:
        The keys of the `compare` command, and more.

    Raises:
        ConfigError: If the videos or the normal class are not the same, or another evaluation
            stands where one is to be made.
        RunError: If a run cannot be used.
        CacheError: If features are not of the run's feature space, or the split is empty.
    """
    side_a, side_b = _open_runs(run_a, run_b, config)
    entries = side_a.entries
    answers_a, answers_b = (side.answers(force=force) for side in (side_a, side_b))
    row_of = {entry.path: row for row, entry in enumerate(side_b.entries)}
    answers_b = answers_b.take([row_of[entry.path] for entry in entries])

    normal = side_a.run.record().normal_class
    violent = np.array([entry.label != normal for entry in entries])
    groups, grouped = _recordings(side_a, side_b)
    draw = {"resamples": config.bootstrap, "seed": config.seed}
    a = _summary(side_a, answers_a, violent)
    b = _summary(side_b, answers_b, violent)
    clean = a["clean"] and b["clean"]
    result = {
        "a": a,
        "b": b,
        "split": config.split,
        "videos": len(entries),
        "recordings": len(set(groups)),
        "few_recordings": len(set(groups)) < findings.FEW_RECORDINGS,
        "grouped": grouped,
        "clean": clean,
        **paired_tests.accuracy_difference(answers_a.correct, answers_b.correct, groups, **draw),
        **paired_tests.auc_difference(
            violent, answers_a.probability, answers_b.probability, groups, **draw
        ),
        **paired_tests.discordance(answers_a.correct, answers_b.correct),
    }
    result["better"] = {"accuracy": "unknown", "auc": "unknown"}
    if clean and result["recordings"] >= paired_tests.MIN_RECORDINGS:
        result["better"] = {
            "accuracy": paired_tests.better_run(result["ci"], result["accuracy_exchange_p"]),
            "auc": paired_tests.better_run(result["auc_ci"], result["auc_exchange_p"]),
        }
    return result


def plan(run_a: str, run_b: str, config: CompareConfig, *, force: bool = False) -> dict[str, Any]:
    """What `compare_runs` would do; nothing is written."""
    sides = dict(zip("ab", _open_runs(run_a, run_b, config), strict=True))
    planned = {"dry_run": True, "split": config.split, "videos": 0}
    for name, side in sides.items():
        evaluates = side.standing() is None
        if evaluates:
            evaluate.plan(str(side.run.dir), side.config, force=force)
        planned[name] = {"run": str(side.run.dir), "evaluates_first": evaluates}
        planned["videos"] = len(side.entries)
    return planned


def _open_runs(run_a: str, run_b: str, config: CompareConfig) -> tuple[ComparedRun, ComparedRun]:
    """Both runs, once they are to be judged on the same videos and mean the same."""
    a = ComparedRun.of(run_a, config.features_a, config)
    b = ComparedRun.of(run_b, config.features_b, config)
    normal_a, normal_b = (side.run.record().normal_class for side in (a, b))
    if normal_a != normal_b:
        raise ConfigError(
            f"RUN_A and RUN_B must have the same normal class. Received: {normal_a} and {normal_b}"
        )
    check_same_videos(a.entries, b.entries)
    return a, b


def check_same_videos(a: Sequence[ManifestEntry], b: Sequence[ManifestEntry]) -> None:
    """Videos are the same by path, label and, where both know it, content.

    Raises:
        ConfigError: If they are not; it says how many differ, and names some.
    """
    of_a, of_b = ({entry.path: entry for entry in entries} for entries in (a, b))
    both = [(entry, of_b[path]) for path, entry in of_a.items() if path in of_b]
    differing = {
        f"of the {counted(len(a), 'video')} of RUN_A not in RUN_B": of_a.keys() - of_b.keys(),
        f"of the {counted(len(b), 'video')} of RUN_B not in RUN_A": of_b.keys() - of_a.keys(),
        "with another label": {x.path for x, y in both if x.label != y.label},
        "with other content": {
            x.path for x, y in both if x.digest and y.digest and x.digest != y.digest
        },
    }
    found = [f"{len(paths)} {how} ({_named(paths)})" for how, paths in differing.items() if paths]
    if found:
        raise ConfigError(
            "RUN_A and RUN_B must be judged on the same videos. Received: " + "; ".join(found)
        )


def _named(paths: set[str]) -> str:
    first = ", ".join(sorted(paths)[:_NAMED])
    return first + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def _recordings(side_a: ComparedRun, side_b: ComparedRun) -> tuple[list[str], bool]:
    """The recording of each of A's videos, of features that know them, and whether any do."""
    groups_of = {entry.path: entry.group for entry in side_b.entries}
    of_a = [entry.group for entry in side_a.entries]
    of_b = [groups_of[entry.path] for entry in side_a.entries]
    if side_a.grouped and side_b.grouped and of_a != of_b:
        log.warning(
            "The features of the two runs name recordings differently; those of RUN_A are taken."
        )
    if side_b.grouped and not side_a.grouped:
        return of_b, True
    return of_a, side_a.grouped


def _summary(side: ComparedRun, answers: Predictions, violent: np.ndarray) -> dict[str, Any]:
    scores = classification.binary_metrics(violent, answers.probability, side.threshold)
    return {
        "run": str(side.run.dir),
        "features": str(side.cache.dir),
        "accuracy": float(answers.correct.mean()),
        "auc": scores["auc"],
        "auc_ci_delong": delong.interval(violent, answers.probability),
        "threshold": side.threshold,
        "operating_point": side.operating_point,
        **side.leaks().as_dict(),
    }
