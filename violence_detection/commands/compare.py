"""The command `compare`: paired tests of runs, or of cross-validations, on the same videos."""

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.evaluation.config import CompareConfig
from violence_detection.reports import console
from violence_detection.reports.cross_validation import comparison_sentences
from violence_detection.reports.cross_validation.comparison_sentences import format_p
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.evaluation.comparison_result import ComparisonResult
    from violence_detection.metrics.fold_tests import FoldDifference
    from violence_detection.reports.cross_validation.cross_validation_comparison import (
        CrossValidationComparison,
        CrossValidationDifference,
    )

_COLUMNS = 80
_MAX_FOLDS = 10  # whose differences are listed


@click.command(
    cls=Command,
    short_help="Compare runs or cross-validations on the same videos.",
    epilog=example("violence-detection compare checkpoints/my_run checkpoints/another"),
)
@click.argument("folders", type=PATH, nargs=-1, required=True, metavar="A B [C]...")
@options_of(CompareConfig)
def compare(settings: CompareConfig, flags: CommonFlags, folders: tuple[str, ...]) -> None:
    """Compare two runs, or two or more cross-validations, on the same videos, with intervals and
    tests of the difference.

    Runs may be of different features of one dataset; a run that has not been evaluated is
    evaluated first. Cross-validations are compared by the predictions for their held-out videos;
    of three or more all pairs are compared, with p values by Holm. Differences are B - A."""

    from violence_detection.experiments.cross_validation.compare_cross_validations import (
        CrossValidationComparisonStage,
        compares_runs,
    )

    def of_runs() -> Stage:
        from violence_detection.evaluation.compare import ComparisonStage

        return ComparisonStage(*folders, settings, force=flags.force)

    def of_cross_validations() -> Stage:
        return CrossValidationComparisonStage(folders, settings, force=flags.force)

    if compares_runs(folders, settings):
        run_stage(of_runs, flags, lines=comparison_lines)
    else:
        run_stage(of_cross_validations, flags, lines=cross_validation_lines)


# -- runs


def comparison_lines(result: "ComparisonResult") -> list[str]:
    """The console text of a comparison of two runs, of at most 80 columns but for paths."""
    columns = _columns()
    return console.wrap_lines(list(_run_lines(result, columns)), columns)


def _columns() -> int:
    """The width of the text: 80, or less in a narrow terminal."""
    return min(_COLUMNS, shutil.get_terminal_size((_COLUMNS, 24)).columns)


def _run_lines(result: "ComparisonResult", columns: int) -> Iterator[str]:
    """Differences over recordings; the tests that take every video as independent; the verdict."""
    a, b, agreement = result.a, result.b, result.discordance.agreement
    accuracy, auc = result.accuracy, result.auc
    has_auc = a.scores.auc is not None
    drawn = "recordings" if result.grouped else "videos"
    low, high = result.discordance.cohens_g_ci
    yield f"A           {a.run}"
    yield f"B           {b.run}"
    yield (
        f"split       {result.split}: {counted(result.videos, 'video')} of "
        f"{counted(result.recordings, 'recording')}, the same for A and B"
    )
    yield ""
    rows = [f"{'':11s} {'A':>8s} {'B':>8s} {'B - A':>8s}  {'p':>6s}"]
    p = format_p(accuracy.accuracy_exchange_p)
    rows.append(
        f"{'accuracy':11s} {a.scores.accuracy:8.1%} {b.scores.accuracy:8.1%} "
        f"{100 * accuracy.accuracy_difference:+8.1f}  {p:>6s}"
    )
    spans = [f"95% over {drawn}", _span([100 * end for end in accuracy.ci], "+.1f", " points")]
    if has_auc:
        rows.append(
            f"{'AUC':11s} {a.scores.auc:8.3f} {b.scores.auc:8.3f} "
            f"{auc.auc_difference:+8.3f}  {format_p(auc.auc_exchange_p):>6s}"
        )
        spans.append(_span(auc.auc_ci, "+.3f"))
    if columns >= _COLUMNS:
        yield from (f"{row}  {span}" for row, span in zip(rows, spans, strict=True))
    else:  # each interval has a line of its own
        yield rows[0]
        for row, span in zip(rows[1:], spans[1:], strict=True):
            yield from (row, f"            {spans[0]}: {span}")
    if not has_auc:
        yield f"{'AUC':11s} {console.NONE}"
    yield f"{'threshold':11s} {a.threshold:8.3f} {b.threshold:8.3f}"
    yield ""
    yield f"p           {comparison_sentences.P_MEANING}"
    yield (
        f"right       both {agreement['both_right']}, A alone {agreement['only_a_right']}, "
        f"B alone {agreement['only_b_right']}, neither {agreement['both_wrong']}"
    )
    yield f"effect      Cohen's g {result.discordance.cohens_g:+.2f} ({low:+.2f} to {high:+.2f})"
    yield f"McNemar     {_p(result.discordance.mcnemar_p)}"
    if has_auc:
        yield _delong_line(result)
    yield (
        "            (effect, McNemar and DeLong take every video as independent; clips of one "
        "recording are not)"
    )
    yield from _cost_lines(result)
    yield from _warning_lines(result)
    yield ""
    yield from _verdict_lines(result)


