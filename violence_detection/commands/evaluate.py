"""What a run is worth on a split."""

import functools
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation import config
from violence_detection.reports import console
from violence_detection.units import counted, format_duration


@click.command(
    cls=Command,
    epilog=example("violence-detection evaluate checkpoints/my_run --split test"),
)
@click.argument("run", type=PATH)
@options_of(config.EvaluateConfig)
def evaluate(settings: config.EvaluateConfig, shared: CommonFlags, run: str) -> None:
    """Judge a run on a split: metrics with intervals, predictions, and a report to read."""
    with prints_to_stderr():
        from violence_detection.evaluation import evaluate
        from violence_detection.evaluation.evaluate import plan

        if shared.dry_run:
            planned = plan(run, settings, force=shared.force)
        else:
            result = evaluate.evaluate_run(run, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    unreadable = result.get("normal_footage", {}).get("unreadable", ())
    finish(result, shared, evaluation_lines(result), failed=len(unreadable))


def evaluation_lines(result: dict[str, Any]) -> list[str]:
    """What `evaluate` found."""
    of = functools.partial(console.format_rate, result)
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
        *console.mapping_lines(result["class_mapping"]),
        f"accuracy    {result['accuracy']:.1%} (95%: {by_recording} over recordings, "
        f"{by_video} over videos)",
        f"AUC         {_auc(result)}, average precision {of('average_precision')}",
        f"precision   {of('precision')}, recall {of('recall')}, F1 {of('f1')}, "
        f"false alarms {of('false_alarm_rate')}",
        f"recall      {recalls}",
        *console.threshold_lines(result),
        *_alarm_lines(result),
        f"calibrated  error {result['calibration_error']:.3f}, Brier score "
        f"{result['brier_score']:.3f}, temperature "
        f"{result['temperature']:.2f} ({result['temperature_reason'] or 'none was fitted'})",
        *_confusion_lines(result["classes"], result["confusion"]),
        *_baseline_lines(result),
        _trust_line(result),
        f"report      {result['report']}",
    ]


def _alarm_lines(result: dict[str, Any]) -> list[str]:
    """How often it cries wolf in normal footage, where some was given."""
    footage = result.get("normal_footage")
    if not footage:
        return []
    by_alarm, by_video = (footage[f"alarms_per_hour_ci{kind}"] for kind in ("", "_videos"))
    over_videos = f", {console.format_interval(by_video, '.3g')} over videos" if by_video else ""
    return [
        f"cries wolf  {footage['alarms_per_hour']:.3g} times an hour (95%: "
        f"{console.format_interval(by_alarm, '.3g')} over alarms{over_videos}): "
        f"{counted(footage['alarms'], 'alarm')} in {format_duration(3600 * footage['hours'])} of "
        f"{counted(footage['videos'], 'video')}",
        *[f"not read    {row['path']}: {row['reason']}" for row in footage["unreadable"]],
    ]


def _auc(result: dict[str, Any]) -> str:
    if result["auc"] is None:
        return console.NONE
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
        + ", ".join(f"{n} called {called}" for n, called in zip(row, classes, strict=True))
        for name, row in zip(classes, counts, strict=True)
    ]


def _baseline_lines(result: dict[str, Any]) -> list[str]:
    """Trivial answers to the same videos, and those that come too close."""
    told = ", ".join(
        f"{name} {scores['accuracy']:.1%}" for name, scores in result["baselines"].items()
    )
    return [
        *([f"beside      {told}"] if told else []),
        *[f"warning     {line}" for line in result["warnings"]],
    ]


def _trust_line(result: dict[str, Any]) -> str:
    if not result["clean"]:
        return f"trust       NOT CLEAN: on both sides are {console.leaks_text(result)}"
    if not result["grouped"]:
        return "trust       recordings are not all known: clips of one may be on both sides"
    if not result["near_duplicates_searched"]:
        return (
            "trust       no recording or identical file on both sides; near-duplicates were not "
            f"looked for: {result['near_duplicates_reason']}"
        )
    return "trust       clean: no recording, identical file or near-duplicate on both sides"
