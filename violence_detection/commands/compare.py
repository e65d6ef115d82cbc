"""Which of two runs is better."""

from collections.abc import Iterator
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation import config
from violence_detection.reports import console
from violence_detection.units import counted


@click.command(
    cls=Command,
    epilog=example("violence-detection compare checkpoints/my_run checkpoints/another"),
)
@click.argument("run_a", type=PATH)
@click.argument("run_b", type=PATH)
@options_of(config.CompareConfig)
def compare(settings: config.CompareConfig, shared: CommonFlags, run_a: str, run_b: str) -> None:
    """Say which of two runs is better on the same videos, and whether these can show it.

    They may be of different features of one dataset. Either is evaluated first where it has not
    been. Differences are B - A."""
    with prints_to_stderr():
        from violence_detection.evaluation import compare
        from violence_detection.evaluation.compare import plan

        if shared.dry_run:
            planned = plan(run_a, run_b, settings, force=shared.force)
        else:
            result = compare.compare_runs(run_a, run_b, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    finish(result, shared, comparison_lines(result))


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """What `compare` found: the differences over recordings first, then the tests that take
    every video for independent."""
    a, b, counts = result["a"], result["b"], result["agreement"]
    has_auc = a["auc"] is not None
    drawn = "recordings" if result["grouped"] else "videos, as recordings are not known"
    exchanged = "recordings" if result["grouped"] else "videos"
    low, high = result["cohens_g_ci"]
    lines = [
        f"A           {a['run']}",
        f"B           {b['run']}",
        f"split       {result['split']}: {counted(result['videos'], 'video')} of "
        f"{counted(result['recordings'], 'recording')}, the same for both",
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
        "p           how often they differ as much when A and B change places in whole "
        f"{exchanged}",
        f"right       both {counts['both_right']}, A alone {counts['only_a_right']}, "
        f"B alone {counts['only_b_right']}, neither {counts['both_wrong']}",
        f"effect      Cohen's g {result['cohens_g']:+.2f} ({low:+.2f} to {high:+.2f})",
        f"McNemar     p = {_p(result['mcnemar_p'])}",
        *([_delong_line(result)] if has_auc else []),
        "            (effect, McNemar and DeLong take every video for independent, which clips of "
        "one recording are not)",
        *_comparison_trust(result),
        *_verdict_lines(result),
    ]


def _delong_line(result: dict[str, Any]) -> str:
    if "auc_p" in result["undefined"]:
        return "DeLong      none: there is no variance to judge by"
    return f"DeLong      p = {_p(result['auc_p'])}, {console.format_interval(result['auc_ci_delong'], '+.3f')}"


def _p(value: float) -> str:
    """`0.042`; what is smaller than it can show is not written as 0."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _comparison_trust(result: dict[str, Any]) -> Iterator[str]:
    for name in "ab":
        if not result[name]["clean"]:
            yield (
                f"trust       NOT CLEAN: {name.upper()} has learned from some of these: "
                f"{console.leaks_text(result[name])}"
            )
    points = [result[name].get("operating_point") for name in "ab"]
    if all(points) and points[0] != points[1]:
        yield (
            f"trust       thresholds were put by {points[0]} and by {points[1]}: AUC compares the "
            "two, accuracy does not"
        )
    if result["split"] == "validation":
        yield "trust       epochs and thresholds were chosen on these videos, which flatters both"
    if not result["grouped"]:
        yield "trust       recordings are not all known: the intervals may be too narrow"
    elif result["few_recordings"]:
        yield "trust       with so few recordings, intervals over them are a rough guess"


def _verdict_lines(result: dict[str, Any]) -> list[str]:
    shown_by = counted(result["recordings"], "recording" if result["grouped"] else "video")
    if not result["clean"]:
        unknown = "not to be said: these videos are not new to both"
    else:
        unknown = f"not to be said from {shown_by}"
    words = {
        "a": "A is better",
        "b": "B is better",
        "neither": f"no difference that {'this' if result['recordings'] == 1 else 'these'} "
        f"{shown_by} can show",
        "unknown": unknown,
    }
    lines = [f"by accuracy {words[result['better']['accuracy']]}"]
    if result["a"]["auc"] is not None:
        lines.append(f"by AUC      {words[result['better']['auc']]}")
    return lines