def _delong_line(result: "ComparisonResult") -> str:
    if "auc_p" in result.auc.undefined:
        return "DeLong      none: the variance is 0"
    interval = console.format_interval(result.auc.auc_ci_delong, "+.3f")
    return f"DeLong      {_p(result.auc.auc_p)}, {interval}"


def _span(interval: Sequence[float] | None, form: str, unit: str = "") -> str:
    """`-1.8 to +1.0 points`; an interval without width would read as certainty."""
    if interval and interval[0] == interval[1]:
        return "none: the same in every recording"
    return console.format_interval(interval, form) + unit


def _p(value: float) -> str:
    """`p = 0.042`, or `p < 0.001`."""
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


def _cost_lines(result: "ComparisonResult") -> Iterator[str]:
    """The differences at a site; none if no traffic was given."""
    if result.cost is None:
        return
    from violence_detection.reports import cost_table

    yield f"cost        B - A, at a site with {cost_table.traffic_text(result.cost)}:"
    for row in cost_table.cost_rows(result.cost):
        yield f"            {row}"
    for note in result.cost.notes:
        yield f"            {note}"


def _warning_lines(result: "ComparisonResult") -> Iterator[str]:
    for name, run in zip("AB", (result.a, result.b), strict=True):
        if not run.leaks.clean:
            leaks = console.leaks_text(run.leaks.counts, run.leaks.lines)
            yield f"leaks       {name} was trained on some of these videos: {leaks}"
    points = [result.a.operating_point, result.b.operating_point]
    if all(points) and points[0] != points[1]:
        yield (
            f"warning     thresholds were chosen by {points[0]} and by {points[1]}: compare AUC, "
            "not accuracy"
        )
    if result.split == "validation":
        yield (
            "warning     epochs and thresholds were chosen on these videos: optimistic for A and B"
        )
    if not result.grouped:
        yield "warning     recordings are not all known: the intervals may be too narrow"
    elif result.few_recordings:
        yield "warning     with so few recordings, intervals over them are a rough guess"


def _verdict_lines(result: "ComparisonResult") -> Iterator[str]:
    shown_by = comparison_sentences.these(
        result.recordings, "recording" if result.grouped else "video"
    )
    unknown = f"{shown_by} cannot show it"
    if not result.clean:
        unknown = "a run was trained on some of these videos"
    differences = {"accuracy": (result.accuracy.accuracy_difference, result.accuracy.ci)}
    if result.a.scores.auc is not None:
        differences["auc"] = (result.auc.auc_difference, result.auc.auc_ci)
    for measure, (difference, interval) in differences.items():
        yield comparison_sentences.verdict(
            measure,
            result.better[measure],
            "AB",
            difference,
            interval,
            shown_by=shown_by,
            unknown=unknown,
        )


# -- cross-validations


def cross_validation_lines(result: "CrossValidationComparison") -> list[str]:
    """The console text of a comparison of cross-validations, wrapped like that of runs."""
    return console.wrap_lines(list(_cross_validation_lines(result)), _columns())


