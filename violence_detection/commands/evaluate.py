"""The command `evaluate`: metrics, diagnostics and a report of a run on a split."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features import space_lookup
from violence_detection.metrics.sample_size import (
    FEW_RECORDINGS,
    FEW_VIDEOS,
    MIN_VIDEOS_OF_CLASS,
    widest_interval,
)
from violence_detection.reports import console
from violence_detection.units import counted, format_duration

if TYPE_CHECKING:
    from violence_detection.reports.evaluation.evaluation_result import EvaluationResult

_SHORT_H = 1.0  # of footage: shorter footage shows no rate that is low enough to be useful


@click.command(
    cls=Command,
    started_again="start the same command again; footage that was scored is not scored again",
    short_help="Evaluate a run on a split.",
    epilog=example("violence-detection evaluate checkpoints/my_run --split test"),
)
@click.argument("run", type=PATH)
@options_of(EvaluateConfig)
def evaluate(settings: EvaluateConfig, flags: CommonFlags, run: str) -> None:
    """Evaluate a run on a split: metrics with intervals, predictions and an HTML report."""

    def stage() -> Stage:
        from violence_detection.evaluation.evaluate import EvaluationStage

        return EvaluationStage(run, settings, force=flags.force)

    def unreadable(result: "EvaluationResult") -> int:
        return len(result.normal_footage.unreadable) if result.normal_footage else 0

    run_stage(stage, flags, lines=evaluation_lines, failed=unreadable)


def evaluation_lines(result: "EvaluationResult") -> list[str]:
    """The console text of an evaluation: details first, then the scores and what limits them."""
    return [
        f"run         {result.run}",
        *console.mapping_lines(result.class_mapping),
        *console.threshold_lines(result.threshold, result.threshold_reason, result.operating_point),
        *console.class_threshold_lines(result.class_thresholds),
        *_false_alarm_lines(result),
        *_cost_lines(result),
        *_calibration_lines(result),
        *_confusion_lines(result),
        *_baseline_lines(result),
        *_novelty_lines(result),
        "",
        f"split       {result.split}: {counted(result.videos, 'video')} of "
        f"{counted(result.recordings, 'recording')}",
        *_home_lines(result),
        *(["finds       what is unusual, not what is violent"] if result.is_one_class else []),
        *_score_lines(result),
        *_warning_lines(result),
        f"leaks       {_leaks_text(result)}",
        f"report      {result.report}",
        _next(result),
    ]


def _next(result: "EvaluationResult") -> str:
    """Folds over all recordings where those of this split are few, else the use of the run."""
    few = result.grouped and result.recordings < FEW_RECORDINGS
    if not few or result.home is not None or result.is_one_class:
        return next_line("predict", Path(result.run), "VIDEO")
    features = space_lookup.shortest_path(result.features)
    return next_line("cross-validate", "--features", features, "--run", "folds")


def _home_lines(result: "EvaluationResult") -> list[str]:
    """The loss on cameras that the run was not trained on, and where it is; empty on its own
    dataset."""
    if result.home is None:
        return []
    lines = [f"elsewhere   {result.home.text}"]
    if result.home.worst:
        lines.append(f"worst       {result.home.worst[0]}")
        lines += [f"            {line}" for line in result.home.worst[1:]]
    return lines


def _score_lines(result: "EvaluationResult") -> Iterator[str]:
    """Rates with their intervals: the wider of a bootstrap over recordings and Wilson's."""
    from violence_detection.metrics.intervals import wilson_interval
    from violence_detection.reports.class_scores import class_lines

    counts, rates_ci = result.counts, result.rates_ci

    def fraction_text(part: int, whole: int, name: str, what: str, none: str) -> str:
        wilson = wilson_interval(part, whole) if whole else None
        interval = widest_interval(rates_ci.get(name), wilson)
        return console.format_fraction(part, whole, interval, what=what, none=none)

    accuracy_ci = widest_interval(result.accuracy_ci, result.accuracy_ci_wilson)
    right = round(result.accuracy * result.videos)
    accuracy = console.format_fraction(right, result.videos, accuracy_ci, what="videos right")
    yield f"accuracy    {accuracy}"
    yield f"AUC         {_auc_text(result)}"
    shares = {
        "recall": (counts.found, counts.violent, "violent videos found", "no violent videos"),
        "false_alarm_rate": (
            *(counts.flagged, counts.normal),
            *("normal videos flagged (false-alarm rate)", "no normal videos"),
        ),
        "precision": (counts.found, counts.found + counts.flagged, "alarms right", "no alarms"),
    }
    for name, (part, whole, what, none) in shares.items():
        label = "flagged" if name == "false_alarm_rate" else name
        yield f"{label:11s} {fraction_text(part, whole, name, what, f'none: {none}')}"
    f1 = "none: no violent videos"
    if "f1" not in result.undefined:
        f1 = console.format_number(result.f1, rates_ci.get("f1"))
    yield f"F1          {f1}"
    if result.class_report is not None:
        yield from class_lines(result.class_report)
    yield from _caution_lines(result)


