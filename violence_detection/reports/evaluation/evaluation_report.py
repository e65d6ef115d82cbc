"""The HTML report of an evaluation: a summary in plain words first, then every metric."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from violence_detection import __version__, units
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import FEW_VIDEOS, widest_interval
from violence_detection.reports import console, cost_table, html
from violence_detection.reports.class_scores import (
    KIND_TITLES,
    MANY_CLASSES,
    anecdote_sentences,
)
from violence_detection.reports.evaluation import evaluation_tables
from violence_detection.reports.evaluation.evaluation_result import (
    EvaluationResult,
    FootageAlarms,
)
from violence_detection.reports.evaluation.findings import (
    evaluation_findings,
    overall_verdict,
    worst_condition,
)
from violence_detection.reports.evaluation.mistakes import (
    ONE_CLASS_SCORE,
    SCORE,
    Mistake,
    MistakeSheet,
)
from violence_detection.reports.robustness_result import RobustnessScores
from violence_detection.system import files
from violence_detection.units import counted, format_duration

_SHORT_H = 1.0  # of footage: shorter footage shows no rate that is low enough to be useful
_CAPTIONS = {
    "roc": "ROC curve: fraction of violent videos found against fraction of normal videos flagged, "
    "for every threshold. The dot is the threshold in use.",
    "precision_recall": "Precision-recall curve: fraction of alarms that are right against "
    "fraction of violent videos found. The dot is the threshold in use.",
    "threshold": "Fraction of violent videos found, fraction of normal videos flagged, and "
    "fraction of alarms that are right, for every threshold; bands are 95% "
    "intervals over recordings. The dashed line is the threshold in use, the grey "
    "area the interval of its choice. Above, the predictions that it was chosen on, "
    "where the run has them; below, the videos of this report.",
    "confusion": "Confusion matrix: actual classes (rows) and predicted classes (columns); "
    "the darker, the larger the fraction of the row. An empty cell is 0.",
    "score_histogram": "Probability of violence of the normal and the violent videos.",
    "reliability": "Reliability: fraction of violent videos among videos of similar probability.",
    "history": "Loss and validation scores of each training epoch; the dashed line is the epoch "
    "whose weights are used.",
}
_CRITERIA = {
    "balanced_accuracy": "the best balanced accuracy",
    "best_f1": "the best F1",
}


@dataclass(frozen=True)
class ReportContext:
    """Facts that the report shows beside the result.

    Attributes:
        run_path: The run's folder, as a command names it.
        dataset: Name of the evaluated dataset.
        evaluated_on: The day.
        operating_point: The criterion of the threshold as the user asked for it; empty if nobody
            did.
        is_drawn: Whether the videos are the drawn clips of the demo.
        one_class: The detector of a run that was trained on normal videos alone; else empty.
    """

    run_path: str
    dataset: str
    evaluated_on: date
    operating_point: str = ""
    is_drawn: bool = False
    one_class: str = ""


@dataclass(frozen=True)
class Tile:
    """A number of the first screen; a fraction of None has no bar."""

    kind: str
    lead: str
    number: str
    fraction: float | None
    note: str


def write_report(
    path: Path,
    result: EvaluationResult,
    *,
    context: ReportContext,
    figures: Mapping[str, Path],
    mistakes: MistakeSheet,
    settings: Mapping[str, Any],
    robustness: RobustnessScores | None = None,
) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: The evaluation.
        context: The run, the dataset and the day.
        figures: PNG files by name, in the order of the page.
        mistakes: The worst mistakes.
        settings: Settings and versions of the training, nested; each dict in it becomes a table.
        robustness: See `read_robustness`.

    Raises:
        ConfigError: If a figure cannot be read.
        ViolenceDetectionError: If the page cannot be written.
    """
    findings = list(evaluation_findings(result, robustness, is_drawn=context.is_drawn))
    page = html.render_template(
        "report.html.j2",
        title=f"Violence detection: {result.split} report",
        metrics=result,
        context=context,
        run_name=Path(result.run).name,
        version=__version__,
        cards=list(_tiles(result)),
        window_note=_window_note(settings, result.normal_footage),
        findings=findings,
        verdict=overall_verdict(findings),
        worst=mistakes,
        distance_of=lambda row: _distance(row, result.threshold),
        score_name=ONE_CLASS_SCORE if result.is_one_class else SCORE,
        command_of=lambda row: row.label_command(context.run_path, _class_to_label(row, result)),
        table_command=shlex.join(
            ["violence-detection", "label", context.run_path, "--table"]
            + [units.shown_path(path.with_name("label_next.csv"), is_kept=True)]
        ),
        baselines=evaluation_tables.baseline_rows(result),
        threshold_lines=list(_threshold_lines(result, context)),
        achieved=list(evaluation_tables.achieved_rows(result.operating_point)),
        cost_rows=list(cost_table.cost_rows(result.cost)) if result.cost else [],
        traffic=cost_table.traffic_text(result.cost) if result.cost else "",
        measures=list(evaluation_tables.measures(result)),
        classes=list(evaluation_tables.class_rows(result)),
        many_classes=len(result.classes) > MANY_CLASSES,
        class_report=result.class_report,
        confusion_kinds=KIND_TITLES,
        anecdotes=anecdote_sentences(result.class_report.anecdotes) if result.class_report else [],
        figures=[
            {
                "caption": _CAPTIONS.get(name, name.replace("_", " ").capitalize()),
                "source": html.embed_png(figure),
                "is_wide": name == "confusion" and len(result.classes) > MANY_CLASSES,
            }
            for name, figure in figures.items()
        ],
        breakdowns=evaluation_tables.breakdowns(result.errors_by),
        robustness=robustness,
        robustness_text=robustness_text(robustness) if robustness else "",
        tables=html.settings_tables(settings),
    )
    files.write_text(path, page)


