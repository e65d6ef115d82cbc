"""The command `export`: a run's model as a file for other software, checked against the run."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, run_stage
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.export import config
from violence_detection.reports import console
from violence_detection.units import counted


@click.command(
    cls=Command,
    short_help="Write the model for other software.",
    epilog=example("violence-detection export checkpoints/my_run --format onnx"),
)
@click.argument("run", type=PATH)
@options_of(config.ExportConfig)
def export(settings: config.ExportConfig, shared: CommonFlags, run: str) -> None:
    """Write a run's model for other software, and check that it predicts as the run does.

    The file is opened again by the software that it is for, on the validation videos. It is
    removed if its predictions differ too much. The file model.json describes its inputs and
    outputs, parity.json the differences."""

    def make():
        from violence_detection.export.export import ExportStage

        return ExportStage(run, settings, force=shared.force)

    run_stage(make, shared, lines=_lines, failed=lambda result: len(result["unreadable"]))


def _lines(result: dict[str, Any]) -> list[str]:
    drift = result["drift_of_cached_features"]
    precision = "" if result["precision"] == "float32" else f", {result['precision']}"
    lines = [
        f"file        {result['path']}",
        f"format      {result['format']}{precision}, {result['scope']}",
        f"size        {_size(result['bytes'])}, zipped {_size(result['zipped_bytes'])}",
        f"checked     {counted(result['videos_checked'], 'validation video')}, on "
        + ("their frames" if result["features"] == "frames" else result["features"]),
        f"difference  {result['max_abs_difference']:.1e} at most, "
        f"{result['mean_abs_difference']:.1e} on average",
        f"decisions   {result['equal_decisions']:.1%} equal",
        f"AUC         {_auc(result['auc_before'])} before, {_auc(result['auc_after'])} after",
        f"latency     {result['latency_ms']:.2f} ms for a clip, on one thread",
        f"cache       its features differ by {drift['max_abs_difference']:.1e} at most, "
        f"{drift['equal_decisions']:.1%} of decisions equal, AUC {_auc(drift['auc'])}",
    ]
    if "cost" in result:
        lines.append(f"cost        {_cost(result['cost'])}")
    unreadable = result["unreadable"]
    return [*lines, *(f"not read    {video['path']}: {video['reason']}" for video in unreadable)]


def _cost(cost: dict[str, Any]) -> str:
    interval = ""
    if cost["auc_ci"]:
        low, high = cost["auc_ci"]
        interval = f" (95%: {low:+.4f} to {high:+.4f} over recordings)"
    return (
        f"AUC {cost['auc_difference']:+.4f}{interval}, "
        f"{cost['equal_decisions']:.1%} of the run's decisions kept"
    )


def _auc(value: float | None) -> str:
    return console.NONE if value is None else f"{value:.4f}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
