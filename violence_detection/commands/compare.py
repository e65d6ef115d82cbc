"""The command `compare`: paired tests of two runs on the same videos."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation.config import CompareConfig
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.evaluation.comparison_result import ComparisonResult


@click.command(
    cls=Command,
    short_help="Compare two runs on the same videos.",
    epilog=example("violence-detection compare checkpoints/my_run checkpoints/another"),
)
@click.argument("run_a", type=PATH)
@click.argument("run_b", type=PATH)
@options_of(CompareConfig)
def compare(settings: CompareConfig, flags: CommonFlags, run_a: str, run_b: str) -> None:
    """Compare two runs on the same videos, with intervals and tests of the difference.

    The runs may be of different features of one dataset. A run that has not been evaluated is
    evaluated first. Differences are B - A."""

    def stage() -> Stage:
        from violence_detection.evaluation.compare import ComparisonStage

        return ComparisonStage(run_a, run_b, settings, force=flags.force)

    run_stage(stage, flags, lines=comparison_lines)


def comparison_lines(result: "ComparisonResult") -> list[str]:
    """The console text of a comparison: differences over recordings first, then the tests that
    take every video as independent."""
    a, b, agreement = result.a, result.b, result.discordance.agreement
    accuracy, auc = result.accuracy, result.auc
    has_auc = a.scores.auc is not None
    drawn = "recordings" if result.grouped else "videos, as recordings are not known"
    exchanged = "recordings" if result.grouped else "videos"
    low, high = result.discordance.cohens_g_ci
    lines = [
        f"A           {a.run}",
        f"B           {b.run}",
        f"split       {result.split}: {counted(result.videos, 'video')} of "
        f"{counted(result.recordings, 'recording')}, the same for A and B",
        "",
        f"{'':11s} {'A':>8s} {'B':>8s} {'B - A':>8s}  {'p':>5s}  95% over {drawn}",
        f"{'accuracy':11s} {a.scores.accuracy:8.1%} {b.scores.accuracy:8.1%} "
        f"{100 * accuracy.accuracy_difference:+8.1f}  {accuracy.accuracy_exchange_p:5.3f}  "
        f"{console.format_interval([100 * end for end in accuracy.ci], '+.1f')} points",
    ]
    if has_auc:
        lines.append(
            f"{'AUC':11s} {a.scores.auc:8.3f} {b.scores.auc:8.3f} "
            f"{auc.auc_difference:+8.3f}  {auc.auc_exchange_p:5.3f}  "
            f"{console.format_interval(auc.auc_ci, '+.3f')}"
        )
    else:
        lines.append(f"{'AUC':11s} {console.NONE}")
    return [
        *lines,
        f"{'threshold':11s} {a.threshold:8.3f} {b.threshold:8.3f}",
        "",
        f"p           if A and B were equal, this often would chance alone (A and B exchanged in "
        f"whole {exchanged}) make a difference as large",
        f"right       both {agreement['both_right']}, A alone {agreement['only_a_right']}, "
        f"B alone {agreement['only_b_right']}, neither {agreement['both_wrong']}",
        f"effect      Cohen's g {result.discordance.cohens_g:+.2f} ({low:+.2f} to {high:+.2f})",
        f"McNemar     p {_p(result.discordance.mcnemar_p)}",
        *([_delong_line(result)] if has_auc else []),
        "            (effect, McNemar and DeLong take every video as independent; clips of one "
        "recording are not)",
        *_warning_lines(result),
        *_verdict_lines(result),
    ]


def _delong_line(result: "ComparisonResult") -> str:
    if "auc_p" in result.auc.undefined:
        return "DeLong      none: the variance is 0"
    interval = console.format_interval(result.auc.auc_ci_delong, "+.3f")
    return f"DeLong      p {_p(result.auc.auc_p)}, {interval}"


def _p(value: float) -> str:
    """`= 0.042`, or `< 0.001`."""
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"


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


def _verdict_lines(result: "ComparisonResult") -> list[str]:
    shown_by = counted(result.recordings, "recording" if result.grouped else "video")
    if not result.clean:
        unknown = "unknown: a run was trained on some of these videos"
    else:
        unknown = f"unknown: {shown_by} cannot show it"
    texts = {
        "a": "A is better",
        "b": "B is better",
        "neither": f"no difference that {'this' if result.recordings == 1 else 'these'} "
        f"{shown_by} can show",
        "unknown": unknown,
    }
    lines = [f"by accuracy {texts[result.better['accuracy']]}"]
    if result.a.scores.auc is not None:
        lines.append(f"by AUC      {texts[result.better['auc']]}")
    return lines
