"""Compares cross-validations on the same held-out videos: differences with intervals and tests."""

import itertools
import logging
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import CompareConfig
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.cross_validation.cross_validation_folder import (
    FinishedCrossValidation,
    is_cross_validation,
)
from violence_detection.experiments.cross_validation.held_out_predictions import HeldOutPredictions
from violence_detection.metrics import fold_tests, paired_tests
from violence_detection.metrics.sample_size import FEW_RECORDINGS
from violence_detection.reports.cross_validation import comparison_report
from violence_detection.reports.cross_validation.cross_validation_comparison import (
    ComparedCrossValidation,
    CrossValidationComparison,
    CrossValidationDifference,
)
from violence_detection.units import counted

log = logging.getLogger(__name__)

_NAMED = 3  # videos that an error names
_KEPT = "a cross-validation has kept its predictions"
_THRESHOLDS = (
    "a cross-validation has a threshold in each fold, a site only one (evaluate a run with it, or "
    "compare two runs)"
)
_OF_RUNS = {  # settings for runs only, and why
    **dict.fromkeys(("split", "features_a", "features_b", "read_videos"), _KEPT),
    **dict.fromkeys(("videos_per_day", "prevalence", "review_cost"), _THRESHOLDS),
}
_PLACES = {"checkpoint_dir", "features"}  # settings that are no differences of the training


def compares_runs(folders: Sequence[str], config: CompareConfig) -> bool:
    """True for two folders of which none is a cross-validation.

    Raises:
        ConfigError: If they are too few, too many or of both kinds, or a setting is for the other
            kind.
    """
    others = [folder for folder in folders if not is_cross_validation(folder)]
    if not 2 <= len(folders) <= len(string.ascii_uppercase):
        raise ConfigError(
            "compare must be given two runs, or 2 to 26 cross-validations. Received: "
            f"{counted(len(folders), 'folder')}"
        )
    if not others:
        given = [name for name in _OF_RUNS if name in config.given]
        if given:
            raise ConfigError(
                f"`{given[0]}` must be given for runs only: {_OF_RUNS[given[0]]}. Received: "
                f"{given[0]}={getattr(config, given[0])}"
            )
        return False
    if len(others) < len(folders):
        raise ConfigError(
            "compare must be given runs only or cross-validations only. Received: "
            f"{', '.join(others)} and {counted(len(folders) - len(others), 'cross-validation')}"
        )
    if len(folders) > 2:
        raise ConfigError(
            "compare must be given two runs; only cross-validations may be more. Received: "
            f"{len(folders)} folders that are no cross-validations"
        )
    if config.report:
        raise ConfigError(
            "`report` must be given for cross-validations only: a run has its page from evaluate. "
            f"Received: report={config.report}"
        )
    return True


