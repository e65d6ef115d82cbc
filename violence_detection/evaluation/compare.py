"""Compares two runs on the same videos: differences with intervals and paired tests."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.evaluation.config import CompareConfig, EvaluateConfig
from violence_detection.evaluation.evaluate import EvaluationStage
from violence_detection.evaluation.leakage import Leaks
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import classification, delong, paired_tests
from violence_detection.models.run import Run, RunRecord
from violence_detection.reports import findings
from violence_detection.system import files
from violence_detection.units import counted

log = logging.getLogger(__name__)

_NAMED = 3  # videos that an error names


@dataclass(frozen=True)
class Predictions:
    """Predictions of a run for N videos.

    Attributes:
        probability: Of violence, float64 (N,).
        correct: bool (N,), at the run's own threshold.
    """

    probability: np.ndarray
    correct: np.ndarray

    def take(self, rows: Sequence[int]) -> Self:
        """The predictions of some rows, in this order."""
        return type(self)(self.probability[rows], self.correct[rows])


@dataclass(frozen=True)
class ComparedRun:
    """A run of the comparison, with its videos and the settings of its evaluation."""

    run: Run
    record: RunRecord
    cache: FeatureCache
    entries: list[ManifestEntry]
    config: EvaluateConfig

    @classmethod
    def open(cls, run_dir: str, config: EvaluateConfig) -> Self:
        run = Run.open(run_dir)
        cache = evaluation_set.open_features(run, config.features)
        entries = evaluation_set.split_entries(run, cache, config.split)
        return cls(run, run.record(), cache, entries, config)

    @property
    def grouped(self) -> bool:
        """True if the recording of every video is known."""
        return dataset.has_all_recordings(self.cache)

    def leaks(self) -> Leaks:
        """The videos that the run was trained or tuned on."""
        return leakage.find_leaks(
            self.run,
            self.cache,
            self.entries,
            self.config.split,
            read_videos=self.config.pictures,
            max_bits=self.config.near_bits,
        )

    def evaluation_stage(self, *, force: bool) -> EvaluationStage:
        return EvaluationStage(str(self.run.dir), self.config, force=force)

    def saved_predictions(self) -> Predictions | None:
        """The predictions of the saved evaluation.

        None if it is missing or incomplete, or is of another model, temperature or other videos;
        with more than two classes also if it is of another threshold. With two classes, the
        predictions at the run's threshold follow from the probabilities.
        """
        folder = self.run.evaluation_dir(self.config.split)
        wanted = evaluation_set.identity_of(self.run, self.entries)
        wanted |= {"temperature": self.record.temperature}
        classes, threshold = self.record.classes, self.record.threshold
        if len(classes) > 2:
            wanted |= {"threshold": threshold}
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            if any(metrics[name] != value for name, value in wanted.items()):
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
        if metrics.get("threshold") != threshold:
            alarms = probability >= threshold
            predicted = [classes[int(alarm)] for alarm in alarms]
        return Predictions(probability, np.array(predicted) == np.array(labels))

    def predictions(self, *, force: bool) -> Predictions:
        """The predictions of the saved evaluation, which is made if it is missing."""
        predictions = self.saved_predictions()
        if predictions is None:
            log.info(f"{self.run.dir} is evaluated on {self.config.split} first.")
            self.evaluation_stage(force=force).run()
            predictions = self.saved_predictions()
        if predictions is None:
            raise ViolenceDetectionError(
                "An evaluation must not change while it is read. Received: "
                f"{self.run.evaluation_dir(self.config.split)}"
            )
        return predictions

    def summary(self, predictions: Predictions, violent: np.ndarray) -> dict[str, Any]:
        """Scores, threshold and leaks of the run.

        Args:
            predictions: Of its videos.
            violent: bool (N,), the actual class.
        """
        probability, threshold = predictions.probability, self.record.threshold
        return {
            "run": str(self.run.dir),
            "features": str(self.cache.dir),
            **classification.scores(predictions.correct, violent, probability),
            "auc_ci_delong": delong.interval(violent, probability),
            "threshold": threshold,
            "operating_point": self.record.operating_point,
            **self.leaks().as_dict(),
        }


def compare_runs(
    run_a: str, run_b: str, config: CompareConfig, *, force: bool = False
) -> dict[str, Any]:
    """The result of a `ComparisonStage`."""
    return ComparisonStage(run_a, run_b, config, force=force).run()


class ComparisonStage:
    """Compares RUN_B with RUN_A on the same videos.

    Differences are B - A. The intervals `ci` and `auc_ci` draw recordings, and both
    `..._exchange_p` exchange the runs within recordings; McNemar's test and DeLong's take every
    video as independent. The runs may be of different feature spaces. A run without a saved
    evaluation is evaluated first.
    """

    def __init__(
        self, run_a: str, run_b: str, config: CompareConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            run_a, run_b: Folders of the runs.
            config: The split and the features.
            force: Whether an evaluation of other videos may be replaced.
        """
        self._run_dirs, self._config, self._force = (run_a, run_b), config, force

    def prepare(self) -> dict[str, Any]:
        """Opens the runs, checks that they are comparable, and prepares missing evaluations.

        Raises:
            ConfigError: If the videos or the normal class differ, or a missing evaluation would
                replace one of other videos.
            RunError: If a run is not usable.
            CacheError: If features are of another feature space, or the split is empty.
        """
        config = self._config
        self._runs = [
            ComparedRun.open(
                run_dir,
                EvaluateConfig(
                    split=config.split,
                    features=features,
                    bootstrap=config.bootstrap,
                    seed=config.seed,
                    pictures=config.pictures,
                ),
            )
            for run_dir, features in zip(
                self._run_dirs, (config.features_a, config.features_b), strict=True
            )
        ]
        a, b = self._runs
        if a.record.normal_class != b.record.normal_class:
            raise ConfigError(
                "RUN_A and RUN_B must have the same normal class. Received: "
                f"{a.record.normal_class} and {b.record.normal_class}"
            )
        check_same_videos(a.entries, b.entries)
        plan = {"dry_run": True, "split": config.split, "videos": len(b.entries)}
        for name, compared in zip("ab", self._runs, strict=True):
            evaluates = compared.saved_predictions() is None
            if evaluates:
                compared.evaluation_stage(force=self._force).prepare()
            plan[name] = {"run": str(compared.run.dir), "evaluates_first": evaluates}
        return plan

    def run(self) -> dict[str, Any]:
        """Compares, and returns the keys of the `compare` command and more.

        Raises:
            ConfigError, RunError, CacheError: See `prepare`.
        """
        # -- runs and predictions, of B in the order of A
        self.prepare()
        a, b = self._runs
        predictions_a, predictions_b = (
            compared.predictions(force=self._force) for compared in self._runs
        )
        row_of = {entry.path: row for row, entry in enumerate(b.entries)}
        predictions_b = predictions_b.take([row_of[entry.path] for entry in a.entries])

        # -- scores and tests
        violent = np.array([entry.label != a.record.normal_class for entry in a.entries])
        groups, grouped = _recordings(a, b)
        resampling = {"resamples": self._config.bootstrap, "seed": self._config.seed}
        summary_a = a.summary(predictions_a, violent)
        summary_b = b.summary(predictions_b, violent)
        result = {
            "a": summary_a,
            "b": summary_b,
            "split": self._config.split,
            "videos": len(a.entries),
            "recordings": len(set(groups)),
            "few_recordings": len(set(groups)) < findings.FEW_RECORDINGS,
            "grouped": grouped,
            "clean": summary_a["clean"] and summary_b["clean"],
            **paired_tests.accuracy_difference(
                predictions_a.correct, predictions_b.correct, groups, **resampling
            ),
            **paired_tests.auc_difference(
                violent,
                predictions_a.probability,
                predictions_b.probability,
                groups,
                **resampling,
            ),
            **paired_tests.discordance(predictions_a.correct, predictions_b.correct),
        }

        # -- the better run, where the videos are unseen and enough
        result["better"] = {"accuracy": "unknown", "auc": "unknown"}
        if result["clean"] and result["recordings"] >= paired_tests.MIN_RECORDINGS:
            result["better"] = {
                "accuracy": paired_tests.better_run(result["ci"], result["accuracy_exchange_p"]),
                "auc": paired_tests.better_run(result["auc_ci"], result["auc_exchange_p"]),
            }
        return result


