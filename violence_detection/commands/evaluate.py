"""The command `evaluate`: metrics, diagnostics and a report of a run on a split."""

import functools
from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, Stage, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.reports import console
from violence_detection.units import counted, format_duration


@click.command(
    cls=Command,
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

    def unreadable(result: dict[str, Any]) -> int:
        return len(result.get("normal_footage", {}).get("unreadable", ()))

    run_stage(stage, flags, lines=evaluation_lines, failed=unreadable)


def evaluation_lines(result: dict[str, Any]) -> list[str]:
    """The console text of an evaluation."""
    rate = functools.partial(console.format_rate, result)
    recalls = ", ".join(
        f"{name} {rate(f'recall_per_class.{name}', value)}"
        for name, value in result["recall_per_class"].items()
    )
    by_recording, by_video = (
        console.format_interval(result[name], ".1%")
        for name in ("accuracy_ci", "accuracy_ci_wilson")
    )
    return [
        f"run         {result['run']}",
        f"split       {result['split']}: {counted(result['videos'], 'video')} of "
        f"{counted(result['recordings'], 'recording')}",
        *console.mapping_lines(result["class_mapping"]),
        f"accuracy    {result['accuracy']:.1%} (95%: {by_recording} over recordings, "
        f"{by_video} over videos)",
        f"AUC         {_auc_text(result)}, average precision {rate('average_precision')}",
        f"precision   {rate('precision')}, recall {rate('recall')}, F1 {rate('f1')}, "
        f"false-alarm rate {rate('false_alarm_rate')}",
        f"recall      {recalls}",
        *console.threshold_lines(result),
        *_false_alarm_lines(result),
        f"calibration error {result['calibration_error']:.3f}, Brier score "
        f"{result['brier_score']:.3f}, temperature "
        f"{result['temperature']:.2f} ({result['temperature_reason'] or 'not fitted'})",
        *_confusion_lines(result["classes"], result["confusion"]),
        *_baseline_lines(result),
        _trust_line(result),
        f"report      {result['report']}",
    ]


def _false_alarm_lines(result: dict[str, Any]) -> list[str]:
    """False alarms per camera-hour, measured on normal footage; empty without such footage."""
    footage = result.get("normal_footage")
    if not footage:
        return []
    by_alarm, by_video = (footage[f"alarms_per_hour_ci{kind}"] for kind in ("", "_videos"))
    over_videos = f", {console.format_interval(by_video, '.3g')} over videos" if by_video else ""
    return [
        f"alarms      {footage['alarms_per_hour']:.3g} false alarms per camera-hour of normal "
        f"footage (95%: {console.format_interval(by_alarm, '.3g')} over alarms{over_videos}): "
        f"{counted(footage['alarms'], 'alarm')} in {format_duration(3600 * footage['hours'])} of "
        f"{counted(footage['videos'], 'video')}",
        *[f"not read    {row['path']}: {row['reason']}" for row in footage["unreadable"]],
    ]


def _auc_text(result: dict[str, Any]) -> str:
    if result["auc"] is None:
        return console.NONE
    intervals = {
        "over recordings": result["auc_ci"],
        "over videos": result["auc_ci_delong"],
    }
    parts = ", ".join(
        f"{console.format_interval(interval, '.3f')} {how}"
        for how, interval in intervals.items()
        if interval
    )
    return f"{result['auc']:.3f}" + (f" (95%: {parts})" if parts else "")


def _confusion_lines(classes: list[str], confusion: list[list[int]]) -> list[str]:
    return [
        f"actual {name}: predicted "
        + ", ".join(f"{predicted} {count}" for count, predicted in zip(row, classes, strict=True))
        for name, row in zip(classes, confusion, strict=True)
    ]


def _baseline_lines(result: dict[str, Any]) -> list[str]:
    """Accuracies of the baselines, and warnings about those that come too close."""
    parts = ", ".join(
        f"{name} {scores['accuracy']:.1%}" for name, scores in result["baselines"].items()
    )
    return [
        *([f"baselines   {parts}"] if parts else []),
        *[f"warning     {line}" for line in result["warnings"]],
    ]


def _trust_line(result: dict[str, Any]) -> str:
    if not result["clean"]:
        return f"trust       NOT CLEAN: in training and here are {console.leaks_text(result)}"
    if not result["grouped"]:
        return (
            "trust       recordings are not all known: clips of one recording may be in training "
            "and here"
        )
    if not result["near_duplicates_searched"]:
        return (
            "trust       no recording or identical file in training and here; near-duplicates "
            f"were not searched: {result['near_duplicates_reason']}"
        )
    return "trust       clean: no recording, identical file or near-duplicate in training and here"