def read_robustness(folder: Path, identity: Mapping[str, str]) -> RobustnessScores | None:
    """Reads robustness.json of an evaluation, if it is of the same model and videos.

    Args:
        folder: Folder of the evaluation.
        identity: Digests of the model and the videos.

    Returns:
        The scores; None if the file is missing, incomplete, or of something else.
    """
    try:
        study = json.loads((folder / "robustness.json").read_text())
        same = all(study.get(name, value) == value for name, value in identity.items())
        return RobustnessScores.from_json(study) if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _class_to_label(row: Mistake, result: EvaluationResult) -> str | None:
    """The class that `label` is to write; see `Mistake.label_command`."""
    if not result.is_one_class or row.predicted == result.normal_class:
        return None
    # The dataset has no class of the unusual; where a single class is mapped to it, it is that.
    return next(iter(result.class_mapping)) if len(result.class_mapping) == 1 else ""


# -- the first screen


def _tiles(result: EvaluationResult) -> Iterator[Tile]:
    """Violent videos found, normal videos flagged, and false alarms an hour or, without footage,
    what the run was evaluated on."""
    counts = result.counts
    yield _fraction_tile(
        "finds",
        ("Of 100 violent videos it finds", "Of the violent videos it found", "found"),
        counts.found,
        counts.violent,
        result.rates_ci.get("recall"),
        "This split has no violent video, so this cannot be measured.",
    )
    yield _fraction_tile(
        "alarms",
        ("Of 100 normal videos it flags", "Of the normal videos it flagged", "flagged"),
        counts.flagged,
        counts.normal,
        result.rates_ci.get("false_alarm_rate"),
        "This split has no normal video, so this cannot be measured.",
    )
    footage = result.normal_footage
    if footage is not None:
        low, high = widest_interval(footage.alarms_per_hour_ci, footage.alarms_per_hour_ci_videos)
        interval = f"{console.format_per_hour(low)} to {console.format_per_hour(high)}"
        note = (
            f"95%: {interval}. Here {counted(footage.alarms, 'alarm')} in "
            f"{format_duration(3600 * footage.hours)} of normal footage."
        )
        if footage.rule:
            note += f" Counted so: {footage.rule}."
        if footage.hours < _SHORT_H:
            note += f" Too short to show fewer than {console.format_per_hour(high)} an hour."
        rate = console.format_per_hour(footage.alarms_per_hour)
        yield Tile("hours", "False alarms an hour, of one camera", rate, None, note)
        return
    recordings = counted(result.recordings, "recording")
    note = f"{counts.violent} violent and {counts.normal} normal, of "
    note += f"{recordings}." if result.grouped else "recordings that are not all known."
    yield Tile("basis", "It was evaluated on", counted(result.videos, "video"), None, note)