def _cross_validation_lines(result: "CrossValidationComparison") -> Iterator[str]:
    """The compared folders, levels and differences, the tests that papers report, the verdicts."""
    measures = comparison_sentences.measures(result)
    for compared in result.cross_validations:
        yield f"{compared.name:12s}{compared.dir}"
    for number, text in enumerate(comparison_sentences.setting_texts(result)):
        yield f"{'differ in' if not number else '':12s}{text}"
    recordings = counted(result.recordings, "recording")
    yield f"videos      {result.videos} of {recordings}, the same for all"
    repeats = f", {counted(result.repeats, 'repeat')}" if result.repeats > 1 else ""
    same = "not the same for all" if result.fold_differences else "the same for all"
    yield f"folds       {result.folds} {result.kind_of_folds}{repeats}, {same}"
    yield ""
    yield from console.align_columns(
        [
            ["", "accuracy", "AUC"],
            *[
                [compared.name, f"{compared.accuracy:.1%}", console.format_auc(compared.auc)]
                for compared in result.cross_validations
            ],
        ]
    )
    yield ""
    yield from _difference_table(result, measures)
    yield ""
    yield f"p           {comparison_sentences.P_MEANING}"
    yield f"            {_p_kinds(result)}"
    if not result.fold_differences:
        for measure in measures:
            for pair in result.pairs:
                difference = pair.over_folds(measure)
                if difference:
                    yield f"by fold     {_fold_text(pair, measure, difference)}"
        yield ""
        yield from _textbook_lines(result)
    for text in comparison_sentences.warnings(result):
        yield f"warning     {text}"
    if result.report:
        yield f"report      {result.report}"
    yield ""
    yield from comparison_sentences.verdicts(result)


def _difference_table(result: "CrossValidationComparison", measures: list[str]) -> list[str]:
    """A row for each score and pair; with one pair there is no p by Holm."""
    several, paired = len(result.pairs) > 1, not result.fold_differences
    rows = []
    for measure in measures:
        scale, form = (100, "+.1f") if measure == "accuracy" else (1, "+.3f")
        header = [comparison_sentences.SCORES[measure], "points" if measure == "accuracy" else ""]
        header += ["95% over recordings" if result.grouped else "95% over videos", "p"]
        rows.append([*header, *["p by Holm"] * several, *["p by folds"] * paired])
        for pair in result.pairs:
            difference, interval = comparison_sentences.pooled_difference(pair, measure)
            p, holm = pair.p_values(measure)
            over_folds = pair.over_folds(measure)
            rows.append(
                [
                    pair.title,
                    f"{scale * difference:{form}}",
                    console.format_interval(interval and [scale * end for end in interval], form),
                    format_p(p),
                    *[format_p(holm)] * several,
                    *[format_p(over_folds.p) if over_folds else "none"] * paired,
                ]
            )
    return console.align_columns(rows)


def _p_kinds(result: "CrossValidationComparison") -> str:
    unit = "recordings" if result.grouped else "videos"
    texts = [f"p exchanges them in whole {unit}"]
    if len(result.pairs) > 1:
        texts.append(f"by Holm it is adjusted for {len(result.pairs)} pairs")
    if not result.fold_differences:
        texts.append("by folds it is a t-test corrected for shared training videos")
    return "; ".join(texts)


def _fold_text(
    pair: "CrossValidationDifference", measure: str, difference: "FoldDifference"
) -> str:
    """`B - A accuracy +1.2 -0.4 +2.0 points; above 0 in 2 of 3`."""
    scale, form = (100, "+.1f") if measure == "accuracy" else (1, "+.3f")
    above = sum(value > 0 for value in difference.values)
    equal = sum(value == 0 for value in difference.values)
    text = f"above 0 in {above} of {len(difference.values)}" + (f", 0 in {equal}" if equal else "")
    if len(difference.values) <= _MAX_FOLDS:
        values = " ".join(f"{scale * value:{form}}" for value in difference.values)
        text = f"{values}; {text}"
    return f"{pair.title}, {comparison_sentences.SCORES[measure]}: {text}"


def _textbook_lines(result: "CrossValidationComparison") -> Iterator[str]:
    yield "As papers do"
    rows = [list(row.values()) for row in comparison_sentences.textbook_rows(result)]
    yield from console.align_columns([["", "paired t", "Wilcoxon", "McNemar", "Cohen's d"], *rows])
    yield f"            {comparison_sentences.NOT_INDEPENDENT}"
    smallest = comparison_sentences.smallest_wilcoxon_p(result)
    if smallest >= 0.05:
        yield f"            Wilcoxon's p of so few folds cannot be below {smallest:.3f}"
