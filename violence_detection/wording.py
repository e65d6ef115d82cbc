"""How evaluations and comparisons read, in lines for a person. It imports no NumPy."""

import functools
from collections.abc import Iterator
from typing import Any

from violence_detection.units import counted

_NONE = "none: one class only"


def rate(result: dict[str, Any], name: str, value: float | None = None) -> str:
    """A rate as people read it: `none` where there was nothing to rate."""
    if name in result["undefined"]:
        return "none"
    return f"{result[name] if value is None else value:.1%}"


def evaluation_lines(result: dict[str, Any]) -> list[str]:
    """What `evaluate` found."""
    of = functools.partial(rate, result)
    recalls = ", ".join(
        f"{name} {of(f'recall_per_class.{name}', value)}"
        for name, value in result["recall_per_class"].items()
    )
    by_recording, by_video = (
        f"{low:.1%} to {high:.1%}"
        for low, high in (result["accuracy_ci"], result["accuracy_ci_wilson"])
    )
    return [
        f"run         {result['run']}",
        f"split       {result['split']}: {counted(result['videos'], 'video')} of "
        f"{counted(result['recordings'], 'recording')}",
        f"accuracy    {result['accuracy']:.1%} (95%: {by_recording} over recordings, "
        f"{by_video} over videos)",
        f"AUC         {_auc(result)}, average precision {of('average_precision')}",
        f"precision   {of('precision')}, recall {of('recall')}, F1 {of('f1')}, "
        f"false alarms {of('false_alarm_rate')}",
        f"recall      {recalls}",
        f"threshold   {result['threshold']:.3f} ({result['threshold_reason']})",
        f"calibrated  error {result['calibration_error']:.3f}, temperature "
        f"{result['temperature']:.2f} ({result['temperature_reason'] or 'none was fitted'})",
        *_confusion_lines(result["classes"], result["confusion"]),
        _trust_line(result),
        f"report      {result['report']}",
    ]


def _auc(result: dict[str, Any]) -> str:
    if result["auc"] is None:
        return _NONE
    intervals = {
        "over recordings": result["auc_ci"],
        "over videos": result["auc_ci_delong"],
    }
    told = ", ".join(
        f"{interval[0]:.3f} to {interval[1]:.3f} {how}"
        for how, interval in intervals.items()
        if interval
    )
    return f"{result['auc']:.3f}" + (f" (95%: {told})" if told else "")


def _confusion_lines(classes: list[str], counts: list[list[int]]) -> list[str]:
    return [
        f"truly {name}: "
        + ", ".join(
            f"{n} called {called}" for n, called in zip(row, classes, strict=True)
        )
        for name, row in zip(classes, counts, strict=True)
    ]


def _trust_line(result: dict[str, Any]) -> str:
    if not result["clean"]:
        return f"trust       NOT CLEAN: the run has learned from {_leaked(result['leaks'])}"
    if not result["grouped"]:
        return "trust       recordings are not all known: clips of one may be on both sides"
    return "trust       clean: no recording on both sides"


def _leaked(leaks: list[str]) -> str:
    return f"some of these ({leaks[0]}" + (
        f" and {len(leaks) - 1} more)" if leaks[1:] else ")"
    )


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
        f"{_span([100 * end for end in result['ci']], '+.1f')} points",
    ]
    if has_auc:
        lines.append(
            f"{'AUC':11s} {a['auc']:8.3f} {b['auc']:8.3f} "
            f"{result['auc_difference']:+8.3f}  {result['auc_exchange_p']:5.3f}  "
            f"{_span(result['auc_ci'], '+.3f')}"
        )
    else:
        lines.append(f"{'AUC':11s} {_NONE}")
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
    return f"DeLong      p = {_p(result['auc_p'])}, {_span(result['auc_ci_delong'], '+.3f')}"


def _span(interval: list[float] | None, form: str) -> str:
    return (
        " to ".join(f"{end:{form}}" for end in interval) if interval else "no interval"
    )


def _p(value: float) -> str:
    """`0.042`; what is smaller than it can show is not written as 0."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _comparison_trust(result: dict[str, Any]) -> Iterator[str]:
    for name in "ab":
        leaks = result[name]["leaks"]
        if not result[name]["clean"]:
            yield (
                f"trust       NOT CLEAN: {name.upper()} has learned from {_leaked(leaks)}"
            )
    if result["split"] == "validation":
        yield "trust       epochs and thresholds were chosen on these videos, which flatters both"
    if not result["grouped"]:
        yield "trust       recordings are not all known: the intervals may be too narrow"
    elif result["few_recordings"]:
        yield "trust       with so few recordings, intervals over them are a rough guess"


def _verdict_lines(result: dict[str, Any]) -> list[str]:
    shown_by = counted(
        result["recordings"], "recording" if result["grouped"] else "video"
    )
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