def _caution_lines(result: "EvaluationResult") -> Iterator[str]:
    """A line where there are too few videos or recordings to learn much from."""
    counts = result.counts
    if (
        0
        < min(counts.violent or counts.normal, counts.normal or counts.violent)
        < (MIN_VIDEOS_OF_CLASS)
    ):
        yield (
            "caution     these numbers say nothing yet: with fewer than "
            f"{MIN_VIDEOS_OF_CLASS} videos of a class, tossing a coin could have done it"
        )
    elif result.recordings < FEW_RECORDINGS:
        shown_by = counted(result.recordings, "recording")
        yield f"caution     {shown_by}: every number here is a rough guess"


def _false_alarm_lines(result: "EvaluationResult") -> list[str]:
    """False alarms per camera-hour, measured on normal footage; empty without such footage."""
    footage = result.normal_footage
    if not footage:
        return []
    low, high = widest_interval(footage.alarms_per_hour_ci, footage.alarms_per_hour_ci_videos)
    interval = f"{console.format_per_hour(low)} to {console.format_per_hour(high)}"
    text = (
        f"{console.format_per_hour(footage.alarms_per_hour)} false alarms an hour and camera "
        f"(95%: {interval}): {counted(footage.alarms, 'alarm')} in "
        f"{format_duration(3600 * footage.hours)} of {counted(footage.videos, 'video')} of normal "
        "footage"
    )
    if footage.rule:
        text += f" ({footage.rule})"
    if footage.hours < _SHORT_H:
        text += f", which is too short to show a rate below {console.format_per_hour(high)} an hour"
    return [
        f"alarms      {text}",
        *[f"not read    {video.path}: {video.reason}" for video in footage.unreadable],
    ]


def _cost_lines(result: "EvaluationResult") -> list[str]:
    """Alarms, misses and cost of a site; empty if no traffic was given."""
    cost = result.cost
    if cost is None:
        return []
    from violence_detection.reports import cost_table

    few = ""
    if not result.normal_footage and result.recordings < FEW_RECORDINGS:
        few = f"; {console.ROUGH}"
    return [
        f"cost        {cost_table.traffic_text(cost)}{few}",
        *[f"            {row}" for row in cost_table.cost_rows(cost)],
        *[f"            {note}" for note in cost.notes],
    ]


def _auc_text(result: "EvaluationResult") -> str:
    if result.auc is None:
        return console.NONE
    interval = widest_interval(result.auc_ci, result.auc_ci_delong)
    if result.videos < FEW_VIDEOS:
        return f"{counted(result.videos, 'video')} are too few for one"
    area = console.format_number(result.auc, interval)
    return f"{area}, average precision {result.average_precision:.3f}"


def _confusion_lines(result: "EvaluationResult") -> list[str]:
    """The confusion matrix; of very many classes the lines of `class_lines` have to suffice."""
    from violence_detection.reports.class_scores import MANY_CLASSES

    if len(result.classes) > MANY_CLASSES:
        return []
    lines = [
        f"actual {name}: predicted "
        + ", ".join(
            f"{predicted} {count}" for count, predicted in zip(row, result.classes, strict=True)
        )
        for name, row in zip(result.classes, result.confusion, strict=True)
    ]
    return [f"{'' if number else 'confusion':11s} {line}" for number, line in enumerate(lines)]


def _baseline_lines(result: "EvaluationResult") -> list[str]:
    """Accuracies of the baselines on the same videos."""
    from violence_detection.metrics.intervals import wilson_interval
    from violence_detection.reports.evaluation.evaluation_tables import BASELINES

    width = max(map(len, result.baselines), default=0)
    lines = []
    for name, scores in result.baselines.items():
        right = round(scores.accuracy * result.videos)
        interval = widest_interval(scores.accuracy_ci, wilson_interval(right, result.videos))
        fraction = console.format_fraction(right, result.videos, interval)
        meaning = BASELINES.get(name, "")
        lines.append(f"            {name.replace('_', ' '):{width}s}  {fraction}; {meaning}")
    if lines:
        lines.insert(0, "baselines   simple models on the same videos, each with its videos right")
    return lines


def _calibration_lines(result: "EvaluationResult") -> list[str]:
    """The calibration; empty for a detector, whose score is not a probability."""
    if result.is_one_class:
        return []
    return [f"calibrated  {console.calibration_text(result.calibration_error)}"]


def _novelty_lines(result: "EvaluationResult") -> list[str]:
    """The videos that are unlike the training videos; empty where that is not known."""
    if result.novelty is None:
        return []
    novel = result.novelty
    text = f"{novel.videos} of {counted(result.videos, 'video')} unlike anything it was trained on"
    if novel.videos:
        text += f", {novel.errors} of them predicted wrongly"
    return [f"novel       {text}"]


def _warning_lines(result: "EvaluationResult") -> list[str]:
    return [f"warning     {line}" for line in result.warnings]


def _leaks_text(result: "EvaluationResult") -> str:
    if not result.clean:
        leaks = console.leaks_text(result.leak_counts, result.leaks)
        return f"the numbers are too good: in training and here are {leaks}"
    if not result.grouped:
        return (
            "not known: the dataset does not say which videos are of one recording, and clips of "
            "one may be in training and here"
        )
    if not result.near_duplicates_searched:
        return (
            "no recording and no identical file in training and here; near-duplicates were not "
            f"searched: {result.near_duplicates_reason}"
        )
    return "none: no recording, identical file or near-duplicate in training and here"