def check_same_videos(a: Sequence[ManifestEntry], b: Sequence[ManifestEntry]) -> None:
    """Checks that two runs are evaluated on the same videos, by path, label and, where it is known,
    content.

    Raises:
        ConfigError: If they differ; it says how many, and names some.
    """
    of_a, of_b = ({entry.path: entry for entry in entries} for entries in (a, b))
    pairs = [(entry, of_b[path]) for path, entry in of_a.items() if path in of_b]
    differing = {
        f"of the {counted(len(a), 'video')} of RUN_A not in RUN_B": of_a.keys() - of_b.keys(),
        f"of the {counted(len(b), 'video')} of RUN_B not in RUN_A": of_b.keys() - of_a.keys(),
        "with another label": {x.path for x, y in pairs if x.label != y.label},
        "with other content": {
            x.path for x, y in pairs if x.digest and y.digest and x.digest != y.digest
        },
    }
    parts = [f"{len(paths)} {how} ({_named(paths)})" for how, paths in differing.items() if paths]
    if parts:
        raise ConfigError(
            "RUN_A and RUN_B must be evaluated on the same videos. Received: " + "; ".join(parts)
        )


def _named(paths: set[str]) -> str:
    first = ", ".join(sorted(paths)[:_NAMED])
    return first + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def _recordings(a: ComparedRun, b: ComparedRun) -> tuple[list[str], bool]:
    """The recording of each video of A, from the features that have recordings; and whether any
    have."""
    groups_of = {entry.path: entry.group for entry in b.entries}
    groups_a = [entry.group for entry in a.entries]
    groups_b = [groups_of[entry.path] for entry in a.entries]
    if a.grouped and b.grouped and groups_a != groups_b:
        log.warning(
            "The features of the two runs name recordings differently; those of RUN_A are used."
        )
    if b.grouped and not a.grouped:
        return groups_b, True
    return groups_a, a.grouped
