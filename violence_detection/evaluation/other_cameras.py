"""The loss of a run on a dataset that it was not trained on, and where its errors are."""

from collections.abc import Mapping, Sequence

from violence_detection.metrics import intervals
from violence_detection.metrics.sample_size import widest_interval
from violence_detection.models.run import Run
from violence_detection.models.run_scores import SplitScores
from violence_detection.reports.evaluation.evaluation_result import ErrorRow
from violence_detection.reports.evaluation.own_dataset_comparison import OwnDatasetComparison
from violence_detection.units import counted

# What a camera shows, and how; recordings and lengths say little about other cameras.
_CONDITIONS = {"kind": "kind ", "motion": "", "resolution": "", "brightness": "brightness "}
_MIN_VIDEOS = 8  # of a condition that is named
_CLEARLY = 1.25  # times the error rate of all videos
_MOST = 4  # conditions that are named


def compare_with_home(
    run: Run,
    *,
    accuracy: float,
    accuracy_ci: Sequence[float],
    auc: float | None,
    auc_ci: Sequence[float] | None,
    errors_by: Mapping[str, Sequence[ErrorRow]],
) -> OwnDatasetComparison:
    """The scores of a run on another dataset, compared with those on its own dataset.

    Args:
        run: The run.
        accuracy, accuracy_ci, auc, auc_ci: Scores on the other dataset.
        errors_by: Errors there, by condition.
    """
    scores = run.results().scores
    home = scores.test or scores.validation
    auc_difference = auc_difference_ci = None
    if auc is not None and home.auc is not None:
        auc_difference = auc - home.auc
        if auc_ci and home.auc_ci:
            auc_difference_ci = intervals.difference_interval(auc, auc_ci, home.auc, home.auc_ci)
    home_ci = _accuracy_ci(home)
    return OwnDatasetComparison(
        dataset=run.record().dataset.name,
        split="test" if scores.test else "validation",
        videos=home.videos,
        recordings=home.recordings,
        accuracy=home.accuracy,
        auc=home.auc,
        accuracy_difference=accuracy - home.accuracy,
        accuracy_difference_ci=home_ci
        and intervals.difference_interval(accuracy, accuracy_ci, home.accuracy, home_ci),
        auc_difference=auc_difference,
        auc_difference_ci=auc_difference_ci,
        worst=worst_conditions(errors_by, 1 - accuracy),
    )


def _accuracy_ci(home: SplitScores) -> Sequence[float] | None:
    """The wider of the interval over recordings and Wilson's."""
    if not home.videos:
        return home.accuracy_ci
    wilson = intervals.wilson_interval(round(home.accuracy * home.videos), home.videos)
    return widest_interval(home.accuracy_ci, wilson)


def worst_conditions(errors_by: Mapping[str, Sequence[ErrorRow]], error_rate: float) -> list[str]:
    """Kinds, motion, sizes and light with clearly more errors than all videos, the most first.

    Args:
        errors_by: By condition, its rows.
        error_rate: That of all videos.
    """
    worse = [
        (row.error_rate, f"{prefix}{row.name}: {_errors_text(row)}")
        for condition, prefix in _CONDITIONS.items()
        for row in errors_by.get(condition, ())
        if row.videos >= _MIN_VIDEOS and row.error_rate >= _CLEARLY * error_rate and row.errors
    ]
    return [text for _, text in sorted(worse, reverse=True)[:_MOST]]


def _errors_text(row: ErrorRow) -> str:
    kinds = []
    if row.false_alarms:
        kinds.append(counted(row.false_alarms, "false alarm"))
    if row.misses:
        kinds.append(f"{row.misses} missed")
    return f"{row.errors} of {row.videos} wrong ({', '.join(kinds)})"
