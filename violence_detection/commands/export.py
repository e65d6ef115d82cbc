"""The command `export`: a run's model as a file for other software, checked against the run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, run_stage
from violence_detection.export import config
from violence_detection.export.fit_limits import MEASURES
from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.export.bundle import BundleResult
    from violence_detection.export.export_result import ExportResult
    from violence_detection.export.fit import FitResult, TriedVariant
    from violence_detection.export.parity import Cost


@click.command(
    cls=Command,
    started_again="start the same command again; --fit goes on with what is left",
    short_help="Write the model for other software.",
    epilog=example("violence-detection export checkpoints/my_run --format onnx"),
)
@click.argument("run", type=PATH)
@options_of(config.ExportConfig)
def export(settings: config.ExportConfig, shared: CommonFlags, run: str) -> None:
    """Write a run's model for other software, and check that it predicts as the run does.

    The file is opened again by the software that it is for, on the validation videos. It is
    removed if it predicts otherwise for the same frames. A warning says if the videos as they are
    get other decisions than those that the run was evaluated by. The file model.json describes
    inputs and outputs, parity.json the differences."""

    def make():
        from violence_detection.export.export import ExportStage

        return ExportStage(run, settings, force=shared.force)

    def make_bundle():
        from violence_detection.export.bundle import BundleStage

        return BundleStage(
            run, output=settings.output, weights=settings.weights, force=shared.force
        )

    def make_fit():
        from violence_detection.export.fit import FitStage

        return FitStage(run, settings, force=shared.force)

    if settings.bundle:
        run_stage(make_bundle, shared, lines=_bundle_lines)
    elif settings.fit:
        run_stage(make_fit, shared, lines=_fit_lines, failed=lambda result: int(not result.kept))
    else:
        run_stage(make, shared, lines=_lines, failed=lambda result: len(result.unreadable))


def _bundle_lines(result: "BundleResult") -> list[str]:
    checked = (
        f"{counted(result.videos_checked, 'validation video')}, "
        f"{result.max_abs_difference:.1e} difference at most"
    )
    return [
        f"folder      {result.path}",
        f"size        {_size(result.bytes)}, with {', '.join(result.weights) or 'random weights'}",
        f"checked     {checked if result.videos_checked else 'on no video: they are not here'}",
        next_line("predict", Path(result.path), "VIDEO"),
    ]


def _fit_lines(result: "FitResult") -> list[str]:
    width = max(len(row.name) for row in result.tried)
    lines = [
        f"limits      {', '.join(result.limits)}",
        f"            {'tried':{width}s}  {'MB':>5s}  {'zipped':>6s}  {'ms':>5s}  {'AUC':>5s}",
    ]
    for row in result.tried:
        if not row.error:
            figures = (
                _figure(row, "mb", f"{row.mb:.2f}", 6),
                _figure(row, "zipped_mb", f"{row.zipped_mb:.2f}", 7),
                _figure(row, "ms", f"{row.ms:.2f}" if row.ms < 10 else f"{row.ms:.0f}", 6),
                _figure(row, "auc", "none" if row.auc is None else f"{row.auc:+.3f}", 7),
            )
            lines.append(f"            {row.name:{width}s}  {' '.join(figures)}".rstrip())
    if any(row.breaks for row in result.tried):
        lines.append("            * is outside its limit")
    lines += [f"left out    {row.name}: {row.error}" for row in result.tried if row.error]
    if not result.kept:
        return [
            *lines,
            f"kept        none: {result.reason}",
            "again       with other limits the same command makes no file anew",
        ]
    return [*lines, f"kept        {result.kept}", f"file        {result.path}"]


def _figure(row: "TriedVariant", measure: str, text: str, width: int) -> str:
    """A figure of the table, with a star where it breaks its limit."""
    breaks = any(limit.startswith(f"{measure}{MEASURES[measure]}") for limit in row.breaks)
    return f"{text + ('*' if breaks else ' '):>{width}s}"


_CAUSES = {
    "windows": "windows",
    "frame_size": "frame size",
    "frame_rate": "frame rate",
    "weights": "fewer weights",
    "precision": "precision",
}


def _lines(result: "ExportResult") -> list[str]:
    precision = "" if result.precision == "float32" else f", {result.precision}"
    equal, videos, latency = result.equal_inputs, result.as_they_are, result.latency
    windows = counted(result.windows_checked, "window")
    left_out = f", {result.windows_left_out} more not checked" if result.windows_left_out else ""
    lines = [
        f"file        {result.path}",
        f"format      {result.format}{precision}, {result.scope}",
        f"size        {_size(result.bytes)}, zipped {_size(result.zipped_bytes)}",
        *([f"frames      {result.taken}"] if result.taken else []),
        f"checked     {counted(result.videos_checked, 'validation video')}"
        + (f", {windows}{left_out}" if result.taken else ", on the features in the cache"),
        f"equal input {equal.max_abs_difference:.1e} difference at most, "
        f"{equal.mean_abs_difference:.1e} on average; {equal.equal_decisions:.1%} of decisions "
        "equal",
        f"as they are {videos.changed_decisions} of {videos.videos} decisions differ from the "
        f"run's evaluation, {videos.max_abs_difference:.2g} difference at most",
        f"AUC         {_auc(videos.auc_of_run)} of the run, {_auc(videos.auc_of_file)} of the file"
        f"{_few(result)}",
        *(
            f"  by {_CAUSES[name]}: {cause.max_abs_difference:.2g} difference at most, "
            f"{counted(cause.changed_decisions, 'decision')} changed, AUC {_auc(cause.auc)}"
            for name, cause in videos.causes.items()
        ),
        f"latency     {latency.ms:.2f} ms for a clip, the least of {latency.rounds} rounds, on "
        f"{counted(latency.threads, 'thread')} of {result.machine}",
    ]
    if result.cost is not None:
        lines.append(f"cost        {_cost(result.cost)}")
    lines += [f"not read    {video.path}: {video.reason}" for video in result.unreadable]
    return [*lines, *(f"Warning: {warning}." for warning in result.warnings)]


def _few(result: "ExportResult") -> str:
    videos = result.as_they_are
    violent = videos.violent_videos
    if not videos.are_few:
        return ""
    return f" (few videos: {violent} violent, {videos.videos - violent} normal)"


def _cost(cost: "Cost") -> str:
    interval = ""
    if cost.auc_ci:
        low, high = cost.auc_ci
        interval = f" (95%: {low:+.4f} to {high:+.4f} over recordings)"
    return f"AUC {cost.auc_difference:+.4f}{interval}, {cost.equal_decisions:.1%} of decisions kept"


def _auc(value: float | None) -> str:
    return console.NONE if value is None else f"{value:.4f}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
