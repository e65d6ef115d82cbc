"""The command `cross-validate`, and the console text of its result."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from violence_detection import units
from violence_detection.commands._command import RESUMES, Command
from violence_detection.commands._options import example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.datasets.config import BY_TIME, ONE_RECORDING
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.reports import console

if TYPE_CHECKING:
    from violence_detection.reports.cross_validation.cross_validation_result import (
        CrossValidationResult,
        FoldRow,
        PooledResult,
        ProtocolResult,
    )
    from violence_detection.reports.cross_validation.cross_validation_scores import ScoreDifference

_WIDTH = 80  # columns of a terminal that shows intervals in words
_MAX_FOLDS = 25  # of one recording each, that are listed
_MAX_NAME = 24  # characters of a camera or recording that is shown in the table


@click.command(
    cls=Command,
    started_again=RESUMES,
    short_help="Evaluate a training by folds.",
    epilog=example(
        "violence-detection cross-validate --features feature_cache/my_videos --folds 5"
    ),
)
@options_of(CrossValidateConfig)
def cross_validate(settings: CrossValidateConfig, flags: CommonFlags) -> None:
    """Evaluate a training by folds: each video by a classifier not trained on its recording.

    All options of train hold for every fold; nothing is chosen on the held-out fold. Trivial
    baselines predict the same folds. Leaves a table by fold, every prediction, and the results;
    the same command again resumes with the missing folds."""

    def stage() -> Stage:
        from violence_detection.experiments.cross_validation.cross_validate import (
            CrossValidationStage,
        )

        return CrossValidationStage(settings, force=flags.force)

    run_stage(stage, flags, lines=result_lines, plan_lines=_plan_lines)


def _plan_lines(plan: dict[str, Any]) -> list[str]:
    return [
        f"folder      {plan['cross_validation']}",
        *[f"folds       {note}" for note in plan["protocols"]],
        f"trainings   {plan['trainings']}: {plan['folds']} folds, "
        f"{units.counted(plan['repeats'], 'repeat')}",
        f"videos      {plan['videos']}",
    ]


def result_lines(result: "CrossValidationResult") -> list[str]:
    """A table by fold, a table of the model and the baselines, and the scores of the model; for
    random folds beside grouped ones, the difference alone."""
    from violence_detection.reports.class_scores import class_lines

    first, *others = result.protocols
    return [
        f"folder      {result.dir}",
        f"videos      {result.videos} of {units.counted(result.recordings, 'recording')}",
        f"folds       {first.note}",
        "",
        *_fold_lines(result.folds_of(first), first),
        "",
        *_baseline_lines(first.pooled),
        *(["", *class_lines(first.class_report)] if first.class_report else []),
        *[
            line
            for protocol in others
            for line in (
                "",
                f"            {protocol.note}",
                *_fold_lines(result.folds_of(protocol), protocol),
            )
        ],
        "",
        *_score_lines(first.pooled),
        *([_spread_line(result)] if first.grouped and result.by != ONE_RECORDING else []),
        *([_linear_line(first.pooled.over_linear)] if first.pooled.over_linear else []),
        *[_random_line(protocol.pooled) for protocol in others],
        "",
        # Random folds share recordings by design.
        *([_leaks_line(first.pooled)] if first.grouped else []),
        *[f"left out    {note}" for note in result.left_out],
        *[f"warning     {note}" for note in result.warnings],
        f"tables      {result.folds_csv}",
        f"            {result.predictions_csv}",
        f"report      {result.report}",
    ]


def _score_lines(pooled: "PooledResult") -> list[str]:
    """Found, missed and flagged videos, accuracy and AUC, each with its interval."""
    model = pooled.model
    recall, flagged = model.recall, model.false_positive_rate
    missed = None if recall.value is None else 1 - recall.value
    missed_ci = recall.ci and [1 - end for end in reversed(recall.ci)]

    def line(label: str, value: float | None, ci: Any, text: str, form: str = ".1%") -> str:
        shown = "none" if value is None else f"{value:{form}}"
        return f"{label:12s}{shown:>6s}  {console.format_interval(ci, form):16s}  {text}".rstrip()

    return [
        "                    95%, over recordings",
        line("recall", recall.value, recall.ci, "of the violent videos are found"),
        line("missed", missed, missed_ci, "of the violent videos"),
        line("flagged", flagged.value, flagged.ci, "of the normal videos: false alarms"),
        line("accuracy", model.accuracy.value, model.accuracy.ci, ""),
        line("AUC", model.auc.value, model.auc.ci, "", ".3f"),
    ]


def _spread_line(result: "CrossValidationResult") -> str:
    """The accuracies of the best and the worst fold, and the cameras, time or recordings of the
    worst."""
    rows = result.folds_of(result.protocols[0])
    worst, *_, best = sorted(rows, key=lambda row: row.model.accuracy)
    name = f"fold {worst.fold}" + (f" of repeat {worst.repeat}" if result.repeats > 1 else "")
    return (
        f"by fold     accuracy from {worst.model.accuracy:.1%} to {best.model.accuracy:.1%}; "
        f"{'a later time' if result.by == BY_TIME else 'a new camera'} may lie outside; the worst "
        f"is {name}: {worst.held_out or console.list_names(worst.recording_names)}"
    )


def _linear_line(difference: "ScoreDifference") -> str:
    """The difference between the model and the linear baseline."""
    verdict = ("no clear difference to", "better than", "worse than")[difference.accuracy.sign]
    return f"linear      {verdict} the linear baseline: accuracy {_points(difference)}"


def _random_line(pooled: "PooledResult") -> str:
    """The accuracy on random folds beside that on grouped folds."""
    difference = pooled.over_grouped
    verdict = "no clear difference to grouped folds"
    if difference.accuracy.sign > 0:
        verdict = "random folds are too good"
    return (
        f"random      {verdict}: accuracy {pooled.model.accuracy.value:.1%}, {_points(difference)}"
    )


def _points(difference: "ScoreDifference") -> str:
    """`+1.5 points, 95%: -2.0 to +5.0`."""
    low, high = difference.accuracy.ci
    value = difference.accuracy.value
    return f"{100 * value:+.1f} points, 95%: {100 * low:+.1f} to {100 * high:+.1f}"


def _fold_lines(rows: "Sequence[FoldRow]", protocol: "ProtocolResult") -> list[str]:
    """A table with a row for each fold."""
    table = [
        [
            (f"{row.repeat}." if len({row.repeat for row in rows}) > 1 else "")
            + (f"{row.fold} {row.held_out}" if len(row.held_out) <= _MAX_NAME else f"{row.fold}"),
            str(row.videos),
            str(row.recordings),
            _percent(row.recall),
            _percent(row.false_positive_rate),
            f"{row.model.accuracy:.1%}",
            console.format_auc(row.model.auc),
        ]
        for row in rows
    ]
    left_out = []
    if len(table) > _MAX_FOLDS and all(row.recordings == 1 for row in rows):
        order = sorted(range(len(rows)), key=lambda number: rows[number].model.accuracy)
        table = [table[number] for number in order[:_MAX_FOLDS]]
        left_out = [f"            and {len(rows) - _MAX_FOLDS} folds with no lower accuracy"]
    accuracy, auc = protocol.model.accuracy, protocol.model.auc
    mean = [f"{accuracy.mean:.1%}", console.format_auc(auc.mean)]
    table += [
        ["mean", *[""] * 4, *mean],
        ["sd", *[""] * 4, f"{accuracy.sd:.1%}", f"{auc.sd:.3f}"],
    ]
    return [
        *console.align_columns(
            ["fold videos recordings recall flagged accuracy AUC".split(), *table]
        ),
        *left_out,
        f"            95% of the mean: accuracy {console.format_interval(accuracy.ci, '.1%')}, AUC "
        f"{console.format_interval(auc.ci, '.3f')} (t over folds, corrected for shared training "
        "videos)",
    ]


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _baseline_lines(pooled: "PooledResult") -> list[str]:
    """Scores of the model and the baselines."""
    is_narrow = shutil.get_terminal_size((_WIDTH, 24)).columns < _WIDTH

    def interval(ends: Any, form: str) -> str:
        text = console.format_interval(ends, form)
        return text.replace("% to ", "-").replace(" to ", "-") if is_narrow else text

    rows = [
        [
            name.replace("_", " "),
            f"{scores.accuracy.value:.1%}",
            interval(scores.accuracy.ci, ".1%"),
            console.format_auc(scores.auc.value),
            interval(scores.auc.ci, ".3f"),
        ]
        for name, scores in pooled.scores.items()
    ]
    model = pooled.model
    return [
        *console.align_columns([["", "accuracy", "95%", "AUC", "95%"], *rows]),
        f"            all folds together; the model's "
        f"{console.calibration_text(model.calibration_error)}",
    ]


def _leaks_line(pooled: "PooledResult") -> str:
    """Leaks between grouped folds, and whether all videos were searched."""
    if pooled.leaks:
        leaks = console.leaks_text(pooled.leak_counts, pooled.leaks)
        return f"leaks       the numbers are too good: several folds share {leaks}"
    if pooled.near_duplicates_searched:
        return "leaks       none: no recording, identical file or near-duplicate in two folds"
    return (
        "leaks       no recording and no identical file in two folds; not all videos were searched "
        f"for near-duplicates: {pooled.near_duplicates_reason}"
    )