def _fraction_tile(
    kind: str,
    leads: tuple[str, str, str],
    part: int,
    whole: int,
    interval: Sequence[float] | None,
    none: str,
) -> Tile:
    """A tile of a fraction; of fewer than ten videos it is a count, without a percentage."""
    of_100, of_few, verb = leads
    if not whole:
        return Tile(kind, of_few, "none", None, none)
    if whole < FEW_VIDEOS:
        return Tile(
            kind, of_few, f"{part} of {whole}", None, "So few say little about other videos."
        )
    low, high = widest_interval(interval, wilson_interval(part, whole))
    note = f"95%: {html.of_100(low)} to {html.of_100(high)}. Here it {verb} {part} of {whole}."
    return Tile(kind, of_100, str(html.of_100(part / whole)), part / whole, note)


def _window_note(settings: Mapping[str, Any], footage: FootageAlarms | None) -> str:
    """A sentence on the number of predictions an hour, where false alarms an hour are not known."""
    window_s = settings.get("window_s")
    if footage is not None or not window_s:
        return ""
    an_hour = 2 * 3600 / window_s
    return (
        f"On a camera, predict gives an answer every {window_s / 2:.2g} s: 1 false alarm in 100 "
        f"would be about {an_hour / 100:.0f} an hour."
    )


# -- mistakes


def _distance(row: Mistake, threshold: float) -> str:
    """The distance from the threshold, in words."""
    side = "below" if row.probability < threshold else "above"
    near = ": a near miss" if row.is_near(threshold) else ""
    return f"{abs(row.probability - threshold):.2f} {side} the threshold{near}"


# -- threshold, robustness


def _threshold_lines(result: EvaluationResult, context: ReportContext) -> Iterator[str]:
    """The goal of the threshold, and how it was chosen."""
    threshold, point = f"{result.threshold:.3g}", result.operating_point
    if result.class_thresholds:
        own = ", ".join(f"{name} {value:g}" for name, value in result.class_thresholds.items())
        yield (
            f"Classes with a threshold of their own: {own}. They are predicted from there on and "
            "never below; the scores of this page are stretched so that alarms agree with that."
        )
    if point is None:
        yield f"The threshold is {threshold}. {_sentence(result.threshold_reason)}"
        return
    if context.operating_point:
        yield f"Asked for: {context.operating_point}."
    if point.threshold != result.threshold:
        yield (
            f"The threshold is {threshold}, set by hand; {point.threshold:.3g} was chosen before."
        )
    elif not point.is_chosen:
        reason = point.reason.removeprefix("0.5: ")
        yield f"The threshold is {threshold}, the default. It was not chosen: {reason}."
    else:
        kind = point.asked.split("=")[0]
        goal = _CRITERIA.get(point.asked, point.asked)
        default = "" if context.operating_point or kind != point.asked else ", the default"
        interval = f" (95%: {html.format_interval(point.interval)})" if point.interval else ""
        yield (
            f"The threshold is {threshold}{interval}, chosen on {point.chosen_on} for "
            f"{goal}{default}."
        )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def robustness_text(robustness: RobustnessScores) -> str:
    """The condition that costs most, in a sentence."""
    rows = [row for row in robustness.conditions if row.difference_ci is not None]
    worst = min(rows, key=lambda row: row.accuracy_difference, default=None)
    if worst is None:
        return ""
    low, high = (100 * end for end in worst.difference_ci)
    text = (
        f"{worst.name} costs most: {html.format_percent(worst.accuracy)} instead of "
        f"{html.format_percent(robustness.clean.accuracy)}, a difference of "
        f"{100 * worst.accuracy_difference:+.0f} points (95%: {low:+.0f} to {high:+.0f})."
    )
    if worst_condition(robustness) is None and high >= 0:
        text += " These videos show no clear loss."
    return text