class CrossValidationComparisonStage:
    """Compares cross-validations of other trainings, features or settings, pair by pair.

    Differences are B - A, on the videos that all of them held out. Accuracy and AUC are those of
    all folds together, each fold at its own threshold; of several repeats they are averaged. `ci`
    and `auc_ci` draw recordings, and both `..._exchange_p` exchange the two in whole recordings.
    Where the folds are the same, their scores are compared fold by fold.
    """

    def __init__(
        self, folders: Sequence[str], config: CompareConfig, *, force: bool = False
    ) -> None:
        """
        Args:
            folders: Folders of cross-validations, two or more.
            config: The resamples, their seed, and the report.
            force: Whether a file with the name of the report may be replaced.
        """
        self._folders, self._config, self._force = list(folders), config, force

    def prepare(self) -> dict[str, Any]:
        """Reads the cross-validations and checks that they are comparable.

        Raises:
            ConfigError: If the folds are drawn in different ways, no video is in all, labels or
                classes differ, or the report exists.
            RunError: If a cross-validation is not finished or damaged.
        """
        report = self._config.report
        if report and Path(report).exists() and not self._force:
            raise ConfigError(
                f"`report` must name a new file, or come with --force. Received: {report}"
            )
        self._studies = [FinishedCrossValidation.open(folder) for folder in self._folders]
        self._names = string.ascii_uppercase[: len(self._studies)]
        classes = {name: study.result.classes for name, study in self._by_name()}
        if len({tuple(names) for names in classes.values()}) > 1:
            texts = [f"{', '.join(names)} ({name})" for name, names in classes.items()]
            raise ConfigError(
                "Cross-validations must have the same classes, the normal one first. Received: "
                + "; ".join(texts)
            )
        self._kind = self._kind_of_folds()
        self._repeats = min(study.result.repeats for study in self._studies)
        self._all_predictions = [
            HeldOutPredictions.of_rows(study.rows[self._kind], repeats=self._repeats)
            for study in self._studies
        ]
        first = self._all_predictions[0]
        shared = set(first.paths).intersection(*(item.paths for item in self._all_predictions))
        if not shared:
            raise ConfigError(
                "Cross-validations must have videos in common, with the same paths. Received: "
                + "; ".join(
                    f"{item.paths[0]} and {len(item.paths) - 1} more ({name})"
                    for name, item in zip(self._names, self._all_predictions, strict=True)
                )
            )
        paths = [path for path in first.paths if path in shared]
        self._predictions = [item.take(paths) for item in self._all_predictions]
        self._check_labels()
        return {
            "dry_run": True,
            "cross_validations": [str(study.dir) for study in self._studies],
            "kind": self._kind,
            "repeats": self._repeats,
            "videos": len(paths),
            "recordings": len(set(self._predictions[0].groups)),
            "same_folds": not self._fold_differences(),
        }

    def run(self) -> CrossValidationComparison:
        """Compares all pairs; writes the report, if one is named.

        Raises:
            ConfigError, RunError: See `prepare`.
            ViolenceDetectionError: If the report cannot be written.
        """
        self.prepare()
        first = self._predictions[0]
        normal = self._studies[0].result.classes[0]
        violent, groups = first.labels != normal, first.groups
        if any((item.groups != groups).any() for item in self._predictions):
            log.warning("The cross-validations name recordings differently; those of A are used.")
        compared = [self._compared(number, violent) for number in range(len(self._studies))]
        recordings = len(set(groups))
        grouped = all(study.result.recordings_known for study in self._studies)
        fold_differences = self._fold_differences()
        pairs = [
            self._difference(pair, violent, groups, same_folds=not fold_differences)
            for pair in itertools.combinations(range(len(self._studies)), 2)
        ]
        enough = recordings >= paired_tests.MIN_RECORDINGS
        can_show = enough and self._kind != "random" and all(item.clean for item in compared)
        result = CrossValidationComparison(
            compared,
            _with_holm(pairs, can_show=can_show),
            kind=self._kind,
            kind_of_folds="random folds"
            if self._kind == "random"
            else self._studies[0].result.kind_of_folds,
            folds=self._studies[0].result.folds,
            repeats=self._repeats,
            fold_differences=fold_differences,
            setting_differences=self._setting_differences(),
            videos=len(first.paths),
            recordings=recordings,
            few_recordings=recordings < FEW_RECORDINGS,
            grouped=grouped,
            report=str(Path(self._config.report).resolve()) if self._config.report else "",
        )
        if self._config.report:
            comparison_report.write_report(Path(self._config.report), result)
        return result

    # -- checks

    def _by_name(self) -> list[tuple[str, FinishedCrossValidation]]:
        return list(zip(self._names, self._studies, strict=True))

    def _kind_of_folds(self) -> str:
        """The first kind of folds that all cross-validations have.

        Raises:
            ConfigError: If there is none, or different things are held out.
        """
        if len({study.result.by for study in self._studies}) == 1:
            for kind in self._studies[0].rows:
                if all(kind in study.rows for study in self._studies):
                    return kind
        kinds = [
            f"{study.result.kind_of_folds if len(study.rows) == 1 else 'both'} ({name})"
            for name, study in self._by_name()
        ]
        raise ConfigError(
            "Cross-validations must have folds that are drawn in the same way. Received: "
            + ", ".join(kinds)
        )

    def _check_labels(self) -> None:
        first, *others = self._predictions
        for name, item in zip(self._names[1:], others, strict=True):
            differing = np.flatnonzero(item.labels != first.labels)
            if differing.size:
                named = ", ".join(first.paths[number] for number in differing[:_NAMED])
                more = differing.size - _NAMED
                raise ConfigError(
                    "Cross-validations must have the same label for a video. Received: "
                    f"{counted(int(differing.size), 'video')} with other labels in {name} than in "
                    f"A ({named}{f' and {more} more' if more > 0 else ''})"
                )

    # -- what differs

    def _fold_differences(self) -> list[str]:
        """The reasons why the folds are not the same; empty if they are."""
        differences = []
        for what, values in (
            ("number of folds", [study.result.folds for study in self._studies]),
            ("seed", [study.settings.get("seed") for study in self._studies]),
        ):
            if len(set(values)) > 1:
                texts = [
                    f"{value} ({name})" for name, value in zip(self._names, values, strict=True)
                ]
                differences.append(f"{what}: {', '.join(texts)}")
        first, *others = self._predictions
        if not differences and any((item.fold != first.fold).any() for item in others):
            differences.append("videos are in other folds")
        return differences

    def _setting_differences(self) -> dict[str, list[Any]]:
        """The settings that differ, except those that change no result, and the features."""
        passed_over = CrossValidateConfig.names_that_may_change() | _PLACES
        names = dict.fromkeys(
            name for study in self._studies for name in study.settings if name not in passed_over
        )
        values = {name: [study.settings.get(name) for study in self._studies] for name in names}
        digests = {study.features_digest for study in self._studies}
        if len(digests) > 1:
            values["features"] = [Path(study.result.features).name for study in self._studies]
        return {name: row for name, row in values.items() if any(value != row[0] for value in row)}

    @property
    def _test_to_train(self) -> float:
        """Held-out videos over training videos, of the folds that all cross-validations have."""
        result = self._studies[0].result
        protocol = next(item for item in result.protocols if item.kind == self._kind)
        return result.test_to_train(protocol)

    # -- numbers

    def _compared(self, number: int, violent: np.ndarray) -> ComparedCrossValidation:
        study, item = self._studies[number], self._predictions[number]
        pooled = next(
            protocol.pooled for protocol in study.result.protocols if protocol.kind == self._kind
        )
        return ComparedCrossValidation(
            name=self._names[number],
            dir=str(study.dir),
            features=study.result.features,
            accuracy=float(item.correct.mean()),
            auc=item.auc(violent),
            clean=not pooled.leaks,
            leaks=pooled.leaks,
            left_out=len(self._all_predictions[number].paths) - len(item.paths),
        )

    def _difference(
        self, pair: tuple[int, int], violent: np.ndarray, groups: np.ndarray, *, same_folds: bool
    ) -> CrossValidationDifference:
        """The second minus the first; p is not yet adjusted, and the better one unknown."""
        a, b = (self._predictions[number] for number in pair)
        resampling = {"resamples": self._config.bootstrap, "seed": self._config.seed}
        accuracy = paired_tests.accuracy_difference(
            a.correct.mean(axis=0), b.correct.mean(axis=0), groups, **resampling
        )
        auc = paired_tests.auc_difference(
            violent, a.probability, b.probability, groups, **resampling
        )
        over_folds = [None, None]
        if same_folds:
            over_folds = [
                fold_tests.fold_difference(of_a, of_b, test_to_train=self._test_to_train)
                for of_a, of_b in zip(
                    a.scores_by_fold(violent), b.scores_by_fold(violent), strict=True
                )
            ]
        return CrossValidationDifference(
            first=self._names[pair[0]],
            second=self._names[pair[1]],
            accuracy=accuracy,
            auc=auc,
            discordance=paired_tests.discordance(a.correct[0], b.correct[0]),
            accuracy_over_folds=over_folds[0],
            auc_over_folds=over_folds[1],
            accuracy_exchange_p_holm=accuracy.accuracy_exchange_p,
            auc_exchange_p_holm=auc.auc_exchange_p,
            better={"accuracy": "unknown", "auc": "unknown"},
        )


def _with_holm(
    pairs: Sequence[CrossValidationDifference], *, can_show: bool
) -> list[CrossValidationDifference]:
    """The pairs with p values adjusted for their number, and the better one of each pair.

    Args:
        pairs: All pairs.
        can_show: Whether the recordings are enough, and the folds without leaks.
    """
    accuracy_p = fold_tests.holm([pair.accuracy.accuracy_exchange_p for pair in pairs])
    auc_p = fold_tests.holm([pair.auc.auc_exchange_p for pair in pairs])
    return [
        replace(
            pair,
            accuracy_exchange_p_holm=of_accuracy,
            auc_exchange_p_holm=of_auc,
            better={
                "accuracy": _better(pair, pair.accuracy.ci, of_accuracy),
                "auc": _better(pair, pair.auc.auc_ci, of_auc),
            }
            if can_show
            else pair.better,
        )
        for pair, of_accuracy, of_auc in zip(pairs, accuracy_p, auc_p, strict=True)
    ]


def _better(pair: CrossValidationDifference, interval: Sequence[float] | None, p: float) -> str:
    letters: Mapping[str, str] = {"a": pair.first.lower(), "b": pair.second.lower()}
    better = paired_tests.better_run(interval, p)
    return letters.get(better, better)
