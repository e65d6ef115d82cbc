"""The command `compare`: paired tests of two runs on the same videos."""

from collections.abc import Iterator
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation.config import CompareConfig
from violence_detection.reports import console
from violence_detection.units import counted


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


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """The console text of a comparison: differences over recordings first, then the tests that
    take every video as independent."""
    a, b, counts = result["a"], result["b"], result["agreement"]
    has_auc = a["auc"] is not None
    drawn = "recordings" if result["grouped"] else "videos, as recordings are not known"
    exchanged = "recordings" if result["grouped"] else "videos"
    low, high = result["cohens_g_ci"]
    lines = [
        f"A           {a['run']}",
        f"B           {b['run']}",
        f"split       {result['split']}: {counted(result['videos'], 'video')} of "
        f"{counted(result['recordings'], 'recording')}, the same for A and B",
        "",
        f"{'':11s} {'A':>8s} {'B':>8s} {'B - A':>8s}  {'p':>5s}  95% over {drawn}",
        f"{'accuracy':11s} {a['accuracy']:8.1%} {b['accuracy']:8.1%} "
        f"{100 * result['accuracy_difference']:+8.1f}  {result['accuracy_exchange_p']:5.3f}  "
        f"{console.format_interval([100 * end for end in result['ci']], '+.1f')} points",
    ]
    if has_auc:
        lines.append(
            f"{'AUC':11s} {a['auc']:8.3f} {b['auc']:8.3f} "
            f"{result['auc_difference']:+8.3f}  {result['auc_exchange_p']:5.3f}  "
            f"{console.format_interval(result['auc_ci'], '+.3f')}"
        )
    else:
        lines.append(f"{'AUC':11s} {console.NONE}")
    return [
        *lines,
        f"{'threshold':11s} {a['threshold']:8.3f} {b['threshold']:8.3f}",
        "",
        "p           how often the difference is as large if A and B are exchanged at random in "
        f"whole {exchanged}",
        f"right       both {counts['both_right']}, A alone {counts['only_a_right']}, "
        f"B alone {counts['only_b_right']}, neither {counts['both_wrong']}",
        f"effect      Cohen's g {result['cohens_g']:+.2f} ({low:+.2f} to {high:+.2f})",
        f"McNemar     p = {_p(result['mcnemar_p'])}",
        *([_delong_line(result)] if has_auc else []),
        "            (effect, McNemar and DeLong take every video as independent; clips of one "
        "recording are not)",
        *_comparison_trust(result),
        *_verdict_lines(result),
    ]


def _delong_line(result: dict[str, Any]) -> str:
    if "auc_p" in result["undefined"]:
        return "DeLong      none: the variance is 0"
    interval = console.format_interval(result["auc_ci_delong"], "+.3f")
    return f"DeLong      p = {_p(result['auc_p'])}, {interval}"


def _p(value: float) -> str:
    """`0.042`, or `2.4e-05` for values that would round to 0."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _comparison_trust(result: dict[str, Any]) -> Iterator[str]:
    for name in "ab":
        if not result[name]["clean"]:
            yield (
                f"trust       NOT CLEAN: {name.upper()} was trained on some of these videos: "
                f"{console.leaks_text(result[name])}"
            )
    points = [result[name].get("operating_point") for name in "ab"]
    if all(points) and points[0] != points[1]:
        yield (
            f"trust       thresholds were chosen by {points[0]} and by {points[1]}: compare AUC, "
            "not accuracy"
        )
    if result["split"] == "validation":
        yield (
            "trust       epochs and thresholds were chosen on these videos: optimistic for A and B"
        )
    if not result["grouped"]:
        yield "trust       recordings are not all known: the intervals may be too narrow"
    elif result["few_recordings"]:
        yield "trust       with so few recordings, intervals over them are a rough guess"


def _verdict_lines(result: dict[str, Any]) -> list[str]:
    shown_by = counted(result["recordings"], "recording" if result["grouped"] else "video")
    if not result["clean"]:
        unknown = "unknown: a run was trained on some of these videos"
    else:
        unknown = f"unknown: {shown_by} cannot show it"
    texts = {
        "a": "A is better",
        "b": "B is better",
        "neither": f"no difference that {'this' if result['recordings'] == 1 else 'these'} "
        f"{shown_by} can show",
        "unknown": unknown,
    }
    lines = [f"by accuracy {texts[result['better']['accuracy']]}"]
    if result["a"]["auc"] is not None:
        lines.append(f"by AUC      {texts[result['better']['auc']]}")
    return lines
