"""The model that leaves the house, and how far its answers are from those at home."""

from typing import Any

import click

from violence_detection.commands._exit import Command, CommonFlags, finish, prints_to_stderr
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.export import config
from violence_detection.reports import console
from violence_detection.units import counted


@click.command(
    cls=Command,
    epilog=example("violence-detection export checkpoints/my_run --format onnx"),
)
@click.argument("run", type=PATH)
@options_of(config.ExportConfig)
def export(settings: config.ExportConfig, shared: CommonFlags, run: str) -> None:
    """Write a run's model for other software, and prove that it answers as the run does.

    The file is opened anew by the software that it is for, on the validation videos; where its
    answers are too far off it is removed. What it takes and gives stands in model.json beside it,
    how far its answers are off in parity.json."""
    with prints_to_stderr():
        from violence_detection.export import export as stage

        if shared.dry_run:
            planned = stage.plan(run, settings, force=shared.force)
        else:
            result = stage.export_run(run, settings, force=shared.force)
    if shared.dry_run:
        return finish(planned, shared, console.table(planned))
    finish(result, shared, _lines(result), failed=len(result["unreadable"]))


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
        f"{result['mean_abs_difference']:.1e} in the mean",
        f"decisions   {result['equal_decisions']:.1%} equal",
        f"AUC         {_auc(result['auc_before'])} before, {_auc(result['auc_after'])} after",
        f"latency     {result['latency_ms']:.2f} ms for a clip, on one thread",
        f"cache       its features differ by {drift['max_abs_difference']:.1e} at most, "
        f"{drift['equal_decisions']:.1%} of decisions equal, AUC {_auc(drift['auc'])}",
    ]
    if "cost" in result:
        lines.append(f"cost        {_cost(result['cost'])}")
    lines += [f"not read    {one['path']}: {one['reason']}" for one in result["unreadable"]]
    return lines


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
