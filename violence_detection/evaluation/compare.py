"""Compares two runs on the same videos: differences with intervals and paired tests."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.evaluation import evaluation_set, leakage
from violence_detection.evaluation.comparison_result import ComparisonResult, RunSummary
from violence_detection.evaluation.config import CompareConfig, EvaluateConfig
from violence_detection.evaluation.evaluate import EvaluationStage
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics import classification, delong, paired_tests
from violence_detection.metrics.thresholds import operating_cost
from violence_detection.metrics.thresholds.operating_cost import CostDifference, VideoTraffic
from violence_detection.models.run import Run
from violence_detection.models.run_record import RunRecord
from violence_detection.reports.evaluation import findings
from violence_detection.system import files
from violence_detection.units import counted

log = logging.getLogger(__name__)

_NAMED = 3  # videos that an error names


@dataclass(frozen=True)
class Predictions:
    """Predictions of a run for N videos.

    Attributes:
        probability: The probability of violence, float64 (N,).
        correct: bool (N,), at the run's own threshold.
    """

    probability: np.ndarray
    correct: np.ndarray

    def take(self, rows: Sequence[int]) -> Self:
        """The predictions of some rows, in this order."""
        return type(self)(self.probability[rows], self.correct[rows])


@dataclass(frozen=True)
class ComparedRun:
    """A run of the comparison, with its videos.

    Attributes:
        run, record: The run.
        cache: The features that it is evaluated on.
        entries: The videos of the split.
        split: Their split.
    """

    run: Run
    record: RunRecord
    cache: FeatureCache
    entries: list[ManifestEntry]
    split: str

    @classmethod
    def open(cls, run_dir: str, *, split: str, features: str | None = None) -> Self:
        """Opens a run and its features for a comparison.

        Args:
            run_dir: Folder of the run.
            split: The split to compare on.
            features: Folder of features; None for that of the training.

        Raises:
            RunError: If the run is not usable.
            CacheError: If the features are of another feature space, or the split is empty.
        """
        run = Run.open(run_dir)
        cache = evaluation_set.open_features(run, features)
        entries = evaluation_set.split_entries(run, cache, split)
        return cls(run, run.record(), cache, entries, split)

    @property
    def grouped(self) -> bool:
        """True if the recording of every video is known."""
        return dataset.has_all_recordings(self.cache)

    def saved_predictions(self) -> Predictions | None:
        """The predictions of the saved evaluation.

        None if it is missing or incomplete, or is of another model, temperature or other videos;
        with more than two classes also if it is of other thresholds. With two classes, the
        predictions at the run's threshold follow from the probabilities.
        """
        folder = self.run.evaluation_dir(self.split)
        wanted = evaluation_set.identity_of(self.run, self.entries)
        wanted |= {"temperature": self.record.temperature}
        classes, threshold = self.record.classes, self.record.threshold
        if len(classes) > 2:
            wanted |= {
                "threshold": threshold,
                "class_thresholds": dict(self.record.class_thresholds),
            }
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

    def summary(
        self, predictions: Predictions, violent: np.ndarray, *, read_videos: bool
    ) -> RunSummary:
        """Scores, threshold and leaks of the run.

        Args:
            predictions: The predictions for its videos.
            violent: bool (N,), the actual class.
            read_videos: Whether videos may be decoded for near-duplicates.
        """
        probability = predictions.probability
        return RunSummary(
            run=str(self.run.dir),
            features=str(self.cache.dir),
            scores=classification.scores(predictions.correct, violent, probability),
            auc_ci_delong=delong.interval(violent, probability),
            threshold=self.record.threshold,
            operating_point=self.record.operating_point,
            leaks=leakage.find_leaks(
                self.run, self.cache, self.entries, self.split, read_videos=read_videos
            ),
        )


def compare_runs(
    run_a: str, run_b: str, config: CompareConfig, *, force: bool = False
) -> ComparisonResult:
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
        self._features = (config.features_a, config.features_b)

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
            ComparedRun.open(run_dir, split=config.split, features=features)
            for run_dir, features in zip(self._run_dirs, self._features, strict=True)
        ]
        a, b = self._runs
        if a.record.normal_class != b.record.normal_class:
            raise ConfigError(
                "RUN_A and RUN_B must have the same normal class. Received: "
                f"{a.record.normal_class} and {b.record.normal_class}"
            )
        check_same_videos(a.entries, b.entries)
        plan = {"dry_run": True, "split": config.split, "videos": len(b.entries)}
        for name, compared, features in zip("ab", self._runs, self._features, strict=True):
            evaluates = compared.saved_predictions() is None
            if evaluates:
                self._evaluation_stage(compared, features).prepare()
            plan[name] = {"run": str(compared.run.dir), "evaluates_first": evaluates}
        return plan

    def _evaluation_stage(self, compared: ComparedRun, features: str | None) -> EvaluationStage:
        """The evaluation of a run that has none on these videos."""
        config = self._config
        evaluation = EvaluateConfig(
            split=config.split,
            features=features,
            bootstrap=config.bootstrap,
            seed=config.seed,
            read_videos=config.read_videos,
        )
        return EvaluationStage(str(compared.run.dir), evaluation, force=self._force)

    def _predictions(self, compared: ComparedRun, features: str | None) -> Predictions:
        """The predictions of the saved evaluation, which is made if it is missing."""
        predictions = compared.saved_predictions()
        if predictions is None:
            log.info(f"{compared.run.dir} is evaluated on {compared.split} first.")
            self._evaluation_stage(compared, features).run()
            predictions = compared.saved_predictions()
        if predictions is None:
            raise ViolenceDetectionError(
                "An evaluation must not change while it is read. Received: "
                f"{compared.run.evaluation_dir(compared.split)}"
            )
        return predictions

    def run(self) -> ComparisonResult:
        """Compares the runs.

        Raises:
            ConfigError, RunError, CacheError: See `prepare`.
        """
        # -- runs and predictions, of B in the order of A
        self.prepare()
        a, b = self._runs
        predictions_a, predictions_b = map(self._predictions, self._runs, self._features)
        row_of = {entry.path: row for row, entry in enumerate(b.entries)}
        predictions_b = predictions_b.take([row_of[entry.path] for entry in a.entries])

        # -- scores and tests
        violent = np.array([entry.label != a.record.normal_class for entry in a.entries])
        groups, grouped = _recordings(a, b)
        resampling = {"resamples": self._config.bootstrap, "seed": self._config.seed}
        summary_a, summary_b = (
            compared.summary(predictions, violent, read_videos=self._config.read_videos)
            for compared, predictions in ((a, predictions_a), (b, predictions_b))
        )
        accuracy = paired_tests.accuracy_difference(
            predictions_a.correct, predictions_b.correct, groups, **resampling
        )
        auc = paired_tests.auc_difference(
            violent, predictions_a.probability, predictions_b.probability, groups, **resampling
        )

        # -- the better run, where the videos are unseen and enough
        recordings = len(set(groups))
        better = {"accuracy": "unknown", "auc": "unknown"}
        clean = summary_a.leaks.clean and summary_b.leaks.clean
        if clean and recordings >= paired_tests.MIN_RECORDINGS:
            better = {
                "accuracy": paired_tests.better_run(accuracy.ci, accuracy.accuracy_exchange_p),
                "auc": paired_tests.better_run(auc.auc_ci, auc.auc_exchange_p),
            }
        return ComparisonResult(
            summary_a,
            summary_b,
            split=self._config.split,
            videos=len(a.entries),
            recordings=recordings,
            few_recordings=recordings < findings.FEW_RECORDINGS,
            grouped=grouped,
            accuracy=accuracy,
            auc=auc,
            discordance=paired_tests.discordance(predictions_a.correct, predictions_b.correct),
            better=better,
            cost=self._cost(violent, (predictions_a, predictions_b), groups),
        )

    def _cost(
        self, violent: np.ndarray, predictions: Sequence[Predictions], groups: Sequence[str]
    ) -> CostDifference | None:
        """The difference at the site of the settings; None without one."""
        config = self._config
        if config.videos_per_day is None:
            return None
        alarms = [
            run_predictions.probability >= compared.record.threshold
            for run_predictions, compared in zip(predictions, self._runs, strict=True)
        ]
        return operating_cost.cost_difference(
            violent,
            *alarms,
            groups,
            VideoTraffic(config.videos_per_day, config.prevalence),
            review_cost=config.review_cost,
            resamples=config.bootstrap,
            seed=config.seed,
        )


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
